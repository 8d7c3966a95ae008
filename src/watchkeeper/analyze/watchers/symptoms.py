"""Symptoms of a service: errors, latency, traffic, saturation, silence.

What series say of their service's requests is put together in bins of ten seconds of event time,
judged when all have told of one, by how late they came so far: the share of failed requests and
of slow ones by a Beta-binomial, the number of requests by a negative binomial around level and time
of day, each against what is usual of this very service and how much that scatters, in windows of
30 seconds to five minutes. All are looked at with each tick besides, in the newest seconds, and
more strictly. What lies within two bins alone is evidence: a restart, or a pause.
A resource is saturated when it is nearly full for a minute and far from where it usually is; a
service is silent when nothing at all came for three of its usual pauses.

What comes at the same time of day is known in four or five days. A page needs calibration and the
consent of `budget.py`; all else is evidence, and so is a surge of requests alone.

Blind to: a service without requests; what is wrong from the beginning; what grows over days; one
endpoint among many; latency between two bounds; a clock that is beside the truth by more than an
hour. At one sample a minute a verdict takes two to three minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, OPENED
from watchkeeper.analyze.watchers import symptoms_kernel as kernel
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting
from watchkeeper.analyze.watchers.budget import BudgetConfig, Noisy, PageBudget, Reason
from watchkeeper.analyze.watchers.in_order import in_order
from watchkeeper.analyze.watchers.intake_kernel import take
from watchkeeper.analyze.watchers.objectives import Slo
from watchkeeper.analyze.watchers.promises import Kept, Promises
from watchkeeper.analyze.watchers.service_rows import FOUND, SILENCE, SURGE, SYMPTOMS, Settings
from watchkeeper.analyze.watchers.service_rules import Kept as KeptRules
from watchkeeper.analyze.watchers.service_rules import ServiceRule, ServiceRules
from watchkeeper.analyze.watchers.services import KnownSeries, Services, Subject
from watchkeeper.analyze.watchers.silences import RETRY_NS, Silences, resume
from watchkeeper.analyze.watchers.silences import Kept as KeptSilences
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import I64, N_PARTITIONS, Mask

CONFIRMING_NS: Final = 300 * NS_PER_S
"""Two series of a service that are strange within so long confirm its symptom."""
PAUSE_NS: Final = 20 * NS_PER_S
"""Ticks that come later than that after the last: nobody listened, so nobody was silent."""
_ROOM: Final = 4096  # findings that one pass can make before it is asked again


class _Kept(msgspec.Struct, array_like=True):
    """A partition in a checkpoint."""

    services: bytes
    promises: Kept
    waiting: list[Sighting]
    confirmed: Sequence[tuple[tuple[str, str, str], int]]
    silences: KeptSilences
    rules: KeptRules = []


_decoder = msgspec.msgpack.Decoder(_Kept)


class Symptoms:
    """State by service, in partitions. For one thread."""

    name = "symptoms"
    version = 6

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `symptoms`."""

        budget: BudgetConfig = BudgetConfig()
        slos: Annotated[
            list[Slo],
            Meta(description="What services promise. A promise that is broken too fast pages."),
        ] = []
        rules: Annotated[
            list[ServiceRule],
            Meta(
                description="Fixed limits for services, each judged by the first that names it. "
                "What passes them is evidence, and no page."
            ),
        ] = []
        watermark_s: Annotated[
            float, Meta(ge=0, description="How long a bin waits at most for late samples.")
        ] = 30.0
        learning_s: Annotated[
            float, Meta(ge=0, description="History without which nothing pages.")
        ] = 3600.0
        least_requests: Annotated[
            float, Meta(ge=1, description="Requests below which no share is judged by bins.")
        ] = 20.0
        error_ratio: Annotated[
            float, Meta(ge=1, description="Errors are so many times their usual share at least.")
        ] = 2.0
        error_rise: Annotated[
            float, Meta(ge=0, description="And their share is so much higher at least.")
        ] = 0.001
        latency_ratio: Annotated[
            float, Meta(ge=1, description="The 95 % quantile is so many times the usual at least.")
        ] = 1.2
        latency_rise_s: Annotated[float, Meta(ge=0, description="And so much longer at least.")] = (
            0.02
        )
        least_drop: Annotated[
            float, Meta(gt=0, lt=1, description="The part of usual traffic that has to be missing.")
        ] = 0.4
        least_surge: Annotated[
            float, Meta(gt=0, description="The part of usual traffic that has to be added.")
        ] = 1.0
        full: Annotated[
            float, Meta(gt=0, le=1, description="The share of a resource that is nearly all.")
        ] = 0.95
        most_services: Annotated[
            int, Meta(ge=1, description="Services beyond these are not watched, and counted.")
        ] = 10_000

    def __init__(
        self, config: Config | None = None, *, catalog: KnownSeries, class_of: object = None
    ) -> None:
        """Parts are told by name and labels, so that `class_of` is not asked."""
        self._config = config or self.Config()
        self._catalog = catalog
        self._services = Services(catalog, self._config.most_services)
        self.budget = PageBudget(self._config.budget)
        self.promises = Promises(self._config.slos, self._services)
        self._rules = ServiceRules(self._config.rules, self._services)
        learning_ns = round(self._config.learning_s * NS_PER_S)
        self._silences = Silences(self._services, self.budget, learning_ns)
        self._found = np.empty(_ROOM, FOUND)
        self._made: tuple[int, Settings] | None = None
        """What kernels read of the settings, for so many services."""
        self._waiting: list[tuple[int, Sighting]] = []
        """Of bins that were judged before their tick, since time leapt: with the partition."""
        self._confirmed: dict[int, int] = {}
        """Services with an open symptom of which two series were strange, and when."""
        self._last_tick = np.zeros(N_PARTITIONS, np.int64)
        self._resumed_ns = np.zeros(N_PARTITIONS, np.int64)
        self._now_ns = 0

    def see(self, seen: Seen) -> None:
        """Count samples for their services, and remember who was strange."""
        points = seen.samples
        if len(points):
            now_ns = int(self._last_tick[self._catalog.partition[points.slot[0]]])
            columns, at = in_order(points), 0
            settings = self._settings(now_ns)
            while at < len(points):
                of = (self._catalog.identity, self._services.rows)
                state, found = self._services.state, self._found
                at, n_found = take(columns, at, of, state, settings, now_ns, found)
                if at < 0:
                    self._services.meet(points.slot)
                    settings, at = self._settings(now_ns), 0
                elif n_found:
                    self._waiting += self._placed(n_found, now_ns)
        for _, findings in seen.findings:
            fresh = (findings.change == OPENED) & (findings.severity >= EVIDENCE)
            for row in np.flatnonzero(fresh).tolist():
                self._note(int(findings.slot[row]), int(findings.time_ns[row]))

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting]:
        partitions = partitions[:N_PARTITIONS]
        self._now_ns = now_ns
        self._resume(now_ns, partitions & (now_ns - self._last_tick > PAUSE_NS))
        self._last_tick[partitions] = now_ns
        told = [one for partition, one in self._waiting if partitions[partition]]
        self._waiting = [one for one in self._waiting if not partitions[one[0]]]
        judged = self._services.of(partitions)
        found = self._judged(now_ns, judged)
        told += self._silences.look(now_ns, found, self._last_tick, self._resumed_ns)
        released = self._silences.settle(now_ns, judged, found)
        told += [self._sighting(one, now_ns) for one in found]
        told += self._released(released.tolist(), now_ns)
        told += self._lifted(judged.tolist(), now_ns)
        told += self.promises.tick(judged.tolist())
        told += self._rules.tick(judged.tolist(), now_ns, self._resumed_ns)
        self._forget(self._services.retire(now_ns))
        return told

    def _resume(self, now_ns: int, paused: Mask) -> None:
        """Go on where nobody listened for a while."""
        if paused.any():
            resume(self._services, paused, now_ns - self._last_tick)
            self._resumed_ns[paused] = now_ns + RETRY_NS

    def _judged(self, now_ns: int, judged: I64) -> Any:
        """The findings of this tick, of the services in these rows."""
        settings, at, found = self._settings(now_ns), 0, [self._found[:0]]
        while at < len(judged):
            at, n_found = kernel.tick(
                now_ns,
                self._resumed_ns,
                self._services.state,
                settings,
                judged,
                at,
                self._found,
            )
            found.append(self._found[:n_found].copy())
        return np.concatenate(found)

    def holds(self, one: Open) -> bool:
        subject = Subject.of(one.tenant, one.service, one.environment)
        name = one.labels.get("symptom", "")
        if name not in SYMPTOMS:
            others = self.promises.holds(subject, one) or self._rules.holds(subject, one)
            return others or self._silences.outages.has(one)
        index = self._services.row(subject)
        if index < 0:
            return False
        symptom = self._services.state.symptom[index, SYMPTOMS.index(name)]
        return bool(symptom["is_open"]) and int(symptom["started_ns"]) == one.started_ns

    def noisy(self) -> list[Noisy]:
        """Services that would have paged too often."""
        return self.budget.noisy(self._now_ns)

    def dump(self, partition: int) -> bytes:
        ledgers = {one: self.budget.dump(one) for one in self._services.subjects(partition)}
        clock = (int(self._last_tick[partition]), int(self._resumed_ns[partition]))
        services = self._services.dump(partition, clock, ledgers)
        waiting = [one for place, one in self._waiting if place == partition]
        of = self._services.state.service["partition"]
        confirmed = sorted(
            (self._services.subject(index), time_ns)
            for index, time_ns in self._confirmed.items()
            if of[index] == partition
        )
        promises = self.promises.dump(partition)
        rules = self._rules.dump(partition)
        silences = self._silences.dump()
        kept = _Kept(services, promises, waiting, confirmed, silences, rules)
        return msgspec.msgpack.encode(kept)

    def load(self, partition: int, state: bytes) -> None:
        """Go on from here; with nothing to go on from, the partition is forgotten."""
        self._waiting = [one for one in self._waiting if one[0] != partition]
        of = self._services.state.service["partition"]
        for index in [one for one in self._confirmed if of[one] == partition]:
            del self._confirmed[index]
        self._forget(self._services.forget(partition))
        self._silences.forget()
        self._last_tick[partition] = self._resumed_ns[partition] = 0
        if not state:
            return
        kept = _decoder.decode(state)
        clock, ledgers = self._services.load(partition, kept.services)
        self._silences.load(kept.silences)
        self.promises.load(kept.promises)
        self._rules.load(kept.rules)
        self._waiting += [(partition, one) for one in kept.waiting]
        for names, time_ns in kept.confirmed:
            index = self._services.row(Subject.of(*names))
            if index >= 0:
                self._confirmed[index] = time_ns
        self._last_tick[partition], self._resumed_ns[partition] = clock
        self._now_ns = max(self._now_ns, clock[0])
        for subject, (pages, held) in ledgers.items():
            self.budget.load(subject, pages, held)

    def _forget(self, subjects: Sequence[Subject]) -> None:
        self.promises.forget(subjects)
        self._rules.forget(subjects)
        for subject in subjects:
            self.budget.forget(subject)

    def _settings(self, now_ns: int) -> Settings:
        n_services = self._services.n_before(now_ns)
        if self._made is None or self._made[0] != n_services:
            self._made = n_services, self._settings_for(n_services)
        return self._made[1]

    def _settings_for(self, n_services: int) -> Settings:
        config = self._config
        return Settings(
            self.budget.open_at(n_services),
            self.budget.page_at(n_services),
            round(config.learning_s * NS_PER_S),
            round(config.budget.rearm_s * NS_PER_S),
            round(config.watermark_s * NS_PER_S),
            config.least_requests,
            config.error_ratio,
            config.error_rise,
            config.latency_ratio,
            config.latency_rise_s,
            config.least_drop,
            config.least_surge,
            config.full,
        )

    def _placed(self, n_found: int, now_ns: int) -> list[tuple[int, Sighting]]:
        of = self._services.state.service["partition"]
        found = self._found[:n_found]
        told = [self._sighting(one, now_ns) for one in found]
        return list(zip(of[found["service"]].tolist(), told, strict=True))

    def _sighting(self, found: Any, now_ns: int) -> Sighting:
        """What a finding is to people. Pages are counted as they are decided."""
        index, which = int(found["service"]), int(found["symptom"])
        subject = self._services.subject(index)
        symptom = self._services.state.symptom[index, which]
        time_ns, score = int(found["time_ns"]), float(found["score"])
        if found["change"] != CLOSED and not symptom["is_page"]:
            reason = Reason.LEARNING
            if found["is_calibrated"]:
                n_services = self._services.n_before(now_ns)
                reason = self._decide((index, which), score, time_ns, n_services)
            symptom["is_page"] = reason.pages
        return _told(subject, found, symptom)

    def _decide(self, of: tuple[int, int], score: float, time_ns: int, n_services: int) -> Reason:
        index, which = of
        if self._services.state.symptom[index, which]["is_held"]:
            return Reason.SHARED
        confirmed = self._is_confirmed(index, time_ns)
        if which == SURGE and not confirmed:
            return Reason.WITHIN
        return self.budget.decide(
            self._services.subject(index),
            score,
            time_ns,
            n_services=n_services,
            confirmed=confirmed,
        )

    def _note(self, slot: int, time_ns: int) -> None:
        """A series was strange."""
        index = self._services.index_of(slot)
        if index < 0:
            return
        service = self._services.state.service[index]
        identity = self._catalog.identity[slot, 0]
        if service["series"][0] != identity:
            service["series"][1] = service["series"][0]
            service["series_ns"][1] = service["series_ns"][0]
            service["series"][0] = identity
        service["series_ns"][0] = time_ns
        if self._is_confirmed(index, time_ns):
            self._confirmed[index] = time_ns

    def _is_confirmed(self, index: int, time_ns: int) -> bool:
        service = self._services.state.service[index]
        both = service["series_ns"]
        return bool(service["series"].all() and (np.abs(both - time_ns) <= CONFIRMING_NS).all())

    def _released(self, released: Sequence[int], now_ns: int) -> list[Sighting]:
        """Silences that were evidence as part of an outage, and speak for themselves now."""
        told = []
        for index in released:
            one = self._sighting(self._services.again(index, SILENCE, now_ns), now_ns)
            if one.severity is Severity.PAGE:
                told.append(one)
        return told

    def _lifted(self, judged: Sequence[int], now_ns: int) -> list[Sighting]:
        """Symptoms that were evidence until two series of their service confirmed them."""
        told = []
        for index in [one for one in judged if one in self._confirmed]:
            time_ns = self._confirmed.pop(index)
            for which, symptom in enumerate(self._services.state.symptom[index]):
                if not symptom["is_open"] or symptom["is_page"] or which == SILENCE:
                    continue
                found = self._services.again(index, which, time_ns)
                one = self._sighting(found, now_ns)
                if symptom["is_page"]:
                    told.append(one)
        return told


def _told(subject: Subject, found: Any, symptom: Any) -> Sighting:
    name = SYMPTOMS[int(found["symptom"])]
    shared = {"outage": 1.0} if symptom["is_held"] else {}
    labels: Mapping[str, str] = {"service": subject.service, "symptom": name}
    if subject.environment:
        labels = {**labels, "environment": subject.environment}
    return Sighting(
        tenant=subject.tenant,
        entity=subject.entity,
        labels=labels,
        started_ns=int(found["started_ns"]),
        time_ns=int(found["time_ns"]),
        change=int(found["change"]),
        severity=Severity.PAGE if symptom["is_page"] else Severity.EVIDENCE,
        value=float(found["value"]),
        expected_low=float(found["low"]),
        expected_high=float(found["high"]),
        p_value=10.0 ** -min(300.0, max(0.0, float(found["score"]))),
        evidence={"score": float(found["score"]), "requests": float(found["n"])} | shared,
    )
