"""T1: what it reads from samples, what it closes into cells, what it says and what it does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.detecting import (
    DAY,
    MIDNIGHT_NS,
    Told,
    build,
    chain,
    cut,
    dials,
    judged,
    kinds,
    noise,
    opened,
    pick,
    points,
    slots,
    state,
    story,
)
from tests.make import NS_PER_S
from watchkeeper.analyze.detectors.base import EVIDENCE, OPENED, Findings, Points
from watchkeeper.analyze.detectors.basic import ROW, Basic, Cells
from watchkeeper.model.series import F64, Kind


def basic(**settings: float) -> Basic:
    return Basic(Basic.Config(**settings), capacity=4)


def cells(
    whole: Points, kind: Kind = Kind.GAUGE, detector: Basic | None = None
) -> list[tuple[int, float, float, int]]:
    """Closed cells as (minute, mean, greatest, count)."""
    return rows_of((detector or basic()).sweep(whole, kinds(kind=kind), dials()).cells)


def rows_of(closed: Cells) -> list[tuple[int, float, float, int]]:
    minute = (closed.time_ns - MIDNIGHT_NS) // (60 * NS_PER_S)
    columns = (minute, closed.mean, closed.maximum, closed.n)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def counter(rates: Sequence[float] | F64, step_s: float = 60.0, first: float = 0.0) -> Points:
    """A counter that grows at these rates per second."""
    return points(first + np.concatenate([[0.0], np.cumsum(np.asarray(rates) * step_s)]))


def at_seconds(times_s: Sequence[float], values: Sequence[float]) -> Points:
    time_ns = MIDNIGHT_NS + np.array([round(s * NS_PER_S) for s in times_s], np.int64)
    return Points(np.zeros(len(times_s), np.int32), time_ns, np.array(values, np.float64))


# The grid


def test_a_cell_is_closed_by_the_first_sample_of_a_later_one() -> None:
    whole = at_seconds([0, 15, 30, 45, 60], [1.0, 2.0, 3.0, 6.0, 9.0])

    assert cells(cut(whole, 0, 4)) == []
    assert cells(whole) == [(0, 3.0, 6.0, 4)]


def test_cells_begin_at_full_minutes_of_the_clock_and_not_with_the_series() -> None:
    assert cells(at_seconds([59, 61, 119, 121], [1, 2, 4, 8])) == [(0, 1, 1, 1), (1, 3, 4, 2)]


def test_an_empty_minute_has_no_cell() -> None:
    assert cells(at_seconds([10, 200, 400], [1, 2, 3])) == [(0, 1, 1, 1), (3, 2, 2, 1)]


def test_what_is_no_number_neither_enters_nor_closes_a_cell() -> None:
    whole = at_seconds([0, 30, 70, 80, 130], [1.0, np.nan, np.inf, 5.0, 7.0])

    assert cells(cut(whole, 0, 3)) == []
    assert cells(whole) == [(0, 1, 1, 1), (1, 5, 5, 1)]


def test_cells_of_many_series_come_in_the_order_of_the_samples() -> None:
    whole = chain(*(points([slot, slot], slot=slot) for slot in (2, 0, 3)))

    closed = basic().sweep(pick(whole, np.array([0, 2, 4, 5, 1, 3])), kinds(), dials()).cells

    assert closed.slot.tolist() == [3, 2, 0]
    assert closed.points.value.tolist() == [3.0, 2.0, 0.0]


def test_an_open_cell_survives_a_restart() -> None:
    whole = at_seconds([0, 20, 40, 60], [1.0, 2.0, 6.0, 0.0])
    before, after = basic(), basic()
    before.sweep(cut(whole, 0, 2), kinds(), dials())

    after.load(slots(0), before.dump(slots(0)))

    assert rows_of(after.sweep(cut(whole, 2), kinds(), dials()).cells) == [(0, 3.0, 6.0, 3)]


def test_the_width_of_a_cell_can_be_set() -> None:
    whole = at_seconds([0, 9, 10, 25], [1, 3, 5, 7])

    assert len(basic(grid_s=10.0).sweep(whole, kinds(), dials()).cells) == 2


def test_a_newcomer_does_not_inherit_an_open_cell() -> None:
    detector = basic()
    detector.sweep(points(noise(40)), kinds(), dials())

    detector.admit(slots(1), slots(0))
    late = points([7.0, 7.0], slot=1, start_ns=MIDNIGHT_NS + 10**15)

    closed = detector.sweep(late, kinds(), dials()).cells
    assert (closed.mean.tolist(), closed.n.tolist()) == ([7.0], [1])


# What a sample says


def test_a_counter_says_its_increase_per_second() -> None:
    assert cells(counter([2.0, 3.0, 5.0]), Kind.COUNTER) == [(1, 2, 2, 1), (2, 3, 3, 1)]


def test_the_first_sample_of_a_counter_says_nothing() -> None:
    assert cells(points([1e9, 1e9 + 60.0, 1e9 + 60.0]), Kind.COUNTER) == [(1, 1.0, 1.0, 1)]


def test_a_rate_is_per_second_whatever_the_interval() -> None:
    whole = at_seconds([0, 10, 40, 100, 200], [0, 20, 80, 200, 400])

    assert {mean for _, mean, _, _ in cells(whole, Kind.COUNTER)} == {2.0}


def test_a_sample_after_a_reset_is_neither_judged_nor_part_of_a_cell() -> None:
    values = [0, 60, 120, 6, 66, 126]

    assert cells(points(values), Kind.COUNTER) == [(1, 1, 1, 1), (2, 1, 1, 1), (4, 1, 1, 1)]


@pytest.mark.parametrize("restart_at", [0.0, 3.0])
@pytest.mark.parametrize("n_restarts", [1, 2])
def test_a_counter_that_restarts_raises_nothing(restart_at: float, n_restarts: int) -> None:
    values = np.cumsum(noise(2 * DAY, mean=6_000.0, deviation=60.0))
    for k in range(n_restarts):
        values[DAY + 200 + k :] -= values[DAY + 200 + k] - restart_at

    assert judged(basic(), points(values), Kind.COUNTER) == []


@pytest.mark.parametrize("modulus", [2.0**32, 2.0**64])
def test_a_counter_that_wraps_raises_nothing(modulus: float) -> None:
    """One that wraps falls, like one that was reset."""
    step = modulus / DAY
    values = np.cumsum(noise(2 * DAY, mean=step, deviation=0.01 * step)) % modulus

    assert judged(basic(), points(values), Kind.COUNTER) == []


def test_a_rate_over_a_gap_is_not_judged() -> None:
    """The target was down for most of it, so that its counter stood still."""
    whole = counter(noise(2 * DAY, mean=100.0))
    after = Points(whole.slot, whole.time_ns + 1_800 * NS_PER_S, whole.value)
    gap = chain(cut(whole, 0, DAY), cut(after, DAY))

    assert len(basic().sweep(gap, kinds(kind=Kind.COUNTER), dials()).findings) == 0


def test_a_counter_is_found_by_its_rate() -> None:
    rates = noise(2 * DAY, mean=100.0)
    rates[DAY] = 250.0

    told = judged(basic(), counter(rates), Kind.COUNTER)

    assert told[0] == Told("opened", DAY + 1, pytest.approx(250.0), 0)


def test_what_is_unscored_is_not_touched_at_all() -> None:
    detector = basic()

    swept = detector.sweep(points(noise(2 * DAY)), kinds(kind=Kind.UNSCORED), dials())

    assert (len(swept.findings), len(swept.cells)) == (0, 0)
    assert state(detector, 0) == state(basic(), 0)


def test_each_series_is_read_by_its_own_kind() -> None:
    kind = np.array([Kind.GAUGE, Kind.COUNTER, Kind.UNSCORED, Kind.BY_NAME], np.uint8)
    whole = chain(*(points([60.0, 120.0, 180.0], slot=slot) for slot in range(4)))

    closed = basic().sweep(whole, kind, dials()).cells

    assert closed.slot.tolist() == [0, 0, 1, 3, 3]
    assert closed.mean.tolist() == [60.0, 120.0, 1.0, 60.0, 120.0]


# What is strange


def spike_at(at: int, n: int = 2 * DAY, height: float = 40.0, seed: int = 0) -> F64:
    values = noise(n, seed)
    values[at] += height
    return values


def test_a_spike_is_found_at_once_and_over_soon() -> None:
    told = judged(basic(), points(spike_at(2_000)))

    assert [(one.change, one.at) for one in told] == [("opened", 2_000), ("closed", 2_005)]


def test_a_drop_to_zero_is_found() -> None:
    values = noise(2 * DAY)
    values[2_000:2_030] = 0.0

    assert opened(judged(basic(), points(values))) == [2_000]


def test_what_t1_finds_alone_is_information() -> None:
    findings = basic().sweep(points(spike_at(2_500)), kinds(), dials()).findings

    assert EVIDENCE not in findings.severity


def test_the_band_is_around_the_level() -> None:
    findings = basic().sweep(points(spike_at(2_000)), kinds(), dials()).findings

    assert 80.0 < findings.low[0] < 97.0
    assert 103.0 < findings.high[0] < 120.0


def test_the_streams_say_how_far_off_and_on_which_side() -> None:
    findings = basic().sweep(points(spike_at(2_000, height=-40.0)), kinds(), dials()).findings

    level, difference = findings.streams[0]
    assert -60.0 < level < -20.0
    assert -60.0 < difference < -20.0


@pytest.mark.parametrize("step_s", [1.0, 15.0, 60.0, 300.0])
def test_noise_stays_in_its_budget_at_every_step(step_s: float) -> None:
    """Of eight weeks of it, by two series: at most one episode a week."""
    n = round(4 * 7 * 86_400 / step_s) if step_s > 1.0 else 14 * 86_400
    n_opened = 0
    for seed in range(2):
        found = basic().sweep(points(noise(n, seed), step_s=step_s), kinds(), dials()).findings
        n_opened += np.count_nonzero(found.change == OPENED)

    assert n_opened <= 4


@pytest.mark.parametrize("step_s", [1.0, 15.0, 60.0])
def test_memories_are_in_seconds(step_s: float) -> None:
    """An hour after a change of the mean, the level is as far at every step."""
    n_before, n_after = round(6 * 86_400 / step_s), round(1_500 / step_s)
    values = np.concatenate([np.full(n_before, 100.0), np.full(n_after, 101.0)])
    values += 2.0 * np.where(np.arange(len(values)) % 2, 1.0, -1.0)
    detector = basic()
    detector.sweep(points(values, step_s=step_s), kinds(), dials())

    row = detector.dump(slots(0))["row"].view(ROW)[0, 0]

    assert row["level"] == pytest.approx(101.0 - np.exp(-1_500 / 2_940), abs=0.05)
    assert row["interval_s"] == pytest.approx(step_s)


def test_no_small_p_value_is_claimed_of_a_short_history() -> None:
    """200 cells support no probability below 1/201."""
    findings = basic().sweep(points(spike_at(260, n=300, height=500.0)), kinds(), dials()).findings

    assert findings.p_value[0] == pytest.approx(1 / 231, rel=0.01)


def test_a_long_history_supports_a_small_p_value() -> None:
    findings = basic().sweep(points(spike_at(2_500)), kinds(), dials()).findings

    assert findings.p_value[0] < 1e-4


def test_a_p_value_means_what_it_says() -> None:
    """Of noise from a heavy tail, cells below p = 1e-3 are about one in a thousand."""
    values = np.random.default_rng(4).standard_t(3, 60 * DAY)
    detector = basic(budget_per_week=10.08, rearm_s=0.0)

    findings = detector.sweep(points(values), kinds(), dials()).findings

    share = np.count_nonzero(findings.change == OPENED) / len(values)
    assert 1e-4 < share < 3e-3


def test_a_greater_budget_finds_more() -> None:
    values = noise(10 * DAY)
    values[2_000::700] += np.linspace(4.0, 30.0, len(values[2_000::700]))

    few = opened(judged(basic(budget_per_week=0.01), points(values)))
    many = opened(judged(basic(budget_per_week=10.0), points(values)))

    assert len(few) < len(many)


def test_a_lasting_shift_is_one_episode_and_so_is_the_way_back() -> None:
    values = noise(4 * DAY)
    values[DAY : 3 * DAY] += 40.0

    assert opened(judged(basic(), points(values))) == [DAY, 3 * DAY]


def test_after_a_lasting_shift_the_new_level_is_the_rule() -> None:
    values = noise(2 * DAY)
    values[DAY:] += 40.0
    values[DAY + 200] += 40.0

    assert opened(judged(basic(), points(values))) == [DAY, DAY + 200]


def test_a_series_that_wakes_up_is_judged_by_its_new_self() -> None:
    """It was flat for a day; a day after it began to live, a spike is found."""
    values = np.zeros(4 * DAY)
    values[DAY:] = noise(3 * DAY, mean=1e6, deviation=1e4)
    values[3 * DAY] += 1e6

    assert opened(judged(basic(), points(values))) == [DAY, 3 * DAY]


def test_a_daily_job_is_told_twice_and_then_known() -> None:
    values = noise(14 * DAY, mean=10.0)
    minute = np.arange(len(values)) % DAY
    values[(minute >= 200) & (minute < 230)] += 200.0

    told = opened(judged(basic(), points(values)))

    assert len([at for at in told if at > 4 * DAY]) <= 2


def test_a_series_that_speaks_too_often_is_muted() -> None:
    rng = np.random.default_rng(3)
    values = noise(28 * DAY)
    values[DAY + np.sort(rng.choice(27 * DAY, 80, replace=False))] += 60.0

    told = opened(judged(basic(), points(values)))

    assert len(told) < 40


def test_garbage_is_forgotten() -> None:
    values = spike_at(4_000, n=3 * DAY)
    values[2_000] = 1e30

    assert opened(judged(basic(), points(values))) == [2_000, 4_000]


def test_a_value_that_rises_slowly_with_the_day_is_no_finding() -> None:
    minute = np.arange(7 * DAY)
    values = 100.0 + 30.0 * np.sin(2 * np.pi * minute / DAY) + noise(7 * DAY, mean=0.0)

    assert judged(basic(), points(values)) == []


def test_percentiles_that_cross_zero_are_judged_like_others() -> None:
    values = noise(2 * DAY, mean=0.0, deviation=0.01)
    values[2_000] = 0.8

    assert opened(judged(basic(), points(values))) == [2_000]


def test_a_flood_of_new_series_is_quiet() -> None:
    n_series, n = 500, 200
    flood = Basic(capacity=n_series)
    rng = np.random.default_rng(7)
    n_found = 0
    for i in range(n):
        time_ns = np.full(n_series, MIDNIGHT_NS + i * 15 * NS_PER_S, np.int64)
        batch = Points(np.arange(n_series, dtype=np.int32), time_ns, rng.lognormal(size=n_series))
        n_found += len(flood.step(batch, kinds(n_series), dials(n_series)))

    assert n_found <= 2


def test_a_row_is_two_cache_lines() -> None:
    assert ROW.itemsize == 128
    assert basic().bytes_per_series == 128


def test_findings_of_cells_that_ran_full_are_in_the_order_of_time() -> None:
    values = noise(3 * DAY)
    values[1_500::400] += 50.0

    findings: Findings = build("basic").step(points(values), kinds(), dials())

    assert np.all(np.diff(findings.time_ns) >= 0)
    assert len(story(findings, points(values))) == len(findings)
