"""FK: what it knows of the day, what it finds by that, and how much it may claim when."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detecting import (
    DAY,
    MIDNIGHT_NS,
    chain,
    cut,
    dials,
    interleaved,
    judged,
    kinds,
    noise,
    opened,
    pick,
    points,
    slots,
    state,
)
from tests.make import NS_PER_S
from watchkeeper.analyze.detectors.base import EVIDENCE, INFO, OPENED, WORSENED, Detector, Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.fk import FK, ROW
from watchkeeper.analyze.detectors.fk_kernel import N_BUCKETS
from watchkeeper.analyze.detectors.tail_kernel import N_BINS, RARE_WEIGHT
from watchkeeper.model.series import F64, Kind

HOUR_S = 3_600


def fk(**settings: float) -> FK:
    return FK(FK.Config(**settings), capacity=4)


def swing(n: int, seed: int = 0, *, height: float = 30.0) -> F64:
    """A day's rhythm with noise: lowest in the small hours, highest in the afternoon."""
    minute = np.arange(n)
    return 100.0 + height * np.sin(2 * np.pi * (minute / DAY - 0.4)) + noise(n, seed, mean=0.0)


def row_of(detector: Detector, slot: int = 0) -> np.void:
    row: np.void = detector.dump(slots(slot))["row"].view(ROW)[0, 0]
    return row


def profile_of(detector: Detector, slot: int = 0) -> F64:
    return detector.dump(slots(slot))["profile"].view(np.float32)[0].astype(np.float64)


def histogram_of(detector: Detector, slot: int = 0) -> F64:
    return detector.dump(slots(slot))["histogram"].view(np.float32)[0].astype(np.float64)


# The day


def test_a_value_that_is_usual_at_noon_is_found_at_night() -> None:
    """It lies within what the series does every day: only the hour is wrong, and the jump small."""
    values = swing(10 * DAY)
    night = 8 * DAY + 120
    values[night : night + 20] = 125.0

    told = opened(judged(fk(), points(values)))

    assert told == [night]
    assert values[:night].max() > 128.0


def test_the_day_is_no_finding() -> None:
    assert judged(fk(), points(swing(14 * DAY))) == []


def test_the_first_day_raises_nothing() -> None:
    """Morning comes for the first time, and nobody has told the detector of mornings."""
    assert judged(fk(), points(swing(DAY + 600, height=60.0))) == []


def test_the_profile_is_the_mean_course_of_the_day() -> None:
    detector = fk()
    detector.step(points(swing(8 * DAY)), kinds(), dials())

    profile = profile_of(detector) + row_of(detector)["season_level"]
    course = swing(DAY, height=30.0).reshape(N_BUCKETS, 5).mean(axis=1)

    assert np.abs(profile - course).mean() < 1.5


def test_a_bucket_is_five_minutes_of_utc() -> None:
    detector = fk()
    start_ns = MIDNIGHT_NS + 13 * HOUR_S * NS_PER_S

    detector.step(points([7.0] * 6, start_ns=start_ns), kinds(), dials())

    assert np.flatnonzero(profile_of(detector)).tolist() == [156, 157]


def test_a_profile_may_be_zero() -> None:
    """A stored zero would mean a bucket never seen."""
    detector = fk()
    detector.step(points([0.0] * (DAY + 10)), kinds(), dials())

    assert np.all(profile_of(detector) != 0.0)
    assert np.all(np.abs(profile_of(detector)) < 1e-20)


def test_one_bad_day_does_not_become_the_profile() -> None:
    """An anomaly that lasts through the night is not what nights look like from then on."""
    values = swing(10 * DAY)
    detector = fk()
    detector.step(points(values[: 8 * DAY]), kinds(), dials())
    before = profile_of(detector)

    bad = points(values[:DAY] + 200.0, start_ns=MIDNIGHT_NS + 8 * DAY * 60 * NS_PER_S)
    detector.step(bad, kinds(), dials())

    assert np.abs(profile_of(detector) - before).max() < 40.0


def test_a_shift_of_the_level_keeps_the_shape_of_the_day() -> None:
    values = swing(12 * DAY)
    values[9 * DAY :] += 80.0
    values[11 * DAY + 100 : 11 * DAY + 120] = 215.0

    told = opened(judged(fk(), points(values)))

    assert told[0] == 9 * DAY
    assert [at for at in told if at > 9 * DAY + DAY] == [11 * DAY + 100]


def test_a_daily_job_is_known_in_the_second_week() -> None:
    values = noise(21 * DAY, mean=10.0)
    minute = np.arange(len(values)) % DAY
    values[(minute >= 203) & (minute < 233)] += 200.0

    told = opened(judged(fk(), points(values)))

    assert len([at for at in told if at > 7 * DAY]) <= 1


def test_an_hourly_job_is_known() -> None:
    values = noise(14 * DAY, mean=10.0)
    values[np.arange(len(values)) % 60 < 2] += 50.0

    assert [at for at in opened(judged(fk(), points(values))) if at > 2 * DAY] == []


# What may be claimed


@pytest.mark.parametrize("at", [100, 300, 600, 900])
def test_before_a_thousand_points_nothing_is_found(at: int) -> None:
    values = noise(DAY)
    values[at] += 1_000.0

    assert judged(fk(), points(values)) == []


def test_before_a_full_day_a_finding_is_information() -> None:
    values = noise(2 * DAY)
    values[1_200] += 60.0
    values[1_900] += 60.0

    told = judged(fk(), points(values))

    severity = {one.at: one.severity for one in told if one.change == "opened"}
    assert severity == {1_200: INFO, 1_900: EVIDENCE}


def test_five_hundred_points_a_day_are_enough_for_evidence_and_fewer_are_not() -> None:
    """At one point in five minutes a day has 288."""
    values = noise(1_600)
    values[[1_100, 1_500]] += 60.0

    told = judged(fk(), points(values, step_s=300.0))

    assert {one.severity for one in told} == {EVIDENCE}


def test_a_finding_is_evidence_with_a_p_value_below_its_budget() -> None:
    values = swing(8 * DAY)
    values[7 * DAY] += 50.0

    findings = fk().step(points(values), kinds(), dials())

    assert findings.severity.tolist() == [EVIDENCE] * len(findings)
    assert findings.p_value[0] < 5e-5


def test_the_band_follows_the_day() -> None:
    values = swing(9 * DAY)
    noon, night = 8 * DAY + 936, 8 * DAY + 216
    lows = []
    for at in (night, noon):
        bent = values.copy()
        bent[at] += 60.0
        findings = fk().step(points(bent[: at + 1]), kinds(), dials())
        assert findings.low[0] < values[at] < findings.high[0] < bent[at]
        lows.append(findings.low[0])

    assert lows[1] > lows[0] + 30.0


def test_each_stream_says_how_far_off_it_is() -> None:
    values = swing(8 * DAY)
    values[7 * DAY] -= 50.0

    findings = fk().step(points(values), kinds(), dials())

    assert np.all(findings.streams[0] < -4.0)
    assert FK.streams == ("fast", "difference", "seasonal", "slow")


def test_a_series_that_speaks_too_often_goes_on_as_information() -> None:
    """With a budget that generous it speaks several times a day."""
    whole = points(np.random.default_rng(5).lognormal(size=14 * DAY))

    told = judged(fk(budget_per_week=60.0, rearm_s=0.0), whole)

    opening = [one for one in told if one.change == "opened"]
    assert EVIDENCE in {one.severity for one in opening if one.at < 3 * DAY}
    late = [one.severity for one in opening if one.at > 5 * DAY]
    assert late.count(INFO) > late.count(EVIDENCE)


def test_a_smaller_budget_finds_less() -> None:
    values = noise(14 * DAY)
    values[3 * DAY :: 977] += np.linspace(3.0, 20.0, len(values[3 * DAY :: 977]))

    few = opened(judged(fk(budget_per_week=0.001), points(values)))
    many = opened(judged(fk(budget_per_week=2.0), points(values)))

    assert len(few) < len(many)


def test_the_kind_is_not_read_because_the_grid_holds_rates() -> None:
    values = noise(2 * DAY)
    values[1_500] += 50.0
    whole = points(values)

    as_gauge = fk().step(whole, kinds(kind=Kind.GAUGE), dials())
    as_counter = fk().step(whole, kinds(kind=Kind.COUNTER), dials())

    assert as_gauge.time_ns.tolist() == as_counter.time_ns.tolist() != []


# What is learned


def test_a_lasting_shift_is_one_episode() -> None:
    values = noise(4 * DAY)
    values[2 * DAY :] += 30.0

    told = [one.change for one in judged(fk(), points(values)) if one.change != "worsened"]

    assert told == ["opened", "closed"]


def test_a_series_that_wakes_up_is_judged_by_its_new_self() -> None:
    values = np.zeros(5 * DAY)
    values[DAY:] = noise(4 * DAY, mean=1e6, deviation=1e4)
    values[4 * DAY] += 1e6

    assert opened(judged(fk(), points(values))) == [DAY, 4 * DAY]


def test_an_incident_does_not_become_normal() -> None:
    """Two hours of trouble, and the same trouble again two days later at another hour."""
    values = noise(8 * DAY)
    values[4 * DAY : 4 * DAY + 120] += noise(120, 1, mean=40.0, deviation=8.0)
    values[6 * DAY + 500 : 6 * DAY + 620] += noise(120, 2, mean=40.0, deviation=8.0)

    told = opened(judged(fk(), points(values)))

    assert 4 * DAY in told
    assert 6 * DAY + 500 in told


def test_variance_that_doubles_is_at_most_one_episode() -> None:
    values = noise(8 * DAY)
    values[4 * DAY :] = 100.0 + 2.0 * (values[4 * DAY :] - 100.0)

    assert len(opened(judged(fk(), points(values)))) <= 1


@pytest.mark.parametrize("step_s", [60.0, 300.0])
def test_grids_of_other_widths_behave_alike(step_s: float) -> None:
    n_day = round(86_400 / step_s)
    values = noise(8 * n_day)
    values[7 * n_day] += 30.0
    whole = points(values, step_s=step_s)
    detector = fk()

    assert opened(judged(detector, whole)) == [7 * n_day]
    assert row_of(detector)["age_s"] == pytest.approx(8 * 86_400, rel=0.01)


def test_missing_points_change_little() -> None:
    values = swing(10 * DAY)
    values[9 * DAY] += 50.0
    whole = points(values)
    there = np.random.default_rng(2).random(len(values)) > 0.2
    there[9 * DAY] = True

    findings = fk().step(pick(whole, there), kinds(), dials())

    assert findings.time_ns[findings.change == OPENED].tolist() == [whole.time_ns[9 * DAY]]


def test_the_histogram_holds_every_ordinary_score() -> None:
    detector = fk()
    detector.step(points(noise(2 * DAY)), kinds(), dials())

    assert histogram_of(detector).sum() == pytest.approx(2 * DAY - 30, rel=0.03)


def test_a_run_of_strange_points_counts_once_at_its_highest() -> None:
    values = noise(8 * DAY)
    before, after = fk(), fk()
    before.step(points(values), kinds(), dials())
    values[7 * DAY : 7 * DAY + 60] += np.linspace(20.0, 80.0, 60)
    after.step(points(values), kinds(), dials())
    high = 45

    more = histogram_of(after)[high:].sum() - histogram_of(before)[high:].sum()

    assert more / row_of(after)["credit"] == pytest.approx(RARE_WEIGHT, abs=0.05)


def test_what_lasts_for_hours_is_learned_point_by_point() -> None:
    """A week of nothing, after which every score is above all that was."""
    values = np.zeros(8 * DAY)
    values[7 * DAY :] = noise(DAY)
    detector = fk()

    detector.step(points(values), kinds(), dials())

    assert row_of(detector)["bulk"] > 10


def test_two_points_in_a_row_are_stranger_than_one() -> None:
    values = noise(8 * DAY)
    values[[7 * DAY, 7 * DAY + 1]] += 12.0

    p_values = fk().p_values(points(values), dials())

    assert p_values[7 * DAY + 1] < 0.5 * p_values[7 * DAY] < 0.005


def test_an_episode_opens_at_the_first_p_value_beyond_the_budget() -> None:
    values = swing(8 * DAY)
    values[7 * DAY : 7 * DAY + 5] += 50.0

    p_values = fk().p_values(points(values), dials())
    told = judged(fk(), points(values))

    assert told[0].at == np.flatnonzero(p_values < 5e-5)[0]


def test_old_scores_fade() -> None:
    detector = fk()
    whole = points(noise(60 * DAY))

    detector.step(cut(whole, 0, DAY), kinds(), dials())
    first_day = histogram_of(detector).sum()
    detector.step(cut(whole, DAY), kinds(), dials())

    row = row_of(detector)
    assert row["credit"] == pytest.approx(np.exp(60 * 86_400 / 6e6), rel=0.05)
    assert first_day * row["credit"] < histogram_of(detector).sum()


def test_a_histogram_grown_too_heavy_is_scaled_down_and_stays_the_same() -> None:
    """After each long gap what is new weighs twice as much; after twenty, a million times."""
    detector = fk()
    start_ns = MIDNIGHT_NS
    for _ in range(24):
        detector.step(points(noise(300), start_ns=start_ns), kinds(), dials())
        start_ns += 3 * DAY * 60 * NS_PER_S

    row = row_of(detector)
    assert 1.0 <= row["credit"] < 1e6
    assert 300 < histogram_of(detector).sum() < 24 * 300 * row["credit"]
    values = noise(300)
    values[250] += 100.0
    assert len(detector.step(points(values, start_ns=start_ns), kinds(), dials())) > 0


def test_a_newcomer_takes_over_the_profile_and_the_calibration() -> None:
    """It is judged by the day from its first hour on, at its own level."""
    detector = fk()
    detector.step(points(swing(8 * DAY), slot=0), kinds(), dials())
    values = swing(2 * DAY) + 500.0
    values[120 + 600 : 120 + 620] -= 60.0
    later = points(values[120:], slot=1, start_ns=MIDNIGHT_NS + (8 * DAY + 120) * 60 * NS_PER_S)

    detector.admit(slots(1), slots(0))
    told = judged(detector, later)

    assert opened(told)[:1] == [600]
    assert told[0].severity == EVIDENCE


def test_without_a_donor_the_same_newcomer_would_be_blind() -> None:
    detector = fk()
    values = swing(2 * DAY) + 500.0
    values[720:740] -= 60.0

    assert opened(judged(detector, points(values[120:1_000]))) == []


def test_a_newcomers_first_point_is_not_strange_whatever_it_is() -> None:
    detector = fk()
    detector.step(points(swing(3 * DAY), slot=0), kinds(), dials())

    detector.admit(slots(1), slots(0))
    first = points([1e9], slot=1, start_ns=MIDNIGHT_NS + 3 * DAY * 60 * NS_PER_S)

    assert len(detector.step(first, kinds(), dials())) == 0


# Together with the sample tier


def test_the_product_of_both_tiers_finds_what_a_minutes_mean_shows() -> None:
    """Samples at 15 s; a quarter of an hour is too high, by no more than the day's swing."""
    n = 8 * 4 * DAY
    quarter = np.arange(n)
    values = 100.0 + 30.0 * np.sin(2 * np.pi * quarter / (4 * DAY)) + noise(n, mean=0.0)
    trouble = 7 * 4 * DAY
    values[trouble : trouble + 60] += 25.0
    basic, grid = Basic(capacity=1), fk()

    swept = basic.sweep(points(values, step_s=15.0), kinds(), dials())
    findings = grid.step(swept.cells.points, kinds(), dials())

    assert len(swept.cells) == n // 4 - 1
    assert findings.change[0] == OPENED
    assert findings.time_ns[0] == MIDNIGHT_NS + 7 * DAY * 60 * NS_PER_S
    assert np.all(findings.severity == EVIDENCE)


def test_cells_and_their_findings_do_not_depend_on_batches() -> None:
    series = [points(swing(2 * DAY, slot) * 2.0, slot=slot, step_s=15.0) for slot in range(3)]
    whole = interleaved(*series)

    def run(size: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
        basic, grid = Basic(capacity=4), fk()
        for i in range(0, len(whole), size):
            swept = basic.sweep(cut(whole, i, i + size), kinds(), dials())
            grid.step(swept.cells.points, kinds(), dials())
        return state(basic, 0, 1, 2), state(grid, 0, 1, 2)

    assert run(len(whole)) == run(1_000) == run(37)


def test_the_state_of_a_series_fits_the_promised_memory() -> None:
    assert fk().bytes_per_series == ROW.itemsize + 4 * (N_BUCKETS + N_BINS) == 1_920


def test_worsening_is_told_with_the_new_peak() -> None:
    values = noise(4 * DAY)
    values[3 * DAY : 3 * DAY + 4] += [20.0, 40.0, 90.0, 200.0]

    findings = fk().step(points(values), kinds(), dials())

    loud = findings.change == WORSENED
    assert np.all(np.diff(findings.p_value[loud]) < 0.0)
    assert np.all(findings.started_ns == findings.started_ns[0])


def test_points_older_than_the_last_are_passed_over() -> None:
    whole = points(noise(100))
    old = Points(slots(0), np.array([MIDNIGHT_NS], np.int64), np.array([1e6]))
    one, other = fk(), fk()

    one.step(chain(whole, old), kinds(), dials())
    other.step(whole, kinds(), dials())

    assert state(one, 0) == state(other, 0)
