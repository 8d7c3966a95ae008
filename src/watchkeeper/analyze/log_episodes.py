"""Open findings of one service's lines, how grave they may be, and when they end.

No more than a few hours of a week may have evidence: whatever comes within an hour of what was
granted is the same incident, and beyond the budget findings are shown and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import Entity, TenantId

HOUR_NS: Final = 3600 * NS_PER_S
_WEEK_NS: Final = 7 * 24 * HOUR_NS
_LEAST_P: Final = 1e-300
_WORSE: Final = 10.0
"""So many times less likely than before is worth telling."""


@dataclass(frozen=True, slots=True)
class Strange:
    """Something of a service's lines, seen in one minute."""

    detector: str
    template: int
    """Whose lines; OTHER where all are meant."""
    labels: Mapping[str, str]
    value: float
    low: float
    high: float
    p_value: float
    is_evidence: bool
    """Whether it is rare enough for that."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    lasts_s: float = 3600.0
    """From the last time that it was seen; then it is over."""


class _Open(msgspec.Struct, array_like=True):
    """An episode."""

    labels: dict[str, str]
    started_ns: int
    until_ns: int
    is_evidence: bool
    value: float
    low: float
    high: float
    p_value: float


class EpisodeState(msgspec.Struct, array_like=True):
    """As it is kept."""

    open: list[tuple[str, int, _Open]] = []
    granted: list[int] = []


class Episodes:
    """A state machine. `said` has what changed since it was emptied."""

    def __init__(self, tenant: TenantId, entity: Entity, *, hours_per_week: int) -> None:
        self._tenant = tenant
        self._entity = entity
        self.hours_per_week = hours_per_week
        self._open: dict[tuple[str, int], _Open] = {}
        self._granted: list[int] = []
        self.said: list[tuple[str, Sighting]] = []

    def is_open(self, detector: str, template: int) -> bool:
        return (detector, template) in self._open

    def is_info(self, detector: str, template: int) -> bool:
        """Whether it is open, and no evidence."""
        known = self._open.get((detector, template))
        return known is not None and not known.is_evidence

    def n_open(self, detector: str) -> int:
        return sum(name == detector for name, _ in self._open)

    def see(self, strange: Strange, now_ns: int) -> None:
        """Open an episode, or go on with it."""
        key = strange.detector, strange.template
        until_ns = now_ns + round(strange.lasts_s * NS_PER_S)
        known = self._open.get(key)
        if known is None:
            is_evidence = strange.is_evidence and self._grant(now_ns)
            made = _Open(
                dict(strange.labels),
                now_ns,
                until_ns,
                is_evidence,
                strange.value,
                strange.low,
                strange.high,
                strange.p_value,
            )
            self._open[key] = made
            self._say(strange.detector, made, OPENED, now_ns, strange.evidence)
            return
        known.until_ns = until_ns
        if strange.p_value > known.p_value / _WORSE:
            return
        known.value, known.low, known.high = strange.value, strange.low, strange.high
        known.p_value = strange.p_value
        if strange.is_evidence and not known.is_evidence:
            known.is_evidence = self._grant(now_ns)
        self._say(strange.detector, known, WORSENED, now_ns, strange.evidence)

    def end(self, detector: str, template: int, now_ns: int) -> None:
        """It is over, if it was open."""
        known = self._open.pop((detector, template), None)
        if known is not None:
            self._say(detector, known, CLOSED, now_ns, {})

    def tick(self, now_ns: int) -> None:
        """End what was not seen for long enough."""
        for key in [key for key, one in self._open.items() if one.until_ns <= now_ns]:
            self.end(*key, now_ns)

    def leave(self, now_ns: int) -> None:
        """End all: nothing is known of the service any more."""
        for key in list(self._open):
            self.end(*key, now_ns)

    def dump(self) -> EpisodeState:
        return EpisodeState([(*key, one) for key, one in self._open.items()], self._granted)

    def load(self, state: EpisodeState) -> None:
        self._open = {(name, template): one for name, template, one in state.open}
        self._granted = list(state.granted)

    def _grant(self, now_ns: int) -> bool:
        self._granted = [one for one in self._granted if one > now_ns - _WEEK_NS]
        if self._granted and now_ns - self._granted[-1] < HOUR_NS:
            return True
        if len(self._granted) >= self.hours_per_week:
            return False
        self._granted.append(now_ns)
        return True

    def _say(
        self, detector: str, one: _Open, change: int, now_ns: int, evidence: Mapping[str, float]
    ) -> None:
        self.said.append(
            (
                detector,
                Sighting(
                    tenant=self._tenant,
                    entity=self._entity,
                    labels=one.labels,
                    started_ns=one.started_ns,
                    time_ns=now_ns,
                    change=change,
                    severity=Severity.EVIDENCE if one.is_evidence else Severity.INFO,
                    value=one.value,
                    expected_low=one.low,
                    expected_high=one.high,
                    p_value=max(one.p_value, _LEAST_P),
                    evidence=evidence,
                ),
            )
        )
