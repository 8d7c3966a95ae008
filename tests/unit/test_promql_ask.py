"""A whole request: steps, order, what comes of a lake, and when it ends early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import lakes, make
from tests.lakes import MINUTE, S
from tests.promql import Samples
from watchkeeper.errors import BadInput
from watchkeeper.lake.promql.ask import (
    MOST_POINTS,
    LakeSource,
    Request,
    TimedOut,
    answer,
    at,
    between,
    steps_between,
)
from watchkeeper.lake.promql.evaluate import Evaluation, Stretch
from watchkeeper.lake.promql.over_time import Windows, over_time
from watchkeeper.lake.promql.parse import parse_matchers
from watchkeeper.lake.promql.values import Points, String, Value, Vector
from watchkeeper.model.series import DEFAULT_TENANT

NOON_MS = lakes.NOON // 1_000_000


def filled(folder: Path, rows: list[tuple[int, int, float]], *, n: int = 3) -> LakeSource:
    """A lake with samples (series, seconds behind noon, value)."""
    lake = lakes.build("disk", folder, lakes.fleet(n), head_rows=4096, raw_retention_s=1e9)
    lake.append(make.samples(*[(s, lakes.NOON + at_s * S, value) for s, at_s, value in rows]), 1)
    return LakeSource(lake, DEFAULT_TENANT, 10_000)


def asked(request: Request, source: LakeSource) -> Vector:
    value: Value = answer(request, source, lambda: None)
    assert isinstance(value, Vector)
    return value


@pytest.mark.parametrize(
    ("end_ms", "step_ms", "times"),
    [
        (0, 1000, [0]),
        (999, 1000, [0]),
        (1000, 1000, [0, 1000]),
        (2500, 1000, [0, 1000, 2000]),
    ],
)
def test_steps_end_at_or_before_the_end(end_ms: int, step_ms: int, times: list[int]) -> None:
    assert steps_between(0, end_ms, step_ms).time_ms.tolist() == times


@pytest.mark.parametrize(("n", "is_taken"), [(MOST_POINTS, True), (MOST_POINTS + 1, False)])
def test_a_range_has_no_more_steps_than_prometheus_allows(n: int, is_taken: bool) -> None:
    if is_taken:
        assert steps_between(0, n * 1000, 1000).n == n + 1
        return
    with pytest.raises(BadInput, match="11,000 points"):
        steps_between(0, n * 1000, 1000)


@pytest.mark.parametrize(
    ("text", "kind"), [("up[5m]", "range vector"), ("up[5m:]", "range vector"), ("'a'", "string")]
)
def test_a_range_is_of_numbers(text: str, kind: str) -> None:
    with pytest.raises(BadInput, match=f'invalid expression type "{kind}"'):
        between(text, 0, 1, 1)


def test_a_moment_may_be_of_anything(tmp_path: Path) -> None:
    source = filled(tmp_path, [(0, 0, 1.0), (0, 60, 2.0)])

    points = answer(at("m[5m]", NOON_MS + 60_000), source, lambda: None)
    text = answer(at("'a'", 0), source, lambda: None)

    assert isinstance(points, Points)
    assert points.value.tolist() == [1.0, 2.0]
    assert text == String("a")


def test_what_a_lake_holds_is_what_is_computed(tmp_path: Path) -> None:
    source = filled(tmp_path, [(s, 60 * i, 10.0 * i * (s + 1)) for s in range(3) for i in range(6)])

    found = asked(at("sum(rate(m[5m])) * 60", NOON_MS + 300_000), source)

    assert found.value.ravel().tolist() == pytest.approx([60.0])


def test_a_range_comes_sorted_by_labels_whatever_was_asked(tmp_path: Path) -> None:
    source = filled(tmp_path, [(0, 0, 3.0), (1, 0, 1.0), (2, 0, 2.0)])

    instant = asked(at("sort(m)", NOON_MS), source)
    ranged = asked(between("sort(m)", NOON_MS, NOON_MS, 1000), source)

    assert [labels["host"] for labels in instant.labels] == ["1", "2", "0"]
    assert [labels["host"] for labels in ranged.labels] == ["0", "1", "2"]


def test_series_without_values_are_left_out(tmp_path: Path) -> None:
    source = filled(tmp_path, [(0, 0, 3.0), (1, 0, 1.0)])

    assert len(asked(at("m > 2", NOON_MS), source)) == 1
    assert len(asked(between("m > 9", NOON_MS, NOON_MS + 60_000, 1000), source)) == 0


def test_windows_far_apart_see_what_one_read_would_show(tmp_path: Path) -> None:
    rows = [(s, 15 * i, float(i * i % 97)) for s in range(3) for i in range(900)]
    source = filled(tmp_path, rows)
    start, end = NOON_MS, NOON_MS + 900 * 15_000

    sieved = asked(between("sum_over_time(m[1m])", start, end, 600_000), source)
    each = [asked(at("sum_over_time(m[1m])", t), source) for t in range(start, end + 1, 600_000)]

    assert np.array_equal(sieved.value, np.concatenate([one.value for one in each], axis=1))


def test_too_many_samples_are_refused_with_the_setting(tmp_path: Path) -> None:
    source = filled(tmp_path, [(0, i, 1.0) for i in range(200)])
    small = LakeSource(source.lake, DEFAULT_TENANT, 199)

    assert len(asked(at("sum_over_time(m[5m])", NOON_MS + 200_000), source))
    with pytest.raises(BadInput, match=r"server\.query_samples \(199\)") as refused:
        answer(at("sum_over_time(m[5m])", NOON_MS + 200_000), small, lambda: None)

    assert refused.value.status == 422


def test_what_the_lake_refuses_is_an_execution_that_failed(tmp_path: Path) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(1), scan_rows=10)
    lake.append(make.samples(*[(0, lakes.NOON + i, 1.0) for i in range(20)]), 1)
    source = LakeSource(lake, DEFAULT_TENANT, 1000)

    with pytest.raises(BadInput, match=r"lake\.scan_rows") as refused:
        answer(at("m", NOON_MS + 1), source, lambda: None)

    assert refused.value.status == 422


def test_a_source_tells_series_apart(tmp_path: Path) -> None:
    source = filled(tmp_path, [(2, 0, 5.0), (0, 0, 1.0), (0, 60, 2.0)])
    stretch = Stretch(parse_matchers("m"), lakes.NOON, lakes.NOON + MINUTE + 1, None)

    points = source.read(stretch)

    assert [labels["host"] for labels in points.labels] == ["0", "2"]
    assert points.offset.tolist() == [0, 2, 3]
    assert points.value.tolist() == [1.0, 2.0, 5.0]


def test_time_that_is_over_ends_the_computation_where_it_is() -> None:
    calls = iter([None, None, None])
    source = Samples({"x": "1"})

    def go_on() -> None:
        if next(calls, "over") == "over":
            raise TimedOut("late")

    request = at("x + x + x + x + x", 0)
    with pytest.raises(TimedOut, match="late"):
        Evaluation(source, 0, 0, 1000, go_on).value(request.tree, request.steps)

    assert source.asked == []


def test_the_deepest_tree_that_is_parsed_is_computed(tmp_path: Path) -> None:
    source = filled(tmp_path, [(0, 0, 1.0)])
    request = at("m" + " + m" * 150, NOON_MS)

    found = asked(request, source)

    assert found.value.tolist() == [[151.0]]


def test_time_is_looked_at_between_series_of_much_work() -> None:
    """Three series of which each has more work than is done at once."""
    looks = []
    n = 25_000
    time_ns = np.tile(np.arange(n, dtype=np.int64), 3)
    points = Points(({}, {}, {}), np.array([0, n, 2 * n, 3 * n]), time_ns, np.ones(3 * n))
    ref_ns = np.full(11_000, n, np.int64)

    found = over_time(
        "last_over_time", Windows(points, ref_ns, n, ref_ns), None, lambda: looks.append(1)
    )

    assert found.held.all()
    assert len(looks) == 3


def test_counting_values_makes_no_more_series_than_are_allowed() -> None:
    lines = {f'x{{a="{i}"}}': f"{i} {i + 0.5}" for i in range(10)}
    request = between('count_values("v", x)', 0, 60_000, 60_000)

    with pytest.raises(BadInput, match=r"server\.query_samples \(39\)"):
        Evaluation(Samples(lines), 0, 60_000, 39).value(request.tree, request.steps)
    found = Evaluation(Samples(lines), 0, 60_000, 40).value(request.tree, request.steps)

    assert isinstance(found, Vector)
    assert len(found) == 20


def test_the_end_of_a_request_may_lie_behind_its_last_step(tmp_path: Path) -> None:
    source = filled(tmp_path, [(0, 0, 1.0), (0, 80, 2.0)])

    found = asked(between("m @ end()", NOON_MS, NOON_MS + 90_000, 60_000), source)

    assert found.value.tolist() == [[2.0, 2.0]]
