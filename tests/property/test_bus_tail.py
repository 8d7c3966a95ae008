"""What a bus keeps in memory, against a list that keeps everything."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.bus.tail import Ring, Tail
from watchkeeper.model.event import Event

SIZES = st.lists(st.lists(st.integers(0, 40), max_size=4), max_size=8)
"""Sizes of the records of some groups."""
STEPS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), max_size=40)
"""Events: how far behind the one before, and in which partition."""


def filled(limit: int, groups: Sequence[Sequence[int]], first: int = 0) -> Tail:
    tail = Tail(first, limit)
    position = first
    for sizes in groups:
        tail.extend(list(range(position + 1, position + 1 + len(sizes))), sizes)
        position += len(sizes)
    return tail


@given(st.integers(0, 60), SIZES, st.integers(0, 5))
def test_a_tail_never_holds_more_than_its_bytes(
    limit: int, groups: Sequence[Sequence[int]], first: int
) -> None:
    tail = filled(limit, groups, first)

    assert 0 <= tail.size_bytes <= limit
    assert tail.last == first + sum(map(len, groups))


@given(st.integers(0, 60), SIZES, st.integers(0, 5), st.integers(0, 40))
@example(10, [[5, 5, 5]], 0, 1)
@example(0, [[0, 0]], 3, 3)
@example(0, [], 0, 1)
def test_a_tail_gives_everything_behind_a_position_or_says_that_it_cannot(
    limit: int, groups: Sequence[Sequence[int]], first: int, after: int
) -> None:
    tail = filled(limit, groups, first)

    if tail.begins_before(after):
        wanted = [Delivery(MIXED, n, n) for n in range(max(after, first) + 1, tail.last + 1)]
        assert tail.behind(after, 10**9) == wanted


@given(st.integers(0, 60), SIZES)
def test_whoever_keeps_up_is_never_sent_to_the_log(
    limit: int, groups: Sequence[Sequence[int]]
) -> None:
    tail = filled(limit, groups)

    assert tail.begins_before(tail.last)
    assert tail.behind(tail.last, 1) == []


@given(st.integers(0, 200), SIZES)
def test_no_more_is_dropped_than_must_be(limit: int, groups: Sequence[Sequence[int]]) -> None:
    tail = filled(limit, groups)
    sizes = [size for group in groups for size in group]

    n_kept = next(n for n in range(tail.last + 1) if tail.begins_before(n))

    if n_kept > 0:  # the newest of what was dropped would have been too much
        assert sum(sizes[n_kept - 1 :]) > limit
    assert sum(sizes[n_kept:]) == tail.size_bytes


@given(SIZES, st.integers(1, 30))
def test_one_take_is_bounded_but_never_empty(groups: Sequence[Sequence[int]], limit: int) -> None:
    tail = filled(10**9, groups)
    sizes = [size for group in groups for size in group]

    took = tail.behind(0, limit)

    assert bool(took) is bool(sizes)
    assert sum(sizes[: len(took)][:-1]) < limit
    assert [one.position for one in took] == list(range(1, len(took) + 1))


@given(SIZES, st.integers(1, 30))
def test_take_by_take_everything_comes_once_in_order(
    groups: Sequence[Sequence[int]], limit: int
) -> None:
    tail = filled(10**9, groups)

    at, heard = 0, []
    while took := tail.behind(at, limit):
        heard += [one.record for one in took]
        at = took[-1].position

    assert heard == list(range(1, tail.last + 1))


# Events


class Everything:
    """A ring without a limit, as a list."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int]] = []

    def add(self, sequence: int, partition: int) -> None:
        if not self.events or sequence > self.events[-1][0]:
            self.events.append((sequence, partition))


def published(limit: int, steps: Sequence[tuple[int, int]]) -> tuple[Ring, Everything, int]:
    ring, everything, sequence, n_dropped = Ring(limit), Everything(), 0, 0
    for step, partition in steps:
        sequence += step
        n_dropped += ring.extend([Event(sequence, None)], [partition])
        everything.add(sequence, partition)
    return ring, everything, n_dropped


@given(st.integers(1, 8), STEPS)
def test_a_ring_holds_its_limit_and_a_quarter_more_at_most(
    limit: int, steps: Sequence[tuple[int, int]]
) -> None:
    ring, everything, n_dropped = published(limit, steps)

    kept = ring.behind(dict.fromkeys(range(4), 0), 10**9)

    assert min(limit, len(everything.events)) <= len(kept) <= limit + limit // 4
    assert len(kept) + n_dropped == len(everything.events)


@given(st.integers(1, 8), STEPS)
def test_behind_its_floor_a_ring_has_everything(
    limit: int, steps: Sequence[tuple[int, int]]
) -> None:
    ring, everything, _ = published(limit, steps)
    floor = ring.floor if ring.floor is not None else 0

    kept = ring.behind(dict.fromkeys(range(4), floor), 10**9)

    wanted = [(sequence, partition) for sequence, partition in everything.events
              if sequence > floor]  # fmt: skip
    assert [(one.position, one.partition) for one in kept] == wanted
    assert ring.last == (everything.events[-1][0] if everything.events else 0)


@given(
    STEPS,
    st.dictionaries(st.integers(0, 3), st.integers(0, 60), max_size=4),
    st.integers(1, 50),
)
def test_each_partition_is_read_from_its_own_position(
    steps: Sequence[tuple[int, int]], after: dict[int, int], limit: int
) -> None:
    ring, everything, _ = published(10**6, steps)

    got = [(one.position, one.partition) for one in ring.behind(after, limit)]

    wanted = [(sequence, partition) for sequence, partition in everything.events
              if partition in after and sequence > after[partition]]  # fmt: skip
    assert got == wanted[:limit]


@given(STEPS, st.integers(0, 39))
def test_what_was_published_before_is_passed_over(
    steps: Sequence[tuple[int, int]], again_from: int
) -> None:
    """A relay begins anew with its process; followers must hear nothing twice."""
    ring, everything, _ = published(10**6, steps)
    before = ring.behind(dict.fromkeys(range(4), 0), 10**9)

    again = everything.events[again_from:]
    ring.extend([Event(sequence, "again") for sequence, _ in again], [one for _, one in again])

    assert ring.behind(dict.fromkeys(range(4), 0), 10**9) == before


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30), st.integers(1, 30))
def test_groups_are_the_same_as_events_one_by_one(steps: Sequence[int], size: int) -> None:
    one_by_one, in_groups = Ring(10**6), Ring(10**6)
    events = [Event(sum(steps[: n + 1]), n) for n in range(len(steps))]

    for event in events:
        one_by_one.extend([event], [0])
    for begin in range(0, len(events), size):
        group = events[begin : begin + size]
        in_groups.extend(group, [0] * len(group))

    assert in_groups.behind({0: 0}, 100) == one_by_one.behind({0: 0}, 100)
    assert in_groups.floor == one_by_one.floor
