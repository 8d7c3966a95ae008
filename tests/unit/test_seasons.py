"""What repeats in a series, and by whose clocks: days, weeks, nothing; time zones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detecting import (
    MIDNIGHT_NS,
    chain,
    columns,
    cut,
    dials,
    interleaved,
    joined,
    kinds,
    noise,
    points,
    slots,
    state,
)
from tests.make import NS_PER_S
from watchkeeper.analyze import detect_state
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, Findings, Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.analyze.detectors.seasons import Mode, Weeks, packed, parts
from watchkeeper.analyze.detectors.seasons_kernel import WEEK_WIDTH
from watchkeeper.analyze.detectors.zones import local_ns, name_of, number_of
from watchkeeper.model.series import F64

DAY, WEEK = 96, 672
"""Points, one each quarter of an hour."""
STEP_S = 900.0
BERLIN = number_of("Europe/Berlin")
WEEKLY, NONE = packed(Mode.WEEKLY, 0), packed(Mode.NONE, 0)
EACH = (0, NONE, WEEKLY, packed(Mode.WEEKLY, BERLIN), packed(Mode.DAILY, BERLIN))
"""What a dial may ask for."""


def fk(capacity: int = 16) -> FK:
    return FK(capacity=capacity)


def asking(*season: int) -> DialArray:
    """Dials of the first slots; the others ask for nothing."""
    array = dials(64)
    array["season"][: len(season)] = season
    return array


def quarters(values: F64, *, slot: int = 0, start_ns: int = MIDNIGHT_NS) -> Points:
    return points(values, slot=slot, step_s=STEP_S, start_ns=start_ns)


def working(weeks: int, seed: int = 0) -> F64:
    """Busy by day, but at weekends."""
    at = np.arange(weeks * WEEK)
    busy = (at // DAY % 7 < 5) * np.sin(np.pi * at / DAY) ** 2
    values: F64 = 100.0 + 60.0 * busy + noise(weeks * WEEK, seed, mean=0.0)
    return values


def instants(*text: str) -> np.ndarray[Any, Any]:
    times = [datetime.fromisoformat(one) for one in text]
    return np.array([int(one.timestamp()) * NS_PER_S for one in times], np.int64)


def evidence(findings: Findings) -> list[int]:
    loud = (findings.change != CLOSED) & (findings.severity == EVIDENCE)
    return sorted(set(findings.started_ns[loud].tolist()))


def strange(p_values: F64) -> float:
    """How strange some points are together."""
    return float(-np.log10(p_values).sum())


# Zones


@pytest.mark.parametrize(
    ("zone", "instant", "shown"),
    [
        ("Europe/Berlin", "2024-03-31T00:59:59+00:00", "2024-03-31T01:59:59+00:00"),
        ("Europe/Berlin", "2024-03-31T01:00:00+00:00", "2024-03-31T03:00:00+00:00"),
        ("Europe/Berlin", "2024-10-27T00:59:59+00:00", "2024-10-27T02:59:59+00:00"),
        ("Europe/Berlin", "2024-10-27T01:00:00+00:00", "2024-10-27T02:00:00+00:00"),
        ("Asia/Kathmandu", "2024-06-01T00:00:00+00:00", "2024-06-01T05:45:00+00:00"),
        ("America/New_York", "2024-07-01T12:00:00+00:00", "2024-07-01T08:00:00+00:00"),
        ("UTC", "2024-07-01T12:00:00+00:00", "2024-07-01T12:00:00+00:00"),
        ("Europe/Berlin", "1969-12-31T23:00:00+00:00", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_clocks_show_what_is_law_where_they_stand(zone: str, instant: str, shown: str) -> None:
    found = local_ns(instants(instant), np.array([number_of(zone)], np.int64))

    assert found.tolist() == instants(shown).tolist()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4_000_000_000), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"])
        ),
        min_size=1,
        max_size=20,
    )
)
def test_many_zones_at_a_time_are_as_each_alone(asked: list[tuple[int, str]]) -> None:
    times = np.array([one for one, _ in asked], np.int64) * NS_PER_S
    zones = np.array([number_of(name) for _, name in asked], np.int64)

    found = local_ns(times, zones)

    for (second, name), shown in zip(asked, found.tolist(), strict=True):
        offset = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(name)).utcoffset()
        assert offset is not None
        assert shown == second * NS_PER_S + offset // timedelta(seconds=1) * NS_PER_S


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_a_zone_has_a_number_and_its_name_again(name: str) -> None:
    assert name_of(number_of(name)) == name


@pytest.mark.parametrize("name", ["", "Berlin", "Europe/berlin ", "../etc/passwd"])
def test_a_zone_that_does_not_exist_is_named_with_the_remedy(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not known; write one as Europe/Berlin"):
        number_of(name)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_dial_has_room_for_every_zone(mode: Mode) -> None:
    zone = number_of("Zulu")

    season = packed(mode, zone)

    assert season < 1 << 16
    assert parts(season) == (mode, zone)


# Days, weeks, nothing


def test_what_says_nothing_of_the_season_is_judged_by_the_universal_day() -> None:
    whole = quarters(working(3))
    one, other = fk(), fk()

    told, named = one.step(whole, kinds(), dials()), other.step(whole, kinds(), asking(0))

    assert columns(told) == columns(named)
    assert state(one, 0) == state(other, 0)


def office(weeks: int) -> Points:
    """Open from nine to five on working days; once a minute."""
    minute = np.arange(weeks * 10_080)
    at_work = (minute // 1_440 % 7 < 5) & (minute % 1_440 >= 540) & (minute % 1_440 < 1_020)
    return points(100.0 + 80.0 * at_work + noise(len(minute), 1, mean=0.0, deviation=2.0))


def test_the_first_weekend_surprises_and_the_second_does_not_where_weeks_are_known() -> None:
    whole = office(3)
    weekends = [slice(week * 10_080 + 5 * 1_440, (week + 1) * 10_080) for week in range(3)]

    by_day, by_week = (
        [strange(fk().p_values(whole, asking(season))[one]) for one in weekends]
        for season in (0, WEEKLY)
    )

    assert by_week[0] == by_day[0] > 10.0
    assert min(by_day[1:]) > 10.0
    assert max(by_week[1:]) < 3.0


def test_a_busy_sunday_is_told_where_sundays_are_known_to_be_idle() -> None:
    values = working(5)
    sunday = slice(4 * WEEK + 6 * DAY + 40, 4 * WEEK + 6 * DAY + 44)
    values[sunday] += 55.0

    told = fk().step(quarters(values), kinds(), asking(WEEKLY))

    begins = MIDNIGHT_NS + sunday.start * int(STEP_S) * NS_PER_S
    assert begins in evidence(told)


def test_in_the_first_week_the_day_is_what_is_expected() -> None:
    values = working(1)

    by_week = fk().p_values(quarters(values), asking(WEEKLY))

    assert by_week.tolist() == fk().p_values(quarters(values), asking(0)).tolist()


@pytest.mark.parametrize("step_s", [60.0, 900.0])
def test_a_quarter_of_an_hour_has_no_say_before_it_was_left(step_s: float) -> None:
    """However many of its points came."""
    values = np.repeat(working(1), round(STEP_S / step_s))
    whole = points(values[: round(6 * 86_400 / step_s)], step_s=step_s)

    by_week = fk().p_values(whole, asking(WEEKLY))

    assert by_week.tolist() == fk().p_values(whole, asking(0)).tolist()


def test_where_nothing_repeats_the_season_says_nothing() -> None:
    values = working(3)
    values[2 * WEEK + 30 : 2 * WEEK + 34] += 400.0
    whole = quarters(values)

    daily = fk().step(whole, kinds(), asking(0))
    silent = fk().step(whole, kinds(), asking(NONE))

    seasonal = FK.streams.index("seasonal")
    assert np.any(daily.streams[:, seasonal] != 0.0)
    assert len(silent)
    assert not np.any(silent.streams[:, seasonal])


def test_where_nothing_repeats_no_profile_is_learned() -> None:
    detector = fk()

    detector.step(quarters(working(1)), kinds(), asking(NONE))

    assert not detector.dump(slots(0))["profile"].any()


@pytest.mark.parametrize(("before", "after"), [(0, NONE), (NONE, 0), (0, WEEKLY), (WEEKLY, 0),
                                               (WEEKLY, EACH[3])])  # fmt: skip
def test_a_series_may_be_asked_otherwise_while_it_is_judged(before: int, after: int) -> None:
    """What it learned of other things stays, and nothing is told because of the change."""
    whole = quarters(working(6))
    detector = fk()

    detector.step(cut(whole, 0, 3 * WEEK), kinds(), asking(before))
    told = detector.step(cut(whole, 3 * WEEK), kinds(), asking(after))

    assert len(evidence(told)) <= 2
    assert np.isfinite(told.value).all()


# A business that lives by local time


def by_local_time(first: str, weeks: int) -> Points:
    """Open from nine to five in Berlin, from some midnight there."""
    start = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    start_ns = int(start.timestamp()) * NS_PER_S
    whole = points(np.zeros(weeks * 10_080), start_ns=start_ns)
    shown_s = local_ns(whole.time_ns, np.full(len(whole), BERLIN)) // NS_PER_S
    hour = shown_s % 86_400 / 3_600.0
    at_work = 1.0 / (1.0 + np.exp(-20.0 * (hour - 9.0))) / (1.0 + np.exp(20.0 * (hour - 17.0)))
    value = 100.0 + 80.0 * at_work + 2.0 * noise(len(whole), 1, mean=0.0)
    return Points(whole.slot, whole.time_ns, value)


CHANGES = pytest.mark.parametrize(
    ("first", "change"),
    [("2024-03-03", "2024-03-31T01:00:00+00:00"), ("2024-09-29", "2024-10-27T01:00:00+00:00")],
)
"""Forward, and back."""


@CHANGES
@pytest.mark.parametrize("mode", [Mode.DAILY, Mode.WEEKLY])
def test_clocks_that_change_are_no_news_where_the_zone_is_told(
    first: str, change: str, mode: Mode
) -> None:
    whole = by_local_time(first, 5)
    changed_ns = int(instants(change)[0])

    told = fk().step(whole, kinds(), asking(packed(mode, BERLIN)))

    assert [time for time in told.started_ns.tolist() if time >= changed_ns] == []


@CHANGES
def test_the_day_after_the_clocks_changed_is_as_usual_where_the_zone_is_told(
    first: str, change: str
) -> None:
    whole = by_local_time(first, 5)
    changed_ns = int(instants(change)[0])
    day = (whole.time_ns >= changed_ns) & (whole.time_ns < changed_ns + 86_400 * NS_PER_S)

    by_zone = strange(fk().p_values(whole, asking(packed(Mode.DAILY, BERLIN)))[day])
    by_utc = strange(fk().p_values(whole, asking(0))[day])

    assert by_zone < 0.7 * by_utc


# What every detector promises, with each of these


WORKING = working(3, seed=5)


def crowd(n: int = 2 * WEEK) -> Points:
    return interleaved(*(quarters(WORKING[s : s + n], slot=s) for s in range(len(EACH))))


@settings(max_examples=8)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_it_does_not_matter_how_points_were_cut_into_batches(sizes: list[int]) -> None:
    whole = crowd(WEEK + 2 * DAY)
    at_once, in_parts = fk(), fk()
    cuts = [0, *np.cumsum(sizes).tolist(), len(whole)]

    told = at_once.step(whole, kinds(), asking(*EACH))
    found = [
        in_parts.step(cut(whole, a, max(a, b)), kinds(), asking(*EACH)) for a, b in pairwise(cuts)
    ]

    assert joined(found) == columns(told)
    assert state(in_parts, *range(len(EACH))) == state(at_once, *range(len(EACH)))


@pytest.mark.parametrize("season", EACH)
@pytest.mark.parametrize("n", [1, DAY, WEEK, WEEK + 50])
def test_p_values_of_a_prefix_are_a_prefix_of_p_values(season: int, n: int) -> None:
    whole = quarters(working(2))

    part = fk().p_values(cut(whole, 0, n), asking(season))

    assert part.tolist() == fk().p_values(whole, asking(season))[:n].tolist()


@pytest.mark.parametrize("season", EACH)
def test_what_a_series_asks_for_is_none_of_the_others_business(season: int) -> None:
    mine = quarters(working(2), slot=0)
    others = [quarters(working(2, seed=s), slot=s) for s in (1, 2)]
    alone, among = fk(), fk()

    own = alone.p_values(mine, asking(season))
    of_all = interleaved(mine, *others)
    found = among.p_values(of_all, asking(season, WEEKLY, NONE))

    assert found[of_all.slot == 0].tolist() == own.tolist()
    assert state(among, 0) == state(alone, 0)


@pytest.mark.parametrize("season", EACH)
@pytest.mark.parametrize("k", [1, WEEK - 3, WEEK + 100])
def test_a_restart_from_a_dump_changes_no_bit(season: int, k: int) -> None:
    whole = quarters(working(2))
    before, after = fk(), fk()
    before.step(cut(whole, 0, k), kinds(), asking(season))

    after.load(slots(0), before.dump(slots(0)))

    expected = before.step(cut(whole, k), kinds(), asking(season))
    assert columns(after.step(cut(whole, k), kinds(), asking(season))) == columns(expected)
    assert state(after, 0) == state(before, 0)


def test_a_checkpoint_brings_weeks_back_and_holds_nothing_of_those_that_have_none() -> None:
    detector = fk()
    detector.step(crowd(), kinds(), asking(*EACH))
    every = slots(*range(8))
    identity = np.arange(16, dtype=np.uint64).reshape(8, 2)
    versions = {FK.name: FK.version}
    beside = detect_state.Beside(b"", {}, b"", b"", b"")

    kept = detect_state.encode(identity, {FK.name: detector.dump(every)}, versions, beside)

    week = detect_state.decode(kept).detectors[FK.name][1]["week"]
    assert len(week.data) == 2 * 4 * WEEK_WIDTH
    twin = fk()
    twin.load(every, detect_state.decode(kept).states(versions)[FK.name])
    assert state(twin, *range(8)) == state(detector, *range(8))


def test_the_form_of_a_dump_is_the_same_whoever_has_a_week() -> None:
    detector = fk()
    detector.step(crowd(DAY), kinds(), asking(*EACH))

    assert detector.dump(slots(0, 1, 7))["week"].shape == (3, 4 * WEEK_WIDTH)
    assert not detector.dump(slots(0, 1, 7))["week"].any()
    assert detector.dump(slots())["week"].shape == (0, 4 * WEEK_WIDTH)
    assert fk().dump(slots())["week"].shape == (0, 4 * WEEK_WIDTH)


def test_a_newcomer_takes_over_the_donors_week_but_not_its_level() -> None:
    detector = fk()
    detector.step(quarters(working(3)), kinds(), asking(WEEKLY, WEEKLY))
    later_ns = MIDNIGHT_NS + 3 * WEEK * int(STEP_S) * NS_PER_S
    newcomer = quarters(500.0 + working(1, seed=9), slot=1, start_ns=later_ns)

    detector.admit(slots(1), slots(0))

    p_values = detector.p_values(newcomer, asking(WEEKLY, WEEKLY))
    assert float(p_values[5 * DAY :].min()) > 1e-4


def test_who_begins_afresh_has_no_week() -> None:
    detector = fk()
    detector.step(quarters(working(1)), kinds(), asking(WEEKLY))

    detector.admit(slots(0), slots(-1))

    assert state(detector, 0) == state(fk(), 0)


@pytest.mark.parametrize("donor", [1, 2])
def test_to_adopt_from_who_has_no_week_is_to_have_none(donor: int) -> None:
    detector = fk()
    detector.step(quarters(working(1)), kinds(), asking(WEEKLY))
    detector.step(quarters(working(1), slot=1), kinds(), asking(WEEKLY))

    detector.admit(slots(0), slots(donor))

    expected = detector.dump(slots(donor))["week"].tolist()
    assert detector.dump(slots(0))["week"].tolist() == expected


# Places


def weeks_of(*asked: int) -> Weeks:
    weeks = Weeks()
    for slot in asked:
        weeks.of(points([1.0], slot=slot), asking(*[WEEKLY] * 64))
    return weeks


def test_a_place_is_given_out_again_and_is_as_new() -> None:
    weeks = weeks_of(3, 9)
    weeks.array[:] = 7.0

    weeks.admit(slots(3), slots(-1))
    place = weeks.of(points([1.0], slot=40), asking(*[WEEKLY] * 64)).place

    assert weeks.n_given == 2
    assert not weeks.array[place[0]].any()


def test_rows_move_when_there_are_more_than_there_is_room_for() -> None:
    weeks = weeks_of(1)
    weeks.array[0, 5] = 4.0

    weeks.of(chain(*(points([1.0], slot=s) for s in range(60))), asking(*[WEEKLY] * 64))

    assert weeks.n_given == 60
    assert weeks.take(slots(1)).view(np.float32)[0, 5] == 4.0


@pytest.mark.parametrize("season", [0, NONE, EACH[4]])
def test_who_asks_for_no_week_has_no_row(season: int) -> None:
    weeks = Weeks()

    weeks.of(points([1.0, 2.0], slot=5), dials(season=season))

    assert weeks.n_given == 0


def test_where_nobody_asks_nothing_is_made_of_the_points() -> None:
    season = Weeks().of(quarters(working(1)), dials())

    assert (len(season.local_ns), len(season.place)) == (0, 0)


def test_who_is_itself_the_donor_keeps_its_week() -> None:
    weeks = weeks_of(2)
    weeks.array[0, 5] = 4.0

    weeks.admit(slots(2), slots(2))

    assert weeks.take(slots(2)).view(np.float32)[0, 5] == 4.0


def test_memory_is_the_same_for_each_that_asks() -> None:
    assert Weeks().bytes_per_row == 2_696
    of_all: Mapping[str, Any] = fk().dump(slots(0))
    assert sum(a.nbytes for a in of_all.values()) == fk().bytes_per_series + 2_696
