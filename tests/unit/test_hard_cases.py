"""The checklist of hard cases through the product's tiers: samples through T1, the cells that it
closes through FK. Those that other files hold are named in docs/explain/hard-cases.md, with these.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quality import synthetic
from quality.tiers import START_NS, Told, sweep, told_by
from tests.detecting import build, dials, kinds, points, state
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, OPENED, Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I64, Kind

MINUTE_NS = 60 * NS_PER_S
DAY, WEEK = 1_440, 10_080
"""Points, one a minute."""
BOTH = ("basic", "fk")


def noise(n: int, seed: int = 0, deviation: float = 1.0) -> F64:
    return np.random.default_rng(seed).normal(0.0, deviation, n)


def every_minute(n: int, step_s: float = 60.0) -> I64:
    return START_NS + np.arange(n) * round(step_s * NS_PER_S)


def told(values: F64, name: str = "fk", time_ns: I64 | None = None) -> Told:
    return told_by(name, sweep(every_minute(len(values)) if time_ns is None else time_ns, values))


def minutes(one: Told, change: int = OPENED, severity: int = 0) -> list[int]:
    """When what was told happened, in minutes since the series began."""
    picked = (one.change == change) & (one.severity >= severity)
    return ((one.time_ns[picked] - START_NS) // MINUTE_NS).tolist()


def evidence(values: F64, time_ns: I64 | None = None) -> list[int]:
    return minutes(told(values, time_ns=time_ns), severity=EVIDENCE)


# Scores


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("k", [1, 999, 3_001, 3_010, 6_000])
def test_what_is_told_of_a_prefix_is_a_prefix_of_what_is_told(name: str, k: int) -> None:
    values = 50.0 + noise(2 * WEEK // 3)
    values[3_000:3_020] += 20.0

    whole, part = told(values, name), told(values[:k], name)

    n = len(part)
    assert part.time_ns.tolist() == whole.time_ns[:n].tolist()
    assert part.p_value.tolist() == whole.p_value[:n].tolist()
    assert part.change.tolist() == whole.change[:n].tolist()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(("scale", "offset"), [(1_000.0, 0.0), (1e-3, 0.0), (1.0, 1_000.0)])
def test_neither_the_unit_nor_the_zero_of_a_value_matters(
    name: str, scale: float, offset: float
) -> None:
    """As far as the least deviation, a thousandth of the size, allows of the zero."""
    values = 50.0 + noise(WEEK, deviation=5.0)
    values[8_000:8_020] += 100.0

    one, other = told(values, name), told(values * scale + offset, name)

    assert minutes(one) == minutes(other)
    assert len(minutes(one)) >= 1


def test_a_step_of_a_constant_series_is_one_event_of_finite_scores_and_soon_the_rule() -> None:
    values = np.full(WEEK, 7.0)
    values[6_000:] = 9.0

    for name in BOTH:
        found = told(values, name)

        assert minutes(found) == [6_000]
        assert np.all(np.isfinite(found.p_value) & (found.p_value > 0.0))
        (closed,) = minutes(found, CLOSED)
        assert closed <= 6_030


@pytest.mark.parametrize(
    "weird", [[np.nan] * 500, [np.nan, 1.0], [np.inf, -np.inf], [1e308, -1e308], [5e-324, -5e-324]]
)
def test_what_is_no_number_or_a_monstrous_one_spoils_nothing(weird: list[float]) -> None:
    """In a burst, and what is none also first; the trouble of days later is found all the same."""
    usual = 50.0 + noise(WEEK)
    first = weird[:1] if not np.isfinite(weird[0]) else []
    values = np.concatenate([first, usual[:4_000], weird, usual[4_000:]])
    values[-100:-80] += 40.0

    found = told(values)

    assert np.all(np.isfinite(found.p_value))
    assert minutes(found)[-1] == len(values) - 100


def test_nothing_but_nan_is_nothing() -> None:
    for name in BOTH:
        assert len(told(np.full(WEEK, np.nan), name)) == 0


def test_duplicated_and_late_samples_change_no_score() -> None:
    values = 50.0 + noise(WEEK)
    values[8_000:8_020] += 20.0
    time_ns = every_minute(WEEK)
    again = np.sort(np.concatenate([np.arange(WEEK), np.arange(0, WEEK, 7)]))
    late = np.concatenate([again, np.arange(4_000, 4_050)])

    tidy, untidy = told(values), told(values[late], time_ns=time_ns[late])

    assert untidy.time_ns.tolist() == tidy.time_ns.tolist()
    assert untidy.p_value.tolist() == tidy.p_value.tolist()


@pytest.mark.parametrize("gap", [3, 60, 2 * WEEK])
def test_a_gap_is_no_finding_and_nothing_is_forgotten_in_it(gap: int) -> None:
    values = 50.0 + noise(2 * WEEK)
    values[WEEK + 3_000 : WEEK + 3_020] += 20.0
    time_ns = every_minute(2 * WEEK)
    time_ns[WEEK:] += gap * MINUTE_NS

    assert evidence(values, time_ns) == [WEEK + 3_000 + gap]


# Counters


def counted(rates: F64, start: float = 0.0) -> F64:
    return start + np.cumsum(rates * 60.0)


def rates_told(values: F64) -> list[int]:
    basic = Basic(capacity=1)
    kind = np.full(1, Kind.COUNTER, np.uint8)
    swept = basic.sweep(points(values), kind, dials())
    cells = swept.cells.points
    found = build("fk").step(cells, kinds(), dials())
    return ((found.time_ns[found.change == OPENED] - points([0]).time_ns[0]) // MINUTE_NS).tolist()


def test_a_counter_that_begins_anew_is_no_finding() -> None:
    rates = 20.0 + noise(WEEK)
    values = counted(rates)
    values[8_000:] -= values[7_999]

    assert rates_told(values) == []


def test_two_resets_in_a_row_are_no_finding() -> None:
    values = counted(20.0 + noise(WEEK))
    values[8_000:] -= values[7_999]
    values[8_001:] -= values[8_000]

    assert rates_told(values) == []


@pytest.mark.parametrize("bits", [32, 64])
def test_a_counter_that_wraps_around_is_no_finding(bits: int) -> None:
    values = np.mod(counted(20.0 + noise(WEEK), 2.0**bits - 20.0 * 60.0 * 8_000), 2.0**bits)

    assert rates_told(values) == []


def test_a_rate_that_doubles_is_found_behind_a_reset() -> None:
    rates = 20.0 + noise(WEEK)
    rates[9_000:9_030] *= 2.0
    values = counted(rates)
    values[8_000:] -= values[7_999]

    assert rates_told(values) == [9_000]


# Shapes


@pytest.mark.parametrize("name", ["quantised", "lognormal", "sparse_counts", "variance_doubles"])
def test_coarse_heavy_and_sparse_series_raise_at_most_one_a_week(name: str) -> None:
    values = synthetic.make(name, step_s=60.0, weeks=3.0, seed=11)

    found = [minute for minute in evidence(values) if minute >= WEEK]

    assert len(found) <= 2


@pytest.mark.parametrize("n", [1, 29, 30, 199, 200])
@pytest.mark.parametrize("name", BOTH)
def test_the_first_points_of_a_series_are_no_evidence(name: str, n: int) -> None:
    values = 50.0 + noise(n + 1)
    values[n] = 1e6

    assert minutes(told(np.append(values, [50.0] * 2), name), severity=EVIDENCE) == []


def test_the_first_days_of_a_daily_series_are_no_evidence() -> None:
    days = np.arange(WEEK) / DAY

    assert evidence(100.0 + 40.0 * np.sin(2 * np.pi * days) + noise(WEEK)) == []


def test_a_usual_value_at_an_unusual_hour_is_found_once_the_season_is_known() -> None:
    days = np.arange(WEEK) / DAY
    values = 100.0 + 40.0 * np.sin(2 * np.pi * days) + noise(WEEK)
    values[4 * DAY + 300 : 4 * DAY + 360] = 75.0

    assert minutes(told(values))[0] == 4 * DAY + 300


def test_the_second_weekend_is_no_news() -> None:
    at_work = (np.arange(4 * WEEK) // DAY) % 7 < 5
    days = np.arange(4 * WEEK) / DAY
    values = 100.0 + 40.0 * at_work * np.sin(2 * np.pi * days) ** 2 + noise(4 * WEEK)

    assert [m // DAY for m in evidence(values) if m >= WEEK] == []


@pytest.mark.parametrize("hours", [1, -1])
def test_clocks_that_change_shift_a_season_by_an_hour_and_page_nobody(hours: int) -> None:
    """A business that lives by local time, seen in universal time."""
    local = np.arange(4 * WEEK) + 60 * hours * (np.arange(4 * WEEK) >= 3 * WEEK)
    values = 100.0 + 40.0 * np.sin(2 * np.pi * local / DAY) + 2.0 * noise(4 * WEEK)

    assert len([m for m in evidence(values) if m >= 3 * WEEK]) <= 1


def test_a_level_that_shifts_and_returns_is_two_episodes() -> None:
    values = 50.0 + noise(2 * WEEK)
    values[WEEK : WEEK + 2 * DAY] += 30.0

    assert evidence(values) == [WEEK, WEEK + 2 * DAY]


def test_a_variance_that_doubles_is_told_at_most_twice_and_becomes_the_rule() -> None:
    values = 50.0 + noise(3 * WEEK)
    values[2 * WEEK :] = 50.0 + 2.0 * (values[2 * WEEK :] - 50.0)

    found = evidence(values)

    assert len(found) <= 2
    assert [m for m in found if m >= 2 * WEEK + 2 * DAY] == []


@pytest.mark.parametrize(
    ("name", "at_most"), [("hourly_job", 0), ("nightly_batch", 2), ("on_and_off", 0)]
)
def test_jobs_that_recur_are_hardly_ever_evidence_once_they_are_known(
    name: str, at_most: int
) -> None:
    """In two weeks."""
    values = synthetic.make(name, step_s=60.0, weeks=3.0, seed=3)

    assert len([m for m in evidence(values) if m >= WEEK]) <= at_most


@pytest.mark.parametrize("name", ["sparse_counts", "rare_ones"])
def test_counts_that_are_mostly_none_raise_at_most_one_a_week(name: str) -> None:
    values = synthetic.make(name, step_s=60.0, weeks=3.0, seed=4)

    assert len([m for m in evidence(values) if m >= WEEK]) <= 2


def test_the_same_trouble_every_day_is_known_after_a_few_days() -> None:
    values = 50.0 + noise(3 * WEEK)
    for day in range(8, 21):
        values[day * DAY + 600 : day * DAY + 630] += 15.0

    days = [m // DAY for m in evidence(values)]

    assert days[0] == 8
    assert [day for day in days if day > 12] == []


def test_trouble_that_lasts_longer_than_a_day_does_not_pass_for_its_season_within_one() -> None:
    days = np.arange(2 * WEEK) / DAY
    values = 100.0 + 20.0 * np.sin(2 * np.pi * days) + noise(2 * WEEK)
    values[WEEK : WEEK + DAY + 300] += 60.0

    found = evidence(values)

    assert found[0] == WEEK
    assert any(WEEK + DAY + 300 <= m <= WEEK + DAY + 310 for m in found), "its end is news, too"


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(("before_s", "after_s"), [(10.0, 60.0), (60.0, 10.0), (15.0, 300.0)])
def test_another_interval_of_scraping_is_no_finding(
    name: str, before_s: float, after_s: float
) -> None:
    n = round(4 * 86_400 / before_s), round(3 * 86_400 / after_s)
    first = every_minute(n[0], before_s)
    time_ns = np.concatenate([first, first[-1] + 1 + every_minute(n[1], after_s) - START_NS])
    values = 50.0 + noise(sum(n))

    assert minutes(told(values, name, time_ns), severity=EVIDENCE) == []


def test_quantiles_of_latency_that_cross_zero_are_judged_like_any_value() -> None:
    """Interpolated ones may lie below it."""
    values = noise(WEEK, deviation=0.01)
    values[8_000:8_010] = 0.5

    assert evidence(values) == [8_000]


# What a restart and threads may not change


@pytest.mark.parametrize("at", [1, 500, 3_005, 3_015])
def test_a_restart_from_a_checkpoint_changes_no_bit(at: int) -> None:
    values = 50.0 + noise(4_000)
    values[3_000:3_020] += 20.0
    whole = points(values)
    for name in BOTH:
        one, other = build(name), build(name)
        one.step(whole, kinds(), dials())

        before = build(name)
        before.step(_rows(whole, slice(0, at)), kinds(), dials())
        other.load(np.zeros(1, np.int32), before.dump(np.zeros(1, np.int32)))
        other.step(_rows(whole, slice(at, None)), kinds(), dials())

        assert state(other, 0) == state(one, 0)


def test_threads_change_no_bit() -> None:
    series = [50.0 + noise(WEEK, seed) for seed in range(4)]
    alone = [told(one).p_value.tolist() for one in series]

    with ThreadPoolExecutor(4) as threads:
        together = [one.p_value.tolist() for one in threads.map(told, series)]

    assert together == alone


def _rows(whole: Points, rows: slice) -> Points:
    return Points(whole.slot[rows], whole.time_ns[rows], whole.value[rows])
