"""Which time is looked at, and which time before it says what is usual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from watchkeeper.clock import NS_PER_S

LEAD_NS: Final = 30 * NS_PER_S
"""Before the onset: whoever saw it saw it late."""
LONGEST_NS: Final = 900 * NS_PER_S
"""Behind the onset: what comes later is the trouble's own trouble."""
USUAL_NS: Final = 600 * NS_PER_S
"""So much healthy time says what is usual."""
LEAST_NS: Final = 60 * NS_PER_S
"""Less than this between two troubles says nothing."""
BACK_NS: Final = 7_200 * NS_PER_S
"""How far back healthy time is looked for."""
AFTER_NS: Final = 60 * NS_PER_S
"""So long after a trouble nothing is usual yet."""
DAY_NS: Final = 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Stretch:
    """start <= time < end."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns

    def cut(self, n: int) -> list[Stretch]:
        """Into n of about equal length, one behind the other."""
        edges = [self.start_ns + self.length_ns * k // n for k in range(n + 1)]
        return [Stretch(first, last) for first, last in pairwise(edges) if first < last]


@dataclass(frozen=True, slots=True)
class Looked:
    """The two stretches of a case."""

    now: Stretch
    before: Stretch
    is_healthy: bool
    """Nothing is known to have been the matter before."""


def window(onset_ns: int, now_ns: int) -> Stretch:
    """From a little before the onset on, as far as it has come."""
    end = max(min(now_ns, onset_ns + LONGEST_NS), onset_ns - LEAD_NS + 1)
    return Stretch(onset_ns - LEAD_NS, end)


def look(onset_ns: int, now_ns: int, troubles: Iterable[tuple[int, int]]) -> Looked:
    """`troubles` are other times of trouble, from and to.

    Usual is the last ten healthy minutes; where there are no ten, the longest healthy piece of the
    last two hours; where there is none, the same time a day before.
    """
    now = window(onset_ns, now_ns)
    free = _free(now.start_ns, troubles)
    long = [one for one in free if one.length_ns >= USUAL_NS]
    if long:
        last = long[-1]
        return Looked(now, Stretch(last.end_ns - USUAL_NS, last.end_ns), is_healthy=True)
    longest = max(free, key=lambda one: (one.length_ns, one.end_ns), default=None)
    if longest is not None and longest.length_ns >= LEAST_NS:
        return Looked(now, longest, is_healthy=True)
    end = now.start_ns - DAY_NS
    return Looked(now, Stretch(end - USUAL_NS, end), is_healthy=False)


def _free(end_ns: int, troubles: Iterable[tuple[int, int]]) -> list[Stretch]:
    """What is left of the time before `end_ns`, oldest first."""
    found = []
    at = end_ns - BACK_NS
    for from_ns, to_ns in sorted(troubles):
        if from_ns >= end_ns:
            break
        if from_ns > at:
            found.append(Stretch(at, from_ns))
        at = max(at, to_ns + AFTER_NS)
    if at < end_ns:
        found.append(Stretch(at, end_ns))
    return found
