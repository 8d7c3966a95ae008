"""What the well-known rules say, by the letter, and where their known faults are mended."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detecting import DAY, build, dials, judged, kinds, noise, opened, points
from watchkeeper.analyze.detectors.base import INFO, OPENED
from watchkeeper.errors import ConfigError


def test_a_z_score_is_that_of_the_textbook() -> None:
    """A latency of 1,500 ms, where the last values have a mean of 108 and a deviation of 5.74."""
    usual = np.tile([102.26, 113.74], 50)
    findings = build("zscore").step(points([*usual, 1500.0]), kinds(), dials())

    assert findings.change.tolist() == [OPENED]
    assert findings.streams[0, 0] == pytest.approx((1500.0 - 108.0) / 5.74, rel=1e-6)
    assert findings.low[0] == pytest.approx(108.0 - 2.5 * 5.74)
    assert findings.high[0] == pytest.approx(108.0 + 2.5 * 5.74)
    assert findings.severity[0] == INFO


@pytest.mark.parametrize(("z", "grade"), [(2.4, None), (2.6, 1.0), (3.5, 2.0), (4.5, 3.0)])
def test_the_grade_is_how_many_thresholds_are_crossed(z: float, grade: float | None) -> None:
    usual = np.tile([-1.0, 1.0], 100)
    findings = build("zscore").step(points([*usual, z]), kinds(), dials())

    assert findings.streams[:, 1].tolist() == ([] if grade is None else [grade])


def test_nothing_is_said_before_the_cold_start_is_over() -> None:
    for name in ("zscore", "ewma"):
        early = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 1e6]

        assert judged(build(name), points(early)) == []
        assert opened(judged(build(name), points([*early[:9], 2.0, 1e6]))) == [10]


def test_the_window_forgets_what_is_older() -> None:
    """After a thousand points at the new level, the old one is the strange one."""
    values = np.concatenate([np.tile([9.0, 11.0], 500), np.tile([99.0, 101.0], 1500), [10.0]])

    told = judged(build("zscore"), points(values))

    assert opened(told)[0] == 1_000
    assert opened(told)[-1] == len(values) - 1


@pytest.mark.parametrize(("name", "least", "most"), [("zscore", 60, 600), ("ewma", 20, 200)])
def test_a_shift_is_the_rule_after_a_while_and_not_at_once(
    name: str, least: int, most: int
) -> None:
    """A baseline that follows at once would call a failure normal; one that is frozen, never."""
    values = 10.0 + 40.0 * (np.arange(3 * DAY) >= DAY) + 0.1 * noise(3 * DAY, mean=0.0)

    of_shift = [one for one in judged(build(name), points(values)) if one.at >= DAY]

    assert (of_shift[0].change, of_shift[0].at) == ("opened", DAY)
    closed = next(one.at for one in of_shift if one.change == "closed")
    assert least <= closed - DAY <= most


def test_a_series_without_deviation_is_not_divided_by_it() -> None:
    findings = build("zscore").step(points([5.0] * 100 + [6.0]), kinds(), dials())

    assert np.isfinite(findings.streams).all()
    assert findings.change.tolist() == [OPENED]


@pytest.mark.parametrize(("value", "is_told"), [(2.9, False), (3.1, True), (0.1, False)])
def test_three_times_the_average_is_too_much(value: float, is_told: bool) -> None:
    findings = build("ewma").step(points([1.0] * 50 + [value]), kinds(), dials())

    assert (len(findings) == 1) == is_told


def test_the_average_keeps_nine_tenths_with_each_point() -> None:
    findings = build("ewma").step(points([10.0] * 20 + [20.0] + [34.0]), kinds(), dials())

    assert findings.streams[0, 0] == pytest.approx(34.0 / 11.0)
    assert findings.high[0] == pytest.approx(33.0)


def test_a_dial_moves_the_line() -> None:
    values = [1.0] * 50 + [3.1]

    assert len(build("ewma").step(points(values), kinds(), dials(shift=-1.0))) == 0
    assert len(build("ewma").step(points(values), kinds(), dials(muted=1))) == 0
    assert len(build("ewma").step(points([*values[:-1], 2.9]), kinds(), dials(shift=0.5))) == 1
    assert len(build("zscore").step(points(values), kinds(), dials(direction=1))) == 1
    assert len(build("zscore").step(points(values), kinds(), dials(direction=-1))) == 0
    assert len(build("zscore").step(points(values), kinds(), dials(least_change=3.0))) == 0


def test_the_p_value_is_the_share_of_points_that_crossed_the_line() -> None:
    """Where a bell curve would say one in two hundred, this series does it one time in ten."""
    values = noise(2_000, deviation=1.0)
    values[50::10] += 12.0

    findings = build("zscore").step(points(values), kinds(), dials())

    assert findings.p_value[-1] == pytest.approx(0.1, abs=0.04)


@pytest.mark.parametrize("thresholds", [[3.0, 2.5], [0.0, 1.0], [-1.0]])
def test_thresholds_that_make_no_sense_are_refused_with_the_remedy(thresholds: list[float]) -> None:
    with pytest.raises(ConfigError, match="name the lowest first"):
        build("zscore", thresholds=thresholds)


def test_real_noise_crosses_the_line_of_the_textbook_many_times_a_week() -> None:
    """Why these rules may not claim more than INFO."""
    week = noise(7 * DAY)

    told = judged(build("zscore"), points(week))

    assert len(opened(told)) > 20
    assert {one.severity for one in told} == {INFO}
