"""Silence that services share: what a collector took with it is one message, and one page.

When a service is silent, those that may have stopped with it are counted (`outage_census.py`). If
they are most of those from one place, that is an outage of this place, and their own silence stays
evidence. As long as they only may be, it waits, three minutes at most. An outage is told again when
a quarter more are silent. Once half of its services are heard again, the others have two minutes;
who is silent after that speaks alone.

Outages are written down, with the ticks at which they began and ended, and every partition's
checkpoint has them all. Partitions that are told again after a restart read there what was known
at their ticks, and count anew from the first tick that none of them had seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.watchers.base import Open, Sighting
from watchkeeper.analyze.watchers.outage_census import TOGETHER_NS, Census, Scope, Window
from watchkeeper.analyze.watchers.services import WORSENED
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import F64, I64, Entity, Mask, TenantId

SYMPTOM: Final = "outage"
GRACE_NS: Final = 120 * NS_PER_S
"""For those that are not heard yet when half of an outage's services are."""
MORE: Final = 1.25
KEPT_NS: Final = 3_600 * NS_PER_S
"""Of what is over; checkpoints of partitions are no farther apart."""
MOST: Final = 256
"""Outages that are written down."""
MOST_WINDOWS: Final = 16
"""Of one outage."""
MOST_WEIGHED: Final = 16
"""In one tick; beyond that, who is silent speaks alone."""


class Outage(msgspec.Struct, array_like=True):
    """Of services that share something, or what may become one."""

    tenant: str
    shared: dict[str, str]
    """Places by name; with none, all services of the tenant."""
    started_ns: int
    windows: list[Window]
    is_outage: bool
    closed_ns: int = 0
    n_silent: int = 0
    """As it was told."""
    n_most: int = 0
    n_known: int = 0
    returning_ns: int = 0
    is_page: bool = False

    @property
    def name(self) -> tuple[str, tuple[tuple[str, str], ...], int, int]:
        return self.tenant, tuple(sorted(self.shared.items())), self.started_ns, self.since_ns

    @property
    def since_ns(self) -> int:
        return self.windows[0].since_ns

    def is_open(self, now_ns: int) -> bool:
        return self.since_ns <= now_ns and (self.closed_ns == 0 or now_ns < self.closed_ns)

    def holds(self, stopped_ns: I64, gap_s: F64, now_ns: int) -> Mask:
        """Which services of this place, that stopped then, were part of it at that tick."""
        found = np.zeros(len(stopped_ns), np.bool_)
        for one in self.windows:
            if one.since_ns <= now_ns:
                found |= one.holds(stopped_ns, gap_s)
        return found

    def goes_on(self, window: Window) -> bool:
        """Whether those that stop now may belong to it: soon after the others, or as these come
        back."""
        last_ns = max(one.to_ns for one in self.windows)
        return self.returning_ns > 0 or window.ref_ns <= last_ns + TOGETHER_NS

    def members(self, census: Census) -> Mask:
        """Places of the services that are still silent."""
        found = np.zeros(len(census.rows), np.bool_)
        for one in self.windows:
            found |= census.within(one)
        return found & census.scope(self.tenant, self.shared)


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """In a checkpoint."""

    newest_ns: int = 0
    """The tick up to which it says all."""
    outages: list[Outage] = []


class Change(NamedTuple):
    """Of an outage; it is what it was when it is over."""

    change: int
    outage: Outage
    rows: Sequence[int] = ()
    """Of its services, as it opens."""


@dataclass(slots=True)
class _Look:
    """At one tick."""

    now_ns: int
    census: Census
    waiting: Mask
    explained: Mask


class Outages:
    """Of all tenants. For one thread."""

    def __init__(self) -> None:
        self._outages: list[Outage] = []
        self._newest_ns = 0
        self._told_until_ns = 0
        """Up to here it was counted by whoever wrote the checkpoints."""

    def __bool__(self) -> bool:
        return any(not one.closed_ns for one in self._outages)

    @property
    def has_any(self) -> bool:
        return bool(self._outages)

    @property
    def newest_ns(self) -> int:
        return self._newest_ns

    def knows(self, now_ns: int) -> bool:
        """Whether what there was at a tick is written down."""
        return now_ns <= self._told_until_ns

    def of(self, now_ns: int) -> list[Outage]:
        """Those that there were at a tick."""
        return [one for one in self._outages if one.is_open(now_ns)]

    def has(self, told: Open) -> bool:
        """Whether an outage that was told of goes on."""
        return any(
            (one.tenant, one.started_ns) == (told.tenant, told.started_ns)
            and {"symptom": SYMPTOM, **one.shared} == told.labels
            for one in self._open()
        )

    def look(self, now_ns: int, census: Census, waiting: Mask) -> list[Change]:
        """Count again. `waiting` are the places of services whose silence is new, or held back."""
        self._newest_ns = now_ns
        self._forget()
        changes = [change for one in self._open() for change in self._follow(one, now_ns, census)]
        explained = np.zeros(len(census.rows), np.bool_)
        for one in self._open():
            explained |= one.members(census)
        look = _Look(now_ns, census, waiting & census.known & ~explained, explained)
        maybe: list[Outage] = []
        for _ in range(MOST_WEIGHED):
            if not look.waiting.any():
                break
            changes += self._weigh(look, maybe)
        self._suspect(now_ns, maybe)
        return changes

    def note(self, now_ns: int) -> None:
        """Nobody is silent and no outage is open at this tick."""
        self._newest_ns = max(self._newest_ns, now_ns)
        self._forget()

    def dump(self) -> Kept:
        return Kept(self._newest_ns, sorted(self._outages, key=lambda one: one.name))

    def load(self, kept: Kept) -> None:
        """What the newest checkpoint says counts; what only others say is added."""
        older, newer = kept.outages, self._outages
        if kept.newest_ns >= self._newest_ns:
            older, newer = newer, older
        self._newest_ns = max(self._newest_ns, kept.newest_ns)
        self._told_until_ns = max(self._told_until_ns, kept.newest_ns)
        self._outages = list({one.name: one for one in [*older, *newer]}.values())
        self._forget()

    def forget(self) -> None:
        """There is no service any more."""
        self._outages.clear()
        self._newest_ns = self._told_until_ns = 0

    def _open(self) -> list[Outage]:
        return [one for one in self._outages if one.is_outage and not one.closed_ns]

    def _forget(self) -> None:
        before_ns = self._newest_ns - KEPT_NS
        if self._outages:
            kept = [one for one in self._outages if not 0 < one.closed_ns < before_ns]
            kept.sort(key=lambda one: (one.closed_ns == 0, one.closed_ns, one.name))
            self._outages = kept[-MOST:]

    def _follow(self, one: Outage, now_ns: int, census: Census) -> Iterator[Change]:
        """An outage that goes on, or ends."""
        n_silent = int(one.members(census).sum())
        one.n_most = max(one.n_most, n_silent)
        if 2 * n_silent > one.n_most:
            one.returning_ns = 0
        elif not one.returning_ns:
            one.returning_ns = now_ns
        if not n_silent or (one.returning_ns and now_ns - one.returning_ns >= GRACE_NS):
            one.closed_ns = now_ns
            yield Change(CLOSED, one)
        elif n_silent >= MORE * one.n_silent:
            one.n_silent, one.n_known = n_silent, max(one.n_known, n_silent)
            yield Change(WORSENED, one)

    def _weigh(self, look: _Look, maybe: list[Outage]) -> Iterator[Change]:
        """Whether those that wait and stopped last stopped with others; they wait no more."""
        census = look.census
        at = int(np.argmax(np.where(look.waiting, census.stopped_ns, -1)))
        window = census.window(at, look.now_ns)
        if self._extend(look, at, window):
            return
        scope = census.weigh(window, look.waiting, look.explained)
        if scope is None:
            look.waiting &= ~census.within(window)
            return
        look.waiting &= ~scope.quiet
        look.waiting[at] = False
        if not scope.is_outage:
            maybe.append(_outage(scope, window, window.ref_ns))
            return
        look.explained |= scope.quiet
        yield from self._begin(scope, window, look)

    def _extend(self, look: _Look, at: int, window: Window) -> bool:
        """Where nobody else of an outage's place was heard since, a straggler is part of it."""
        census = look.census
        for one in self._open():
            mine = census.scope(one.tenant, one.shared) & ~look.explained
            is_alone = not (mine & census.heard(window)).any()
            if mine[at] and is_alone and self._widen(one, window, look):
                return True
        return False

    def _widen(self, one: Outage, window: Window, look: _Look) -> bool:
        if not one.goes_on(window) or len(one.windows) >= MOST_WINDOWS:
            return False
        one.windows.append(window)
        one.returning_ns = 0
        members = one.members(look.census)
        look.explained |= members
        look.waiting &= ~members
        return True

    def _begin(self, scope: Scope, window: Window, look: _Look) -> Iterator[Change]:
        same = (one for one in self._open() if one.tenant == scope.tenant)
        if any(
            one.shared.items() <= scope.shared.items() and self._widen(one, window, look)
            for one in same
        ):
            return
        if len(self._outages) >= MOST and all(not one.closed_ns for one in self._outages):
            return
        started_ns = int(look.census.stopped_ns[scope.quiet].min())
        one = _outage(scope, window, started_ns)
        one.n_silent = one.n_most = scope.n_late
        one.n_known = scope.n_known
        self._outages.append(one)
        yield Change(OPENED, one, look.census.rows[scope.quiet].tolist())

    def _suspect(self, now_ns: int, maybe: Sequence[Outage]) -> None:
        """From now on these may become outages, and no others."""
        goes_on = [_likeness(one) for one in maybe]
        known = []
        for one in self._outages:
            if one.is_outage or one.closed_ns:
                continue
            if _likeness(one) in goes_on:
                known.append(_likeness(one))
            else:
                one.closed_ns = now_ns
        self._outages += [one for one in maybe if _likeness(one) not in known]
        self._forget()


def _outage(scope: Scope, window: Window, started_ns: int) -> Outage:
    return Outage(scope.tenant, scope.shared, started_ns, [window], scope.is_outage)


def _likeness(one: Outage) -> tuple[object, ...]:
    window = one.windows[0]
    return one.tenant, one.shared, window.ref_ns, window.to_ns


def told(change: Change, members: Sequence[Entity], now_ns: int) -> Sighting:
    """What a change is to people."""
    outage = change.outage
    shared = outage.shared
    score = score_of(outage)
    return Sighting(
        tenant=TenantId(outage.tenant),
        entity=Entity(environment=shared.get("environment", ""), node=shared.get("node", "")),
        labels={"symptom": SYMPTOM, **shared},
        started_ns=outage.started_ns,
        time_ns=now_ns,
        change=change.change,
        severity=Severity.PAGE if outage.is_page else Severity.EVIDENCE,
        value=float(outage.n_silent),
        expected_low=0.0,
        expected_high=outage.n_known / 2,
        p_value=10.0**-score,
        evidence={"services": float(outage.n_known), "score": score},
        members=tuple(members),
    )


def score_of(outage: Outage) -> float:
    """That many services are silent by themselves: each counts as one that is."""
    return min(300.0, 10.0 * outage.n_silent)
