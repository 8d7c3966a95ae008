"""Sums of native histograms, against sums of what was observed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.natives import Shape, pool_of, shape_of, total, worth
from watchkeeper.model.histogram import bounds, histogram

INDICES = st.integers(-40, 40)
COUNTS = st.integers(1, 1000)
SIDES = st.dictionaries(INDICES, COUNTS, max_size=8)


@st.composite
def shapes(draw: st.DrawFn, *, scales: st.SearchStrategy[int] | None = None) -> Shape:
    """With a zero bucket as wide as a bound of the coarsest resolution, and nothing within."""
    scale = draw(scales or st.integers(-2, 3))
    threshold = 2.0 ** (16 * draw(st.integers(-3, 1)))
    sides = [
        {index: count for index, count in draw(SIDES).items() if low(scale, index) >= threshold}
        for _ in range(2)
    ]
    zero = draw(st.integers(0, 9))
    return Shape(*sides, zero, float(draw(st.integers(-99, 99))), scale, threshold)


def low(scale: int, index: int) -> float:
    return bounds(scale, index, [])[0]


def expected(several: list[Shape]) -> Shape:
    """Bucket by bucket: into the widest zero bucket, else to the coarsest resolution."""
    scale = min(one.scale for one in several)
    threshold = max(one.threshold for one in several)
    zero = sum(one.zero for one in several)
    sides: list[Counter[int]] = [Counter(), Counter()]
    for one in several:
        for side, counts in zip(sides, (one.positive, one.negative), strict=True):
            for index, count in counts.items():
                if low(one.scale, index) < threshold:
                    zero += count
                else:
                    side[((index - 1) >> (one.scale - scale)) + 1] += count
    counted = sum(one.n for one in several)
    summed = sum(one.total for one in several)
    return Shape(*map(dict, sides), zero, summed, scale, threshold, count=counted)


@given(several=st.lists(shapes(), min_size=1, max_size=5))
def test_a_sum_has_what_its_parts_have(several: list[Shape]) -> None:
    found = total(*several)

    wanted = expected(several)
    assert filled(found) == filled(wanted)


def filled(one: Shape) -> tuple[object, ...]:
    """All but buckets that are named and empty."""
    sides = [{at: n for at, n in side.items() if n} for side in (one.positive, one.negative)]
    return (*sides, one.zero, one.n, one.total, one.scale, one.threshold)


@given(first=shapes(), second=shapes())
def test_the_order_of_a_sum_does_not_matter(first: Shape, second: Shape) -> None:
    assert filled(total(first, second)) == filled(total(second, first))


@given(one=shapes(), more=shapes())
def test_what_only_grew_is_no_reset(one: Shape, more: Shape) -> None:
    """Though it became coarser, or its zero bucket wider."""
    later = total(one, more)

    grown = worth("increase(h[1m])", {"h": [one, later]}, minute=1)["{}"]

    assert grown.n == pytest.approx(more.n)
    assert grown.zero <= later.zero


@given(one=shapes())
def test_a_pool_says_what_was_sent(one: Shape) -> None:
    found = shape_of(pool_of(Shape({7: 1}), one), 1)

    assert filled(found) == filled(one)
    assert sum(bucket.count for bucket in histogram(one.payload()).buckets) == one.n


@given(one=shapes(), q=st.floats(0.01, 0.99))
def test_a_fraction_undoes_a_quantile(one: Shape, q: float) -> None:
    """But for buckets so wide, or so far away, that a float has no room between their bounds."""
    if not one.n:
        return
    value = worth(f"histogram_quantile({q!r}, h)", {"h": [one]})["{}"]

    share = worth(f"histogram_fraction(-Inf, {value!r}, h)", {"h": [one]})["{}"]

    assert share <= q + 1e-6
    above = worth(f"histogram_fraction({value!r}, +Inf, h)", {"h": [one]})["{}"]
    assert share + above == pytest.approx(1)
