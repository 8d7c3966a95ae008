"""Who is quiet, who is late, and what most of those share that stopped together.

A service that is silent stopped between its last arrival and the next one, which never came. All
that were not heard since, and whose last arrival is as near as their pauses allow, may have stopped
with it: those that are late by now did, of the others nobody knows yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from watchkeeper.analyze.watchers.service_rows import SILENCE
from watchkeeper.analyze.watchers.services import Services
from watchkeeper.analyze.watchers.shared import PLACES
from watchkeeper.analyze.watchers.symptoms_kernel import FEW_ARRIVALS, GIVEN_UP_S
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I64, Mask

TOGETHER_NS: Final = 120 * NS_PER_S
"""Last arrivals of services that one collector sent are no farther apart, where they are heard of
more often than that."""
LEAST: Final = 3
"""Services that are an outage at least, and more than half of those that share the place."""
LATE: Final = 1.5
"""From so many usual gaps on a service is late, and from the longest that it had."""
SLACK_NS: Final = 30 * NS_PER_S
FEW: Final = 0.1
"""It is waited for those of whom nobody knows yet where so many of a place were heard at most."""


class Window(NamedTuple):
    """Last arrivals of those that stopped together."""

    since_ns: int
    """The tick from which on it counts."""
    ref_ns: int
    to_ns: int

    def holds(self, stopped_ns: I64, gap_s: F64) -> Mask:
        """Which of these last arrivals; who is heard of seldom was so longer ago."""
        reach_ns = np.maximum(TOGETHER_NS, LATE * NS_PER_S * gap_s)
        found: Mask = (stopped_ns >= self.ref_ns - reach_ns) & (stopped_ns <= self.to_ns)
        return found


@dataclass(frozen=True, slots=True)
class Scope:
    """What services share that stopped together, and how many there are."""

    is_outage: bool
    """Or it may become one."""
    quiet: Mask
    """Places of those that were not heard since."""
    n_late: int
    n_known: int
    tenant: str
    shared: dict[str, str]


class Census:
    """Of all services, each by the newest tick of its own partition."""

    def __init__(
        self, services: Services, last_tick: I64, resumed_ns: I64, learning_ns: int
    ) -> None:
        self._shared = services.shared
        self.rows = services.everywhere()
        service = services.state.service[self.rows]
        symptom = services.state.symptom[self.rows, SILENCE]
        of = service["partition"]
        self.stopped_ns: I64 = service["arrived_ns"]
        self.gap_s = service["gap_s"].astype(np.float64)
        quiet_ns = last_tick[of] - np.maximum(self.stopped_ns, resumed_ns[of])
        late_ns = NS_PER_S * np.maximum(LATE * self.gap_s, service["longest_s"])
        self.is_silent: Mask = symptom["is_open"] > 0
        self._late: Mask = self.is_silent | (quiet_ns > late_ns)
        known = (service["n_arrivals"] >= FEW_ARRIVALS) & (quiet_ns < GIVEN_UP_S * NS_PER_S)
        known &= self.stopped_ns - service["first_ns"] >= learning_ns
        # Of who is heard of seldom nobody knows for long.
        self.known: Mask = known & (self._late | (late_ns <= LATE * TOGETHER_NS))

    def window(self, at: int, now_ns: int) -> Window:
        """Of those that may have stopped with the service in this place."""
        stopped_ns = int(self.stopped_ns[at])
        own_ns = int(LATE * NS_PER_S * self.gap_s[at])
        return Window(now_ns, stopped_ns, stopped_ns + max(SLACK_NS, own_ns))

    def within(self, window: Window) -> Mask:
        """Places of known services that were not heard since."""
        found: Mask = self.known & window.holds(self.stopped_ns, self.gap_s)
        return found

    def scope(self, tenant: str, shared: Mapping[str, str]) -> Mask:
        """Places of those that share this."""
        return self._shared.within(self.rows, tenant, shared)

    def heard(self, window: Window) -> Mask:
        """Places of known services that were."""
        found: Mask = self.known & (self.stopped_ns > window.to_ns)
        return found

    def weigh(self, window: Window, waiting: Mask, explained: Mask) -> Scope | None:
        """What most of the services share that stopped together, among them one that waits. Who is
        in another outage speaks neither for nor against it."""
        quiet = self.within(window) & ~explained
        among = quiet | (self.heard(window) & ~explained)
        late, fresh = quiet & self._late, quiet & waiting
        sure = self._best(late, among, fresh)
        maybe = self._best(quiet, among, fresh)
        if maybe is None:
            return None
        if sure is None or self._waits(sure, maybe, quiet):
            return self._scope(maybe, late, quiet, is_outage=False)
        return self._scope(sure, late, quiet, is_outage=True)

    def _waits(self, sure: _Best, maybe: _Best, quiet: Mask) -> bool:
        """Whether another place explains more, if those are late too of whom nobody knows yet."""
        is_wider = maybe.n > int((sure.mine & quiet).sum())
        return is_wider and maybe.n_among - maybe.n <= FEW * maybe.n_among

    def _best(self, counted: Mask, among: Mask, fresh: Mask) -> _Best | None:
        """The place that most of these share and least others, and of equals the narrowest."""
        best: _Best | None = None
        codes = self._shared.codes[self.rows]
        for column in range(codes.shape[1]):
            places, of = np.unique(codes[:, column], return_inverse=True)
            n, n_among, n_fresh = (np.bincount(of[one], minlength=len(places))
                                   for one in (counted, among, fresh))  # fmt: skip
            fits = (n >= LEAST) & (2 * n > n_among) & (n_fresh > 0) & (places > 0)
            for at in np.flatnonzero(fits).tolist():
                one = _Best(int(n[at]), int(n_among[at]), of == at)
                if best is None or one.weight > best.weight:
                    best = one
        return best

    def _scope(self, best: _Best, late: Mask, quiet: Mask, *, is_outage: bool) -> Scope:
        mine = best.mine & quiet
        first = int(self.rows[mine][0])
        codes = self._shared.codes[self.rows]
        # All that they have in common with nobody else: one collector, on one node, has many names.
        in_common = {
            name: place
            for name, place in self._shared.of(first).items()
            if (codes[mine, PLACES.index(name)] == codes[mine, PLACES.index(name)][0]).all()
        }
        n_late = int((best.mine & late).sum())
        tenant = self._shared.tenant(first)
        return Scope(is_outage, mine, n_late, best.n_among, tenant, in_common)


class _Best(NamedTuple):
    n: int
    n_among: int
    mine: Mask
    """Places of those that share it, whether they are quiet or not."""

    @property
    def weight(self) -> int:
        return 2 * self.n - self.n_among
