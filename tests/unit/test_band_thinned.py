"""A band in fewer rows: the strangest of each step, whatever the steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.band import Band, thinned

FEW = settings(max_examples=20, deadline=None)
POINTS = st.lists(
    st.tuples(st.integers(-50, 50), st.sampled_from([1e-6, 0.1, 0.5, 1.0])),
    max_size=25,
    unique_by=lambda point: point[0],
).map(sorted)


def band(*points: tuple[int, float]) -> Band:
    """Of (time, p); values and limits say which row it was."""
    time_ns = np.array([one[0] for one in points], np.int64)
    row = np.arange(float(len(points)))
    return Band("fk", time_ns, row, row - 1, row + 1, np.array([one[1] for one in points]))


def told(found: Band) -> list[tuple[int, float]]:
    return list(zip(found.time_ns.tolist(), found.p_value.tolist(), strict=True))


@pytest.mark.parametrize(
    ("points", "want"),
    [
        pytest.param([], [], id="none"),
        pytest.param([(5, 1.0)], [(5, 1.0)], id="one"),
        pytest.param([(0, 1.0), (9, 1.0)], [(9, 1.0)], id="the last of equals"),
        pytest.param([(0, 0.1), (9, 1.0)], [(0, 0.1)], id="the strangest"),
        pytest.param([(0, 0.1), (5, 0.1), (9, 1.0)], [(5, 0.1)], id="the last of the strangest"),
        pytest.param([(9, 1.0), (10, 1.0)], [(9, 1.0), (10, 1.0)], id="where steps meet"),
        pytest.param([(0, 1.0), (99, 1.0)], [(0, 1.0), (99, 1.0)], id="steps without a point"),
        pytest.param([(-1, 0.1), (0, 1.0)], [(-1, 0.1), (0, 1.0)], id="before 1970"),
    ],
)
def test_each_step_is_told_by_one_row(
    points: list[tuple[int, float]], want: list[tuple[int, float]]
) -> None:
    assert told(thinned(band(*points), 10)) == want


@FEW
@given(POINTS, st.integers(1, 40))
def test_a_thinned_band_is_what_a_reader_would_pick(
    points: list[tuple[int, float]], step_ns: int
) -> None:
    by_step: dict[int, tuple[int, float]] = {}
    for time_ns, likely in points:
        before = by_step.get(time_ns // step_ns)
        if before is None or likely <= before[1]:
            by_step[time_ns // step_ns] = (time_ns, likely)

    assert told(thinned(band(*points), step_ns)) == list(by_step.values())


@FEW
@given(POINTS, st.integers(1, 40))
def test_rows_stay_whole_and_thinning_again_changes_nothing(
    points: list[tuple[int, float]], step_ns: int
) -> None:
    once = thinned(band(*points), step_ns)
    twice = thinned(once, step_ns)

    assert (once.low == once.value - 1).all()
    assert (once.high == once.value + 1).all()
    assert [points[int(row)][0] for row in once.value] == once.time_ns.tolist()
    assert (told(twice), twice.detector) == (told(once), "fk")


@FEW
@given(POINTS)
def test_a_step_as_small_as_can_be_keeps_all(points: list[tuple[int, float]]) -> None:
    assert told(thinned(band(*points), 1)) == points
