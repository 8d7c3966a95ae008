"""Made-up series: the same at every call, and in seconds rather than in samples."""

from __future__ import annotations

import numpy as np
import pytest

from quality import synthetic
from quality.synthetic import CHANGE_AT, F64, GENERATORS, TRUE_CHANGES

EVERY = pytest.mark.parametrize("family", sorted(GENERATORS))
DAY_POINTS = 24 * 60
WEEKS = 2.0
INDEPENDENT = ("gaussian", "lognormal", "sparse_counts", "rare_ones")
SMOOTH = ("daily", "linear_trend", "autoregressive", "level_shift", "quantised", "working_days")


def draw(family: str, *, step_s: float = 60.0, weeks: float = WEEKS, seed: int = 1) -> F64:
    return synthetic.make(family, step_s=step_s, weeks=weeks, seed=seed)


def share_above(values: F64, seed_noise: float = 6.0) -> float:
    """Of points that stand out from the bulk of a series whose noise has deviation 1."""
    return float(np.mean(values > np.median(values) + seed_noise))


@EVERY
def test_a_draw_is_the_same_at_every_call(family: str) -> None:
    assert draw(family).tobytes() == draw(family).tobytes()


@EVERY
def test_another_seed_is_another_draw(family: str) -> None:
    assert not np.array_equal(draw(family, seed=1), draw(family, seed=2))


@EVERY
@pytest.mark.parametrize(("step_s", "weeks"), [(60.0, 1.0), (15.0, 0.5), (7.0, 0.1)])
def test_a_draw_is_as_long_as_its_weeks_and_finite(
    family: str, step_s: float, weeks: float
) -> None:
    values = draw(family, step_s=step_s, weeks=weeks)

    assert len(values) == round(weeks * 604_800 / step_s)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


@EVERY
def test_the_noise_of_one_step_is_not_that_of_another(family: str) -> None:
    """Or a detector would be tried on the same series under two names."""
    if family == "constant":
        assert np.ptp(draw(family)) == 0
        return
    fine, coarse = draw(family, step_s=30.0), draw(family, step_s=60.0)

    assert not np.array_equal(fine[::2], coarse)


@pytest.mark.parametrize("family", SMOOTH)
def test_a_family_has_the_same_spread_at_every_step(family: str) -> None:
    """Drifts and rhythms are of seconds: samples four times as dense do not change how far they go.

    Mean over draws, for a parameter differs from draw to draw by half.
    """
    spreads = [
        np.mean([np.std(draw(family, step_s=step_s, seed=seed)) for seed in range(12)])
        for step_s in (60.0, 240.0)
    ]

    assert 0.6 < spreads[0] / spreads[1] < 1.6


def test_an_autoregressive_series_forgets_in_the_same_time_at_every_step() -> None:
    def correlation(step_s: float, lag_s: float) -> float:
        values = draw("autoregressive", step_s=step_s, weeks=4.0)
        lag = round(lag_s / step_s)
        return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])

    for step_s in (15.0, 60.0, 240.0):
        assert correlation(step_s, 6000.0) == pytest.approx(0.99**100, abs=0.12)


def test_a_random_walk_goes_as_far_in_an_hour_at_every_step() -> None:
    def hourly_deviation(step_s: float) -> float:
        values = draw("random_walk", step_s=step_s, weeks=4.0)
        every = round(3600 / step_s)
        return float(np.std(np.diff(values[::every])))

    for step_s in (15.0, 60.0, 240.0):
        assert hourly_deviation(step_s) == pytest.approx(60**0.5, rel=0.15)


@pytest.mark.parametrize("family", INDEPENDENT)
def test_independent_noise_has_no_memory(family: str) -> None:
    values = draw(family, weeks=4.0)

    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03


def test_a_daily_rhythm_repeats_after_a_day_and_not_after_half_of_one() -> None:
    values = draw("daily")

    assert np.corrcoef(values[:-DAY_POINTS], values[DAY_POINTS:])[0, 1] > 0.9
    assert np.corrcoef(values[: -DAY_POINTS // 2], values[DAY_POINTS // 2 :])[0, 1] < -0.9


def test_working_days_have_a_rhythm_and_weekends_have_none() -> None:
    days = draw("working_days").reshape(-1, DAY_POINTS)
    spread = days.std(axis=1)

    at_work = np.arange(len(days)) % 7 < 5
    assert spread[at_work].min() > 2 * spread[~at_work].max()


@pytest.mark.parametrize(
    ("family", "share"), [("hourly_job", 2 / 60), ("nightly_batch", 30 / DAY_POINTS)]
)
@pytest.mark.parametrize("step_s", [15.0, 60.0])
def test_a_job_runs_for_its_time_in_every_period(family: str, share: float, step_s: float) -> None:
    assert share_above(draw(family, step_s=step_s)) == pytest.approx(share, rel=0.05)


def test_on_and_off_are_half_a_day_long_in_all() -> None:
    values = draw("on_and_off")
    is_on = values > (values.min() + values.max()) / 2

    assert is_on.mean() == pytest.approx(0.5, abs=0.02)
    assert 2 * WEEKS * 7 * 2 - 2 <= np.count_nonzero(np.diff(is_on)) <= 2 * WEEKS * 7 * 2 + 2


@pytest.mark.parametrize(
    ("family", "statistic"), [("level_shift", np.mean), ("variance_doubles", np.std)]
)
def test_what_changes_once_changes_at_its_place(family: str, statistic: object) -> None:
    assert callable(statistic)
    values = draw(family)
    at = round(CHANGE_AT * len(values))

    before, after = statistic(values[:at]), statistic(values[at + 1 :])
    halves = statistic(values[: at // 2]), statistic(values[at // 2 : at])

    assert family in TRUE_CHANGES
    assert after > 1.1 * before
    assert halves[0] == pytest.approx(halves[1], rel=0.05)


def test_every_other_family_is_without_a_change() -> None:
    """What is named a change is one, and nothing else is: or a right alarm would count as false."""
    assert set(GENERATORS) > TRUE_CHANGES
    for family in ("gaussian", "sparse_counts", "lognormal", "constant"):
        halves = np.array_split(draw(family, weeks=4.0), 2)
        assert halves[0].mean() == pytest.approx(halves[1].mean(), rel=0.1)


def test_counts_are_whole_and_few() -> None:
    values = draw("sparse_counts", weeks=4.0)

    assert np.array_equal(values, np.round(values))
    assert values.min() == 0
    assert 0.05 < values.mean() < 0.2


def test_rare_ones_are_ones_and_rare() -> None:
    values = np.concatenate([draw("rare_ones", seed=seed) for seed in range(8)])

    assert set(np.unique(values)) == {0.0, 1.0}
    assert 5e-4 < values.mean() < 2e-3


def test_quantised_values_take_few_levels() -> None:
    values = draw("quantised")

    assert np.array_equal(values, np.round(values))
    assert 3 <= len(np.unique(values)) <= 10


def test_a_trend_goes_one_way() -> None:
    days = draw("linear_trend").reshape(-1, DAY_POINTS).mean(axis=1)

    assert (np.diff(days) > 0).all()
