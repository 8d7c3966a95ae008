"""The space of a service: what it takes for usual, what it finds, and what it survives."""

from __future__ import annotations

import numpy as np
import pytest

from tests import make
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, OPENED
from watchkeeper.analyze.joint.learn_kernel import RIPE_ROWS
from watchkeeper.analyze.joint.space import MAX_MEMBERS, Finding, Settings, Space
from watchkeeper.model.series import F64, I64

SETTINGS = Settings(
    explained=0.9,
    smoothing_s=120.0,
    refit_s=21_600.0,
    budget_per_week=0.1,
    rearm_ns=3_600 * make.NS_PER_S,
)
DISTANCE, COUNT = 0, 1
N = 3_000


def times(n: int, first: int = 0) -> I64:
    return make.START_NS + (first + np.arange(n, dtype=np.int64)) * 60 * make.NS_PER_S


def moving_together(n: int = N, members: int = 8, seed: int = 1) -> F64:
    """Members that follow two causes, each in a unit of its own."""
    chance = np.random.default_rng(seed)
    causes = chance.standard_normal((n, 2))
    mixed = causes @ chance.normal(0, 1, (2, members)) + chance.normal(0, 0.1, (n, members))
    return np.asarray(100.0 + mixed * np.logspace(-3, 6, members))


def space(rows: F64, settings: Settings = SETTINGS) -> Space:
    one = Space(settings)
    one.hold(rows.shape[1])
    return one


def learned(rows: F64, settings: Settings = SETTINGS) -> Space:
    one = space(rows, settings)
    one.judge(times(len(rows)), rows)
    return one


def scores(one: Space, rows: F64, first: int = N) -> F64:
    return one.scores(times(len(rows), first), rows)


def told(found: list[Finding], voice: int) -> list[tuple[int, int]]:
    """Change and minute."""
    return [
        (int(one.row["change"]), int(one.row["time_ns"] - make.START_NS) // (60 * make.NS_PER_S))
        for one in found
        if one.row["voice"] == voice
    ]


def test_a_row_that_breaks_ranks_is_far_though_each_member_is_ordinary() -> None:
    rows = moving_together()
    one = learned(rows, SETTINGS._replace(smoothing_s=0.0))
    usual = rows[-500:]

    strangers = np.stack([np.roll(usual, shift, axis=0)[:, 0] for shift in range(8)], axis=1)
    strangers = (strangers - strangers.mean(0)) / strangers.std(0) * usual.std(0) + usual.mean(0)

    assert np.median(scores(one, strangers)) > 4.0 * np.median(scores(one, usual))


def test_usual_rows_are_about_one_away_in_whatever_units() -> None:
    rows = moving_together()

    usual = scores(learned(rows), rows[-500:])

    assert 0.5 < np.median(usual) < 2.0


def test_the_unit_of_a_member_changes_nothing() -> None:
    rows = moving_together()
    by_a_power_of_two = rows * 2.0 ** np.arange(8)

    one, other = scores(learned(rows), rows), scores(learned(by_a_power_of_two), by_a_power_of_two)

    assert np.allclose(one, other, rtol=1e-6)


def test_a_joint_event_is_one_episode_with_its_members_and_an_end() -> None:
    rows = moving_together(members=6)
    spread = rows.std(0)
    rows[2_500:2_520, 1] += 60 * spread[1]
    rows[2_500:2_520, 4] -= 60 * spread[4]
    one = space(rows)

    found = one.judge(times(N), rows)

    changes = told(found, DISTANCE)
    assert [change for change, _ in changes].count(OPENED) == 1
    assert 2_500 <= changes[0][1] <= 2_503
    assert changes[-1][0] == CLOSED
    opened = next(x for x in found if x.row["voice"] == DISTANCE)
    assert set(np.argsort(-opened.shares)[:2].tolist()) == {1, 4}
    assert opened.shares.sum() == pytest.approx(1.0)
    assert opened.row["severity"] == EVIDENCE
    assert opened.row["value"] > opened.row["high"] > 0.0


def test_what_one_member_shows_alone_is_left_to_its_own_detectors() -> None:
    rows = moving_together(members=6)
    rows[2_500:2_520, 1] += 60 * rows[:, 1].std()

    found = space(rows).judge(times(N), rows)

    assert told(found, DISTANCE) == []


def test_many_members_that_leave_their_last_hour_at_once_are_counted() -> None:
    chance = np.random.default_rng(3)
    rows = 100.0 + chance.standard_normal((2 * N, 12))
    rows[5_500:5_510] += np.where(np.arange(12) % 2, 4.5, -4.5)

    found = space(rows).judge(times(2 * N), rows)

    (first, *_) = [one for one in found if one.row["voice"] == COUNT]
    assert first.row["change"] == OPENED
    assert first.row["value"] >= 8
    assert 5_500 <= told([first], COUNT)[0][1] <= 5_510
    assert np.count_nonzero(first.shares) == first.row["value"]


def test_nothing_is_claimed_of_the_first_thousand_rows() -> None:
    rows = moving_together(n=1_000)
    rows[600:610] *= 50.0

    assert space(rows).judge(times(1_000), rows) == []


def test_how_rows_are_cut_changes_nothing_bit_for_bit() -> None:
    rows = moving_together(n=1_400)
    rows[1_200:1_205] *= 3.0
    whole, parts = space(rows), space(rows)

    found = whole.judge(times(len(rows)), rows)
    cut = []
    for begin in (0, 1, 200, 1_201, 1_203):
        end = {0: 1, 1: 200, 200: 1_201, 1_201: 1_203, 1_203: len(rows)}[begin]
        cut += parts.judge(times(end - begin, begin), rows[begin:end])

    assert [one.row.tobytes() for one in cut] == [one.row.tobytes() for one in found]
    assert parts.dump() == whole.dump()


def test_a_dumped_space_goes_on_alike() -> None:
    rows = moving_together(n=1_400)
    one = learned(rows[:900])
    twin = Space(SETTINGS)

    twin.load(one.dump())

    for each in (one, twin):
        each.judge(times(500, 900), rows[900:])
    assert twin.dump() == one.dump()


def test_a_missing_member_is_expected_from_the_others_and_is_no_news() -> None:
    rows = moving_together()
    one = learned(rows)
    usual, gappy = rows[-300:], rows[-300:].copy()
    gappy[:, 3] = np.nan

    with_gap = scores(one, gappy)

    assert np.isfinite(with_gap).all()
    assert np.median(with_gap) < 1.5 * np.median(scores(one, usual))


@pytest.mark.parametrize("left", [0, 1, 2])
def test_rows_with_fewer_than_three_members_are_not_judged(left: int) -> None:
    rows = moving_together()
    one = learned(rows)
    alone = np.full((50, 8), np.nan)
    alone[:, :left] = 1e9

    assert (scores(one, alone) == 1.0).all()


def test_a_constant_member_harms_nothing_and_its_change_is_seen() -> None:
    rows = moving_together()
    rows[:, 5] = 7.0
    one = learned(rows)
    moved = rows[-100:].copy()
    moved[:, 5] = 8.0

    assert np.isfinite(scores(one, rows)).all()
    assert np.median(scores(one, moved)) > 10.0 * np.median(scores(one, rows[-100:]))


@pytest.mark.parametrize("value", [0.0, 5.0, 1e300, -1e300])
def test_members_that_never_move_give_finite_scores(value: float) -> None:
    rows = np.full((600, 5), value)

    one = learned(rows)

    assert np.isfinite(scores(one, rows)).all()


def test_fewer_causes_than_members_give_finite_scores() -> None:
    """Rank one: all members are the same series."""
    cause = np.random.default_rng(1).standard_normal(N)
    rows = np.repeat(cause[:, None], 6, axis=1)

    one = learned(rows)
    apart = rows[-50:].copy()
    apart[:, :3] += 5.0

    assert np.isfinite(scores(one, rows)).all()
    assert scores(one, apart).max() > 5.0 * np.median(scores(one, rows))


def test_infinities_and_what_is_no_number_are_passed_over() -> None:
    rows = moving_together(n=1_000)
    wild = rows.copy()
    wild[300:310, 2] = np.inf
    wild[400:410, 3] = -np.inf
    wild[500:510, :] = np.nan

    one = learned(wild)

    assert np.isfinite(scores(one, wild)).all()


def test_a_member_that_comes_later_belongs_from_the_next_fit_on() -> None:
    rows = moving_together(n=2_000)
    rows[:800, 7] = np.nan
    one = space(rows)

    one.judge(times(800), rows[:800])
    strange = rows[-1:].copy()
    strange[0, 7] = 1e12
    before = scores(one, strange, 800)[0]
    one.judge(times(1_200, 800), rows[800:])

    assert before < 10.0
    assert scores(one, strange, 2_000)[0] > 10.0


def test_a_member_that_left_is_found_after_a_day_and_its_place_can_be_had() -> None:
    rows = moving_together(n=1_600)
    rows[100:, 2] = np.nan
    one = learned(rows)

    left = one.left(int(times(1, 1_600)[0]))
    one.forget(2)

    assert left == [2]
    assert one.left(int(times(1, 1_600)[0])) == []


def test_room_for_more_members_keeps_what_is_known() -> None:
    rows = moving_together(members=8)
    one = learned(rows)
    before = scores(one, rows)

    one.hold(20)

    assert one.n_members >= 20
    assert np.allclose(scores(one, rows), before, rtol=1e-12)


def test_memory_is_bounded_by_the_most_members() -> None:
    one = Space(SETTINGS)

    one.hold(10 * MAX_MEMBERS)

    assert one.n_members == MAX_MEMBERS
    assert one.n_bytes < 100_000


def test_a_lasting_change_is_usual_after_an_hour_or_two() -> None:
    rows = moving_together()
    later = rows.copy()
    later[2_000:, 2] += 100 * rows[:, 2].std()
    one = learned(later)

    assert np.median(scores(one, later[-200:])) < 3.0


def test_without_a_share_to_explain_the_distance_is_that_from_the_usual() -> None:
    rows = 50.0 + np.random.default_rng(2).standard_normal((N, 4))
    one = learned(rows, SETTINGS._replace(explained=0.0, smoothing_s=0.0))
    away = rows[-1:].copy()
    away[0, 1] += 10.0

    near, far = scores(one, rows[-200:]), scores(one, away)

    assert 0.5 < np.sqrt(np.mean(near**2)) < 1.5
    assert 3.0 < far[0] < 8.0


def test_a_row_that_is_not_newer_is_passed_over() -> None:
    rows = moving_together(n=RIPE_ROWS + 100)
    one, other = learned(rows), learned(rows)

    other.judge(times(50), rows[:50] * 9.0)

    assert other.dump() == one.dump()
