"""Quantiles of histograms are those of PromQL, however the buckets come, and come again."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import histograms
from tests.histograms import Derived, Shelf
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import SampleBatch

QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
BOUNDS = st.lists(
    st.sampled_from([-1.0, 0.0, 0.005, 0.25, 1.0, 7.5, 1e6]), min_size=1, max_size=6, unique=True
).map(lambda finite: [*sorted(finite), math.inf])
GROWTH = st.integers(0, 50)
Row = tuple[int, float, float]


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[float], list[list[int]]]:
    """(bounds, observations by round and bucket)."""
    bounds = draw(BOUNDS)
    one = st.lists(GROWTH, min_size=len(bounds), max_size=len(bounds))
    return bounds, draw(st.lists(one, min_size=2, max_size=6))


def rows_of(slots: list[int], rounds: list[list[int]], step_s: float = 15.0) -> list[list[Row]]:
    """Samples of cumulative buckets, round by round."""
    totals = [0] * len(slots)
    found = []
    for number, observed in enumerate(rounds):
        totals = [total + grown for total, grown in zip(totals, accumulate(observed), strict=True)]
        at = zip(slots, totals, strict=True)
        found.append([(slot, number * step_s, float(total)) for slot, total in at])
    return found


def expected(bounds: list[float], rounds: list[list[int]]) -> list[Derived]:
    found: list[Derived] = []
    for number, observed in enumerate(rounds[1:], start=1):
        grown = [float(one) for one in accumulate(observed)]
        for part, q in QUANTILES:
            value = histograms.classic_quantile(q, bounds, grown)
            if value is not None:
                found.append((f"rpc:{part}", number * 15.0, value))
    return found


def all_told(shelf: Shelf, batches: list[SampleBatch]) -> list[Derived]:
    return [one for batch in batches for one in shelf.told(shelf.quantiles.of_samples(batch, 0))]


@given(life=lives())
def test_quantiles_of_buckets_are_those_of_promql(
    life: tuple[list[float], list[list[int]]],
) -> None:
    bounds, rounds = life
    shelf = histograms.shelf()
    slots = shelf.register(*histograms.buckets("rpc", bounds, job="shop")).tolist()

    told = all_told(shelf, [histograms.samples(rows) for rows in rows_of(slots, rounds)])

    assert [one[:2] for one in told] == [one[:2] for one in expected(bounds, rounds)]
    assert [one[2] for one in told] == pytest.approx([one[2] for one in expected(bounds, rounds)])


@given(life=lives(), data=st.data())
def test_the_order_in_which_buckets_of_a_time_come_makes_no_difference(
    life: tuple[list[float], list[list[int]]], data: st.DataObject
) -> None:
    """Senders spread the buckets of a histogram over connections, which overtake one another."""
    bounds, rounds = life
    shelf = histograms.shelf()
    slots = shelf.register(*histograms.buckets("rpc", bounds)).tolist()
    first, *others = rows_of(slots, rounds)

    told = all_told(shelf, [histograms.samples(first)])
    for rows in others:
        shuffled = data.draw(st.permutations(rows))
        at = data.draw(st.integers(0, len(rows)))
        told += all_told(
            shelf, [histograms.samples(part) for part in (shuffled[:at], shuffled[at:])]
        )

    assert [one[2] for one in told] == pytest.approx([one[2] for one in expected(bounds, rounds)])


@given(life=lives(), cut=st.integers(0, 40))
def test_a_twin_that_goes_on_from_a_dump_derives_the_same_bit_for_bit(
    life: tuple[list[float], list[list[int]]], cut: int
) -> None:
    bounds, rounds = life
    shelf = histograms.shelf()
    slots = shelf.register(*histograms.buckets("rpc", bounds))
    rows = [row for rows in rows_of(slots.tolist(), rounds) for row in rows]
    twin = Shelf(shelf.catalog, histograms.shelf().quantiles.__class__(shelf.catalog, capacity=512))

    all_told(shelf, [histograms.samples(rows[:cut])])
    twin.quantiles.load(slots, shelf.quantiles.dump(slots))
    ours, theirs = (
        all_told(one, [histograms.samples([row]) for row in rows[cut:]]) for one in (shelf, twin)
    )

    assert theirs == ours
    assert twin.quantiles.dump(slots) == shelf.quantiles.dump(slots)


COUNTS = st.dictionaries(st.integers(-6, 6), st.integers(1, 30), max_size=5)


@given(
    start=COUNTS,
    positive=COUNTS,
    negative=COUNTS,
    zero=st.integers(0, 9),
    scale=st.integers(-4, 8),
    is_float=st.booleans(),
)
def test_quantiles_of_native_histograms_are_those_of_what_was_added(
    start: dict[int, int],
    positive: dict[int, int],
    negative: dict[int, int],
    zero: int,
    scale: int,
    is_float: bool,
) -> None:
    shelf = histograms.shelf()
    (slot,) = shelf.register_native({"__name__": "rpc"}).tolist()
    before = histograms.payload(start, scale=scale, is_float=is_float)
    sums = {index: start.get(index, 0) + positive.get(index, 0) for index in {*start, *positive}}
    after = histograms.payload(sums, negative=negative, zero=zero, scale=scale, is_float=is_float)
    added = histograms.payload(positive, negative=negative, zero=zero, scale=scale)
    total = sum(positive.values()) + sum(negative.values()) + zero

    shelf.quantiles.of_histograms(histograms.natives([(slot, 0, before)]), 0)
    told = shelf.told(shelf.quantiles.of_histograms(histograms.natives([(slot, 10, after)]), 0))

    parts = QUANTILES if total else ()
    wanted = [(f"rpc:{part}", histograms.native_quantile(q, added)) for part, q in parts]
    wanted.append(("rpc:rate", total / 10))
    assert [one[0] for one in told] == [name for name, _ in wanted]
    assert [one[2] for one in told] == pytest.approx([value for _, value in wanted])
    assert {one[1] for one in told} == {10.0}


@given(life=lives(), cut=st.integers(1, 60))
def test_batches_make_no_difference(life: tuple[list[float], list[list[int]]], cut: int) -> None:
    bounds, rounds = life
    one, other = histograms.shelf(), histograms.shelf()
    slots = one.register(*histograms.buckets("rpc", bounds))
    assert other.register(*histograms.buckets("rpc", bounds)).tolist() == slots.tolist()
    rows = [row for rows in rows_of(slots.tolist(), rounds) for row in rows]

    whole = all_told(one, [histograms.samples(rows)])
    parts = all_told(other, [histograms.samples(rows[:cut]), histograms.samples(rows[cut:])])

    assert parts == whole
    assert one.catalog.tenant_of(0) == DEFAULT_TENANT
