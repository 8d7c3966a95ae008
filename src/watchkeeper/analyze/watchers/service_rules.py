"""Fixed limits for services: a share of errors, a share of time-outs, no requests for a while.

For those who want just that. Limits know nothing of what is usual, so what they find is evidence
and never a page. Known faults of such rules are mended: 20 requests are the least that a share is
taken of, as of 5 one failure is 20 % already; nobody is silent who was not busy before, or who is
heard of only every so often; and an episode ends when its limit has not been passed for a window
and the longest pause between samples, so it does not flap.

Counted from the bins of `symptoms.py`, once every ten seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.watchers.base import Open, Sighting
from watchkeeper.analyze.watchers.service_rows import N_BINS
from watchkeeper.analyze.watchers.services import Beyond, Services, Subject, told
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import I64

ERRORS, TIMEOUTS, SILENT = "error_share", "timeout_share", "no_requests"
"""What these rules call what they find."""
BIN_S: Final = 10
BIN_NS: Final = BIN_S * NS_PER_S
PAUSE_NS: Final = 150 * NS_PER_S
"""What is counted over a longer time tells nothing of any ten seconds; see `intake_kernel.py`."""
GIVEN_UP_NS: Final = 86_400 * NS_PER_S
"""After a day without requests nobody expects any."""
_HALF: Final = N_BINS // 2
_REQUESTS, _FAILED, _TIMED = 0, 1, 5
"""Columns of bins; requests whose time is known begin with all of them."""


Share = Annotated[float, Meta(gt=0, lt=1)]


class ServiceRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits for some services. What is left out, or null, is not looked at."""

    services: Annotated[
        list[str], Meta(description="For which, by name; `*` stands for any run.")
    ] = msgspec.field(default_factory=lambda: ["*"])
    window_s: Annotated[
        int, Meta(ge=10, le=300, description="Shares are those of so long a time.")
    ] = 60
    least_requests: Annotated[
        float, Meta(ge=1, description="Fewer in the window have no share, and were not busy.")
    ] = 20.0
    error_share: Annotated[
        Share | None, Meta(description="More failed requests than this are told.")
    ] = 0.2
    timeout_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Slower requests count as timed out, by the next bucket's bound."),
    ] = None
    timeout_share: Annotated[Share, Meta(description="More of these are told.")] = 0.05
    silence_s: Annotated[
        Annotated[float, Meta(ge=30)] | None,
        Meta(description="Told of is who was busy and has had no request for so long."),
    ] = None


class Breach(msgspec.Struct, array_like=True):
    """Of one limit, as long as it is told."""

    since_ns: int
    held_ns: int
    """By the ticks: when it was last passed."""
    value: float
    limit: float


class Watch(msgspec.Struct, array_like=True):
    """Of one service."""

    checked: int = 0
    """The newest bin of a tick that it was looked at."""
    judged: int = 0
    """Bins before were looked at."""
    busy: int = 0
    """The end of the newest window with enough requests."""
    last: int = 0
    """The newest bin with a request."""
    breaches: dict[str, Breach] = {}


Kept = list[tuple[str, str, str, Watch]]
Passed = dict[str, tuple[float, float]]
"""By name, what was beyond its limit, and the limit."""


class ServiceRules:
    """By service, the first rule that names it; each belongs to its service's partition."""

    def __init__(self, rules: Sequence[ServiceRule], services: Services) -> None:
        self._rules = rules
        self._services = services
        self._watches: dict[Subject, Watch] = {}

    def tick(self, indices: Sequence[int], now_ns: int, resumed: I64) -> Iterator[Sighting]:
        """What changed, of the services in these rows; `resumed` says by partition when listening
        began."""
        if not self._rules and not self._watches:
            return
        for index in indices:
            subject = self._services.subject(index)
            rule = self._rule(subject)
            if rule is None and subject not in self._watches:
                continue
            watch = self._watches.setdefault(subject, Watch())
            if watch.checked < now_ns // BIN_NS:
                watch.checked = now_ns // BIN_NS
                passed = {} if rule is None else self._passed(rule, index, watch, now_ns, resumed)
                yield from _changed(subject, watch, passed, rule, now_ns)
            if rule is None and not watch.breaches:
                del self._watches[subject]

    def holds(self, subject: Subject, one: Open) -> bool:
        watch = self._watches.get(subject, Watch())
        breach = watch.breaches.get(one.labels.get("symptom", ""))
        return breach is not None and breach.since_ns == one.started_ns

    def dump(self, partition: int) -> Kept:
        ours = set(self._services.subjects(partition))
        return [(*one, watch) for one, watch in sorted(self._watches.items()) if one in ours]

    def load(self, kept: Kept) -> None:
        """Of a partition whose services are known again."""
        for tenant, service, environment, watch in kept:
            self._watches[Subject.of(tenant, service, environment)] = watch

    def forget(self, subjects: Sequence[Subject]) -> None:
        for one in subjects:
            self._watches.pop(one, None)

    def _rule(self, subject: Subject) -> ServiceRule | None:
        fitting = (
            rule
            for rule in self._rules
            if any(fnmatchcase(subject.service, glob) for glob in rule.services)
        )
        return next(fitting, None)

    def _passed(
        self, rule: ServiceRule, index: int, watch: Watch, now_ns: int, resumed: I64
    ) -> Passed:
        service = self._services.state.service[index]
        next_bin = int(service["next_bin"])
        passed: Passed = {}
        if next_bin > watch.judged:
            watch.judged = next_bin
            counts = self._window(rule, index)
            if counts[_REQUESTS] >= rule.least_requests:
                watch.busy = next_bin
            passed |= _errors(rule, counts)
            passed |= self._timeouts(rule, index, counts)
        if rule.silence_s is not None and next_bin:
            heard_ns = int(resumed[service["partition"]])
            passed |= self._silent(rule, index, watch, now_ns, heard_ns)
        return passed

    def _window(self, rule: ServiceRule, index: int) -> Any:
        """What was counted in the newest window that is judged."""
        service = self._services.state.service[index]
        end = int(service["next_bin"])
        first = max(end - -(-rule.window_s // BIN_S), int(service["first_bin"]))
        bins = np.arange(first, end) % N_BINS
        return self._services.state.ring[index, bins].sum(axis=0, dtype=np.float64)

    def _timeouts(self, rule: ServiceRule, index: int, counts: Any) -> Passed:
        """By the least bound from `timeout_s` on; where there is none, nothing is known."""
        n = int(self._services.state.service[index]["n_bounds"])
        asked = float(counts[_TIMED]) if n else 0.0
        if rule.timeout_s is None or asked < rule.least_requests:
            return {}
        bounds = self._services.state.bounds[index, :n].astype(np.float64)
        fits = np.isfinite(bounds) & (bounds >= rule.timeout_s * (1.0 - 1e-6))
        if not fits.any():
            return {}
        column = int(np.argmin(np.where(fits, bounds, np.inf)))
        share = max(0.0, 1.0 - float(counts[_TIMED + column]) / asked)
        return {TIMEOUTS: (share, rule.timeout_share)} if share > rule.timeout_share else {}

    def _silent(
        self, rule: ServiceRule, index: int, watch: Watch, now_ns: int, heard_ns: int
    ) -> Passed:
        service, ring = self._services.state.service[index], self._services.state.ring[index]
        bins = np.arange(int(service["next_bin"]) - _HALF, int(service["next_bin"]) + _HALF)
        asked = bins[ring[bins % N_BINS, _REQUESTS] > 0.0]
        watch.last = max(watch.last, int(asked.max(initial=0)))
        since_ns = (watch.last + 1) * BIN_NS
        if now_ns - since_ns > GIVEN_UP_NS:
            watch.busy = 0
        silent_s = (now_ns - max(since_ns, heard_ns)) / NS_PER_S
        limit = max(rule.silence_s or 0.0, 2.0 * float(service["interval_s"]) + BIN_S)
        was_busy = watch.busy > 0 and watch.busy + rule.window_s // BIN_S > watch.last
        is_silent = was_busy and bool(service["is_live"]) and silent_s > limit
        return {SILENT: (silent_s, limit)} if is_silent else {}


def _errors(rule: ServiceRule, counts: Any) -> Passed:
    requests = float(counts[_REQUESTS])
    if rule.error_share is None or requests < rule.least_requests:
        return {}
    share = min(1.0, float(counts[_FAILED]) / requests)
    return {ERRORS: (share, rule.error_share)} if share > rule.error_share else {}


def _changed(
    subject: Subject, watch: Watch, passed: Passed, rule: ServiceRule | None, now_ns: int
) -> Iterator[Sighting]:
    """What begins, and what is over."""
    for name, (value, limit) in passed.items():
        if name in watch.breaches:
            watch.breaches[name].held_ns = now_ns
        else:
            watch.breaches[name] = Breach(now_ns, now_ns, value, limit)
            yield _told(subject, name, watch.breaches[name], now_ns, OPENED)
    calm_ns = PAUSE_NS + (0 if rule is None else rule.window_s * NS_PER_S)
    for name, breach in sorted(watch.breaches.items()):
        is_over = now_ns - breach.held_ns >= calm_ns
        if name not in passed and (is_over or name == SILENT):
            del watch.breaches[name]
            yield _told(subject, name, breach, now_ns, CLOSED)


def _told(subject: Subject, name: str, breach: Breach, now_ns: int, change: int) -> Sighting:
    beyond = Beyond(breach.value, breach.limit, evidence={name: breach.value})
    span = breach.since_ns, now_ns
    return told(subject, {"symptom": name}, span, change, Severity.EVIDENCE, beyond)
