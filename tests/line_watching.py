"""What tests of watched log lines share: services whose lines are told minute by minute."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from tests.templating import SHOP, batch
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.log_episodes import Episodes
from watchkeeper.analyze.log_open_sessions import Session
from watchkeeper.analyze.log_rates import LogRates
from watchkeeper.analyze.log_service import ServiceLog
from watchkeeper.analyze.log_state import ServiceState
from watchkeeper.analyze.log_watch import Kept, LogWatch
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.analyze.template_runs import Runs
from watchkeeper.analyze.templates import Templates
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.model.row import texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity
from watchkeeper.model.signal import LogBatch
from watchkeeper.model.template import fingerprints

S: Final = 1_000_000_000
MINUTE: Final = 60 * S
BEGAN: Final = 1_767_571_200 * S
INFO, WARN, ERROR, FATAL = 9, 13, 17, 21
_CHANGES: Final = {OPENED: "opened", WORSENED: "worsened", CLOSED: "closed"}


class Told(NamedTuple):
    """A sighting, for tests that read stories."""

    change: str
    detector: str
    pattern: str
    severity: str


class Story:
    """Lines of one service, counted by the minute, with a tick behind each."""

    def __init__(self, **settings: Any) -> None:
        self._config = LogWatchConfig(**settings)
        self.groups = Groups(TemplatesConfig())
        self.service = _service(self._config)
        self.now_ns = BEGAN
        self.said: list[Sighting] = []
        self.tick()

    def tick(self) -> list[Told]:
        compared = self.groups.tick(self.now_ns)
        self.service.tick(self.now_ns, self.groups, is_compared=compared)
        said = list(self.service.episodes.said)
        self.service.episodes.said.clear()
        self.said += [one for _, one in said]
        return [_told(name, one) for name, one in said]

    def lines(self, line: str, n: int = 1, severity: int = INFO, *, ago_ns: int = 0) -> None:
        """So many of now, or of before."""
        known = fingerprint(line)
        if not self.groups.knows(known):
            self.groups.meet(known, line)
        time_ns = self.now_ns - ago_ns
        self.groups.count(known, n, time_ns, time_ns)
        self.service.count(known, severity, time_ns // MINUTE, n)
        if severity >= ERROR:
            self.service.count_errors(time_ns // MINUTE, n)

    def minute(self, lines: Mapping[str, int]) -> list[Told]:
        """What is said at the end of a minute with these lines, and with others told before."""
        for line, n in lines.items():
            self.lines(line, n)
        self.now_ns += MINUTE
        return self.tick()

    def minutes(self, n: int, lines: Mapping[str, int]) -> list[Told]:
        return [one for _ in range(n) for one in self.minute(lines)]

    def restarted(self) -> Story:
        """Another process that goes on from a checkpoint."""
        other = Story()
        other.load(*self.dump())
        return other

    def dump(self) -> tuple[bytes, bytes, int]:
        state = msgspec.msgpack.encode(self.service.dump())
        return self.groups.dump(), state, self.now_ns

    def load(self, groups: bytes, state: bytes, now_ns: int) -> None:
        self.groups.load(groups)
        self.service = _service(self._config)
        self.service.load(msgspec.msgpack.decode(state, type=ServiceState))
        self.now_ns = now_ns


class Watched:
    """Batches of lines for all services, which are of partition 3."""

    def __init__(self, *, patterns: int = 2000, **settings: Any) -> None:
        kept = TemplatesConfig(patterns_per_service=patterns)
        self.templates = Templates(kept, lambda _tenant, _service: 3)
        config = LogWatchConfig(**settings)
        self.watch = LogWatch(config, self.templates, lambda _tenant, _service: 3)
        self.now_ns = BEGAN

    def take(self, given: LogBatch) -> None:
        runs = Runs(given)
        self.templates.take_runs(given, runs, lambda _: True)
        self.watch.take(given, runs)

    def minutes(self, n: int) -> list[Sighting]:
        """What is said at the ends of so many minutes."""
        said: list[Sighting] = []
        for _ in range(n):
            self.now_ns += MINUTE
            compared = self.templates.tick(self.now_ns)
            said += [one for _, one in self.watch.tick(self.now_ns, compared)]
        return said

    def open_sessions(self) -> list[Session]:
        """Of all services."""
        _, kept = msgspec.msgpack.decode(self.watch.dump(3), type=tuple[int, list[Kept]])
        return [session for one in kept for session in one.state.sessions.open.open.values()]


def _service(config: LogWatchConfig) -> ServiceLog:
    episodes = Episodes(DEFAULT_TENANT, Entity(SHOP), hours_per_week=config.evidence_hours_per_week)
    return ServiceLog(config, LogRates(64), episodes, SHOP)


@functools.cache
def fingerprint(line: str) -> int:
    return int(fingerprints(texts([line.encode()]))[0])


def lines_of(
    lines: Sequence[str],
    time_ns: int,
    severity: int = INFO,
    *,
    service: str = SHOP,
    traces: Sequence[int] = (),
) -> LogBatch:
    """With as many traces as there are lines, each is of its trace."""
    made = batch(lines, service=service, time_ns=time_ns)
    trace = np.zeros((len(lines), 2), np.uint64)
    if traces:
        trace[:, 1] = traces
    return replace(made, severity=np.full(len(lines), severity, np.uint8), trace=trace)


def _told(detector: str, one: Sighting) -> Told:
    pattern = one.labels.get("pattern", one.labels.get("template", ""))
    return Told(_CHANGES[one.change], detector, pattern, one.severity.value)
