"""What two runs of detection over the same records found: equal, earlier, later, more, fewer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.ruling import subject_of

NEAR_NS: Final = 600 * NS_PER_S
"""Episodes of one subject that are no further apart are taken for the same one."""
_NEVER: Final = 2**63 - 1


class Kind(StrEnum):
    """What became of an anomaly in the other run."""

    SAME = "same"
    EARLIER = "earlier"
    """Begins earlier than it did."""
    LATER = "later"
    MORE = "more"
    """Was not found at all."""
    FEWER = "fewer"
    """Is not found any more."""
    SEVERITY = "severity"
    """Begins at the same time, and is graded otherwise."""
    CHANGED = "changed"
    """Begins at the same time and is graded alike: value, band, end or evidence are others."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One anomaly, in one run or in both."""

    kind: Kind
    before: Anomaly | None
    after: Anomaly | None

    @property
    def anomaly(self) -> Anomaly:
        """The newer one if there are two."""
        found = self.after or self.before
        assert found is not None  # noqa: S101 - for there is at least one
        return found


def differences(
    before: Iterable[Anomaly], after: Iterable[Anomaly], *, reached: int
) -> list[Difference]:
    """Each anomaly of either run, in order of time.

    `reached` is the position at which the other run ended. What the first one learned behind it is
    no difference: an anomaly that was still open there is compared as far as it had come.
    """
    groups: dict[tuple[str, ...], tuple[list[Anomaly], list[Anomaly]]] = defaultdict(
        lambda: ([], [])
    )
    for side, anomalies in enumerate((before, after)):
        for one in anomalies:
            subject = subject_of(one.tenant, one.series, one.labels)
            groups[one.tenant, one.detector, subject][side].append(one)
    found = [one for old, new in groups.values() for one in _compared(old, new, reached)]
    return sorted(found, key=lambda one: (one.anomaly.started_ns, one.anomaly.id))


def _compared(old: Sequence[Anomaly], new: Sequence[Anomaly], reached: int) -> Iterator[Difference]:
    """Of one subject and detector."""
    by_id = {one.id: one for one in new}
    for one in old:
        if (twin := by_id.pop(one.id, None)) is not None:
            yield Difference(_kind_of(one, twin, reached), one, twin)
    ids = {one.id for one in new} - by_id.keys()
    lost = [one for one in old if one.id not in ids]
    came = list(by_id.values())
    for one, other in _pairs(lost, came):
        kind = Kind.EARLIER if other.started_ns < one.started_ns else Kind.LATER
        lost.remove(one)
        came.remove(other)
        yield Difference(kind, one, other)
    yield from (Difference(Kind.FEWER, one, None) for one in lost)
    yield from (Difference(Kind.MORE, None, one) for one in came)


def _kind_of(one: Anomaly, twin: Anomaly, reached: int) -> Kind:
    went_on = one.position > reached and twin.status is AnomalyStatus.OPEN
    if one == twin or went_on:
        return Kind.SAME
    return Kind.CHANGED if one.severity == twin.severity else Kind.SEVERITY


def _pairs(lost: Sequence[Anomaly], came: Sequence[Anomaly]) -> list[tuple[Anomaly, Anomaly]]:
    """Those that are most probably the same episode: nearest starts first, each one once."""
    near = sorted(
        (abs(one.started_ns - other.started_ns), i, j)
        for i, one in enumerate(lost)
        for j, other in enumerate(came)
        if _is_near(one, other)
    )
    used: tuple[set[int], set[int]] = (set(), set())
    found = []
    for _, i, j in near:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            found.append((lost[i], came[j]))
    return found


def _is_near(one: Anomaly, other: Anomaly) -> bool:
    """Whether they overlap, or nearly."""
    apart_ns = max(one.started_ns, other.started_ns) - min(_end(one), _end(other))
    return apart_ns <= NEAR_NS


def _end(one: Anomaly) -> int:
    return _NEVER if one.ended_ns is None else one.ended_ns
