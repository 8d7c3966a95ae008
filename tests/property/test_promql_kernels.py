"""Laws of the kernels, against a slow and plain account of each."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.lake.promql import groups_kernel, windows_kernel
from watchkeeper.lake.promql.over_time import Windows, over_time
from watchkeeper.lake.promql.values import Points
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import F64, Mask

S = 1_000_000_000
FINITE = st.floats(-1e6, 1e6)
VALUES = st.one_of(FINITE, st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))
TIMES = st.lists(st.integers(0, 600), max_size=30, unique=True).map(sorted)
SERIES = st.lists(
    TIMES.flatmap(
        lambda times: st.lists(VALUES, min_size=len(times), max_size=len(times)).map(
            lambda values: list(zip(times, values, strict=True))
        )
    ),
    min_size=1,
    max_size=4,
)
REFS = st.lists(st.integers(-10, 700), min_size=1, max_size=12).map(sorted)
LENGTHS = st.integers(1, 400)
Rows = list[tuple[int, float]]


def points(series: list[Rows]) -> Points:
    flat = [row for rows in series for row in rows]
    return Points(
        tuple({"n": str(n)} for n in range(len(series))),
        offsets(np.array([len(rows) for rows in series], np.int64)),
        np.array([time * S for time, _ in flat], np.int64),
        np.array([value for _, value in flat], np.float64),
    )


def ranged(series: list[Rows], refs: list[int], length: int) -> Windows:
    ref_ns = np.array(refs, np.int64) * S
    return Windows(points(series), ref_ns, length * S, ref_ns)


def inside(rows: Rows, ref: int, length: int) -> list[float]:
    return [value for time, value in rows if ref - length <= time <= ref]


@given(SERIES, REFS, LENGTHS)
def test_a_window_has_exactly_the_samples_between_its_edges(
    series: list[Rows], refs: list[int], length: int
) -> None:
    found = over_time("count_over_time", ranged(series, refs, length), None)

    for s, rows in enumerate(series):
        for i, ref in enumerate(refs):
            n = len(inside(rows, ref, length))
            assert found.held[s, i] == (n > 0)
            assert not n or found.value[s, i] == n


@given(SERIES, REFS, LENGTHS)
def test_the_newest_sample_is_found_or_none_is(
    series: list[Rows], refs: list[int], length: int
) -> None:
    given_points = points(series)
    shape = (len(series), len(refs))
    row, held = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)

    windows_kernel.latest(
        given_points.offset, given_points.time_ns, given_points.value.view(np.int64),
        np.array(refs, np.int64) * S, length * S, row, held,
    )  # fmt: skip

    for s, rows in enumerate(series):
        for i, ref in enumerate(refs):
            times = [time for time, _ in rows if ref - length <= time <= ref]
            assert held[s, i] == bool(times)
            assert not times or given_points.time_ns[row[s, i]] == times[-1] * S


@given(SERIES, REFS, LENGTHS)
def test_least_and_greatest_frame_every_value(
    series: list[Rows], refs: list[int], length: int
) -> None:
    windows = ranged(series, refs, length)
    least = over_time("min_over_time", windows, None)
    most = over_time("max_over_time", windows, None)

    for s, rows in enumerate(series):
        for i, ref in enumerate(refs):
            real = [v for v in inside(rows, ref, length) if not math.isnan(v)]
            if real:
                assert (least.value[s, i], most.value[s, i]) == (min(real), max(real))


@given(st.lists(FINITE, min_size=1, max_size=60))
def test_sums_and_spreads_are_those_of_exact_arithmetic(values: list[float]) -> None:
    windows = ranged([list(enumerate(values))], [len(values)], 100)

    total = over_time("sum_over_time", windows, None).value[0, 0]
    mean = over_time("avg_over_time", windows, None).value[0, 0]
    spread = over_time("stddev_over_time", windows, None).value[0, 0]

    assert total == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-9)
    assert mean == pytest.approx(math.fsum(values) / len(values), rel=1e-9, abs=1e-9)
    assert spread == pytest.approx(statistics.pstdev(values), rel=1e-6, abs=1e-6)


@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=40),
    st.integers(1, 60),
    st.integers(0, 10**6),
)
def test_a_counter_grows_the_same_wherever_it_begins_if_it_never_falls(
    steps: list[int], every: int, start: int
) -> None:
    """Far from zero, so that nothing is cut off there."""
    level = np.cumsum(steps) + 10**7
    times = every * np.arange(len(steps))
    end = int(times[-1])

    def increase(first: int) -> float:
        rows = list(zip(times.tolist(), (level + first).tolist(), strict=True))
        return float(over_time("increase", ranged([rows], [end], end), None).value[0, 0])

    assert increase(0) == pytest.approx(float(level[-1] - level[0]), rel=1e-9)
    assert increase(start) == pytest.approx(increase(0), rel=1e-9)


@given(st.lists(st.integers(0, 100), min_size=3, max_size=30), st.data())
def test_a_restart_loses_what_was_counted_between_and_nothing_else(
    steps: list[int], data: st.DataObject
) -> None:
    level = np.cumsum(np.array(steps, np.float64)) + 10**6
    at = data.draw(st.integers(1, len(steps) - 1))
    restarted = level.copy()
    restarted[at:] -= level[at]
    end = 10 * (len(steps) - 1)
    times = range(0, end + 1, 10)

    windows = ranged([list(zip(times, restarted.tolist(), strict=True))], [end], end)
    found = over_time("increase", windows, None).value[0, 0]

    lost = steps[at]
    assert found == pytest.approx(level[-1] - level[0] - lost, rel=1e-9, abs=1e-6)


@given(st.lists(st.one_of(FINITE, st.just(math.nan)), min_size=1, max_size=40), st.floats(0, 1))
def test_a_quantile_is_that_of_the_sorted_values(values: list[float], q: float) -> None:
    room = np.array(values)

    found = windows_kernel.quantile_of(q, room, len(values))

    ordered = sorted(values, key=lambda v: (not math.isnan(v), v if v == v else 0.0))
    rank = q * (len(values) - 1)
    low, high = math.floor(rank), min(len(values) - 1, math.floor(rank) + 1)
    wanted = ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)
    assert found == wanted or (math.isnan(found) and math.isnan(wanted))


GROUPED = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.one_of(st.none(), VALUES), min_size=3, max_size=3),
                 min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)  # fmt: skip


def matrix(rows: list[list[float | None]]) -> tuple[F64, Mask]:
    held = np.array([[one is not None for one in row] for row in rows])
    value = np.array([[0.0 if one is None else one for one in row] for row in rows])
    return value, held


@given(GROUPED)
def test_groups_count_and_frame_their_members(
    given_groups: tuple[list[list[float | None]], list[int]],
) -> None:
    rows, group = given_groups
    value, held = matrix(rows)
    found = {}
    for name in ("COUNT", "MIN", "MAX", "SUM"):
        out, mean, count = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3), np.int64)
        code = getattr(groups_kernel, name)
        groups_kernel.aggregate(code, value, held, np.array(group), out, count, mean)
        found[name] = out

    for g in range(3):
        for i in range(3):
            inner = [row[i] for row, at in zip(rows, group, strict=True) if at == g]
            values = [one for one in inner if one is not None]
            real = [one for one in values if not math.isnan(one)]
            assert found["COUNT"][g, i] == len(values)
            if real:
                assert found["MIN"][g, i] == min(real)
                assert found["MAX"][g, i] == max(real)
            if values and all(map(math.isfinite, values)):
                assert found["SUM"][g, i] == pytest.approx(math.fsum(values), abs=1e-6)


@given(GROUPED, st.integers(0, 9), st.sampled_from([1.0, -1.0]))
def test_who_is_chosen_is_no_less_than_who_is_not(
    given_groups: tuple[list[list[float | None]], list[int]], k: int, sign: float
) -> None:
    rows, group = given_groups
    value, held = matrix(rows)
    numbers = np.array(group)
    kept = np.zeros_like(held)
    members, offset = np.argsort(numbers, kind="stable"), offsets(np.bincount(numbers, minlength=3))

    groups_kernel.pick(np.full(3, k), sign, value, held, members, offset, kept)

    assert not (kept & ~held).any()
    for g in range(3):
        for i in range(3):
            of_group = (numbers == g) & held[:, i]
            chosen, left = value[of_group & kept[:, i], i], value[of_group & ~kept[:, i], i]
            assert len(chosen) == min(k, int(of_group.sum()))
            assert not (np.isnan(chosen).any() and (~np.isnan(left)).any())
            real = chosen[~np.isnan(chosen)], left[~np.isnan(left)]
            if len(real[0]) and len(real[1]):
                assert (sign * real[0]).min() >= (sign * real[1]).max()


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=12),
    st.lists(st.floats(0, 1), min_size=2, max_size=8).map(sorted),
)
def test_quantiles_of_a_histogram_rise_and_stay_within_its_bounds(
    counts: list[int], quantiles: list[float]
) -> None:
    n = len(counts)
    bound = np.array([*range(1, n), math.inf], np.float64)
    value = np.repeat(np.cumsum(counts).astype(np.float64)[:, None], len(quantiles), axis=1)
    shape = (1, len(quantiles))
    out, found = np.zeros(shape), np.zeros(shape, np.bool_)

    groups_kernel.bucket_quantiles(
        np.array(quantiles), bound, value, np.ones(value.shape, np.bool_),
        np.arange(n), np.array([0, n]), out, found,
    )  # fmt: skip

    assert found.all()
    if sum(counts):
        real = out[0][~np.isnan(out[0])]
        assert (np.diff(real) >= -1e-9).all()
        assert ((real >= 0) & (real <= n - 1)).all()
    else:
        assert np.isnan(out).all()
