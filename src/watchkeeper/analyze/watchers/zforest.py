"""`zforest`: a preset. Deviations and an Isolation Forest against a day of a service's own rows.

A rule that many know, with its faults mended: the forest is fitted, on the day before, and again
every hour; it is asked in batches; what stood still has no deviations to divide by; of the scores
one side counts, as a very usual row is no strange one. One fault is its nature: with a
contamination of 0.1 a tenth of all rows is strange by construction. So it claims no more than
`info`, whatever it finds: the forest says when, deviations beyond 3 say which metrics.

A row is what the cells of a minute say of a service. Memory: 256 bytes per row, 370 kB a service.

Blind to: what comes once a day; what lasts for a day; what is strange by its order only; one metric
among many, however far it goes: trees know no farther than their own rows did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.joint.forest import MIN_BATCH
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting
from watchkeeper.analyze.watchers.services import Beyond, Subject, told
from watchkeeper.analyze.watchers.zforest_baseline import NAMED, Baseline
from watchkeeper.analyze.watchers.zforest_rows import (
    MAX_METRICS,
    Episode,
    Known,
    Service,
    kept_of,
    known_of,
)
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Mask

DAY_NS: Final = 86_400 * NS_PER_S
LEAST_ROWS: Final = 2 * MIN_BATCH
"""History without which nothing is judged: a baseline, and a batch."""
MOST_ROWS: Final = 4096
"""Of one service: those of a day, and what comes before it is due."""
CALM_ROWS: Final = 5
"""Usual ones that end an episode."""
MAX_NAMED: Final = 5
ABSURD: Final = 1e30
"""What is larger is broken, and would hide all deviations."""

_LEFT_OUT: Final = telemetry.counter(
    "watchkeeper_detect_zforest_left_out_total",
    "Series that `zforest` does not watch, as there are too many services, or metrics of one.",
)
Place = tuple[Subject, int] | None
_decoder = msgspec.msgpack.Decoder(list[Known])


class Zforest:
    """Services by name, for one thread."""

    name = "zforest"
    version = 1

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `zforest`."""

        services: Annotated[
            list[str], Meta(description="Which are watched, by name; `*` stands for any run.")
        ] = msgspec.field(default_factory=lambda: ["*"])
        contamination: Annotated[
            float, Meta(gt=0, lt=0.5, description="The share of rows that is called strange.")
        ] = 0.1
        seed: Annotated[int, Meta(ge=0, description="Of the forest's cuts.")] = 42
        every_s: Annotated[
            float, Meta(ge=60, description="Rows of so long are judged in one batch.")
        ] = 900.0
        refit_s: Annotated[
            float, Meta(ge=60, description="How old the baseline of a day may be.")
        ] = 3600.0
        lateness_s: Annotated[
            float, Meta(ge=0, description="How long rows wait for cells that close late.")
        ] = 150.0
        most_services: Annotated[
            int, Meta(ge=1, description="Services beyond these are not watched, and counted.")
        ] = 256

    def __init__(
        self,
        config: Config | None = None,
        *,
        catalog: KnownSeries,
        class_of: Callable[[int], MetricClass],
    ) -> None:
        self._config = config or self.Config()
        self._every_ns = round(self._config.every_s * NS_PER_S)
        self._refit_ns = round(self._config.refit_s * NS_PER_S)
        self._wait_ns = round(self._config.lateness_s * NS_PER_S)
        self._catalog = catalog
        self._class_of = class_of
        self._services: dict[Subject, Service] = {}
        self._places: dict[int, tuple[bytes, Place]] = {}
        """By slot: whose it is, and where its values go."""

    def see(self, seen: Seen) -> None:
        cells = seen.cells
        columns = (cells.slot.tolist(), cells.time_ns.tolist(), cells.value.tolist())
        for slot, time_ns, value in zip(*columns, strict=True):
            place = self._place(slot)
            if place is not None:
                self._put(place, time_ns - time_ns % (60 * NS_PER_S), value)

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting]:
        due_ns = (now_ns - self._wait_ns) // self._every_ns * self._every_ns
        told: list[Sighting] = []
        for subject in sorted(self._services):
            service = self._services[subject]
            if partitions[service.partition] and service.judged_ns < due_ns:
                told += self._judge(service, due_ns)
                service.judged_ns = due_ns
                self._trim(service)
        return told

    def holds(self, one: Open) -> bool:
        service = self._services.get(Subject.of(one.tenant, one.service, one.environment))
        episode = None if service is None else service.episode
        return episode is not None and episode.started_ns == one.started_ns

    def dump(self, partition: int) -> bytes:
        mine = sorted(s for s, one in self._services.items() if one.partition == partition)
        return msgspec.msgpack.encode([kept_of(self._services[one]) for one in mine])

    def load(self, partition: int, state: bytes) -> None:
        for subject in [s for s, one in self._services.items() if one.partition == partition]:
            del self._services[subject]
        self._places.clear()
        for kept in _decoder.decode(state) if state else ():
            service = known_of(kept, partition)
            self._services[service.subject] = service

    # Below: cells to rows.

    def _place(self, slot: int) -> Place:
        identity = self._catalog.identity[slot].tobytes()
        whose, place = self._places.get(slot, (b"", None))
        if whose != identity:
            place = self._found(slot, identity)
            self._places[slot] = (identity, place)
        return place

    def _found(self, slot: int, identity: bytes) -> Place:
        series = self._catalog.series(slot)
        subject = Subject(series.tenant, series.entity.service, series.entity.environment)
        if not subject.service or self._class_of(slot) is MetricClass.STATE:
            return None
        if not any(fnmatchcase(subject.service, one) for one in self._config.services):
            return None
        service = self._services.get(subject)
        if service is None and len(self._services) < self._config.most_services:
            service = Service(subject, int(self._catalog.partition[slot]))
            self._services[subject] = service
        if service is None or (
            identity not in service.metrics and len(service.metrics) >= MAX_METRICS
        ):
            _LEFT_OUT.add(1)
            return None
        service.metrics.setdefault(identity, _name(series.metric, series.labels))
        return subject, list(service.metrics).index(identity)

    def _put(self, place: tuple[Subject, int], time_ns: int, value: float) -> None:
        service = self._services[place[0]]
        if time_ns < service.judged_ns or abs(value) > ABSURD:
            return
        row = service.rows.get(time_ns)
        if row is None:
            if len(service.rows) >= MOST_ROWS:
                return
            row = service.rows[time_ns] = np.full(MAX_METRICS, np.nan, np.float32)
        row[place[1]] = value

    # Below: rows to findings.

    def _judge(self, service: Service, due_ns: int) -> Iterator[Sighting]:
        """What the rows say that were not judged yet, in one batch."""
        if service.judged_ns - service.fitted_ns >= self._refit_ns:
            self._refit(service)
        elif service.fitted_ns and service.baseline is None:
            self._fit(service)  # after a restart
        times = service.between(0, due_ns)
        n_new = sum(1 for one in times if one >= service.judged_ns)
        if service.baseline is None or not n_new:
            if service.episode is not None:
                yield _over(service, service.episode, due_ns)
            return
        batch = times[-max(MIN_BATCH, n_new) :]
        scores = service.baseline.scores(service.matrix(batch, service.n_fitted))
        yield from _episodes(service, service.baseline, batch[-n_new:], scores[-n_new:].tolist())

    def _refit(self, service: Service) -> None:
        """On the day that was judged; with less than enough of it, there is no baseline."""
        day = service.between(service.judged_ns - DAY_NS, service.judged_ns)
        service.baseline, service.fitted_ns = None, 0
        if len(day) < LEAST_ROWS:
            return
        service.release()
        self._places.clear()
        service.fitted_ns, service.n_fitted = service.judged_ns, len(service.metrics)
        self._fit(service)

    def _fit(self, service: Service) -> None:
        day = service.between(service.fitted_ns - DAY_NS, service.fitted_ns)
        service.baseline = Baseline.of(
            service.matrix(day, service.n_fitted),
            contamination=self._config.contamination,
            seed=self._config.seed,
        )

    def _trim(self, service: Service) -> None:
        """Let go of rows that no baseline asks for, and of a service without any."""
        from_ns = (service.fitted_ns or service.judged_ns) - DAY_NS
        for time_ns in [one for one in service.rows if one < from_ns]:
            del service.rows[time_ns]
        if not service.rows and service.episode is None:
            del self._services[service.subject]
            self._places.clear()


def _episodes(
    service: Service, baseline: Baseline, times: Sequence[int], scores: Sequence[float]
) -> Iterator[Sighting]:
    """What new rows begin, worsen and end; of a peak within the batch nothing less is told."""
    for time_ns, score in zip(times, scores, strict=True):
        episode = service.episode
        if score <= baseline.limit:
            yield from _calmer(service, time_ns)
        elif episode is None:
            service.episode = Episode(time_ns, score, baseline.limit)
            yield _told(service, service.episode, time_ns, OPENED, baseline)
        else:
            episode.calm = 0
            if score > episode.peak:
                episode.peak, episode.limit = score, baseline.limit
                yield _told(service, episode, time_ns, WORSENED, baseline)


def _calmer(service: Service, time_ns: int) -> Iterator[Sighting]:
    """A usual row; enough of them end an episode."""
    episode = service.episode
    if episode is None:
        return
    episode.calm += 1
    if episode.calm >= CALM_ROWS:
        yield _over(service, episode, time_ns)


def _over(service: Service, episode: Episode, time_ns: int) -> Sighting:
    service.episode = None
    return _told(service, episode, time_ns, CLOSED, None)


def _told(
    service: Service, episode: Episode, time_ns: int, change: int, baseline: Baseline | None
) -> Sighting:
    beyond = Beyond(episode.peak, episode.limit)
    if baseline is not None:
        evidence = _named(service, baseline, time_ns)
        beyond = Beyond(episode.peak, episode.limit, baseline.p_value(episode.peak), evidence)
    span = episode.started_ns, time_ns
    return told(service.subject, {"finding": "zforest"}, span, change, Severity.INFO, beyond)


def _named(service: Service, baseline: Baseline, time_ns: int) -> dict[str, float]:
    """The metrics that are beyond 3 deviations, the farthest first."""
    row = service.rows[time_ns].astype(np.float64)
    away = baseline.deviations(row)
    names = list(service.metrics.values())
    far = [int(at) for at in np.argsort(-np.abs(away), kind="stable") if abs(away[at]) > NAMED]
    return {names[at]: round(float(away[at]), 3) for at in far[:MAX_NAMED]}


def _name(metric: str, labels: Mapping[str, str]) -> str:
    """The series as people write it, without what its service says already."""
    said = ("__name__", "service", "environment")
    rest = ",".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k not in said)
    return f"{metric}{{{rest}}}" if rest else metric
