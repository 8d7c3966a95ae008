"""What the joint watcher is made of: cells that wait, rows of the past, members and suspects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.joint.forest import MIN_BATCH, Forest
from watchkeeper.analyze.joint.history import N_LAST, N_PAST, History
from watchkeeper.analyze.joint.pending import Pending
from watchkeeper.analyze.joint.places_kernel import ALONE, CROWDED, UNKNOWN, collect
from watchkeeper.analyze.joint.service import (
    MAX_OPEN,
    VALIDATED_AFTER_NS,
    Member,
    Scored,
    Service,
    Subject,
)
from watchkeeper.analyze.joint.space import FOUND, MAX_MEMBERS, Finding, Settings
from watchkeeper.analyze.watchers.joint import Joint
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import Permanent
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.series import DEFAULT_TENANT, F64, I64

MINUTE_NS = 60 * NS_PER_S
DAY = 1_440
NEVER = np.iinfo(np.int64).max
SETTINGS: Settings = Joint.settings(Joint.Config())
SHOP = Subject(DEFAULT_TENANT, "shop", "")
ALL = np.ones(64, np.bool_)

Cell = tuple[int, int, int, float]
"""Service, member, minute, value."""


def add(pending: Pending, *cells: Cell) -> None:
    columns = list(zip(*cells, strict=True)) if cells else [(), (), (), ()]
    place = np.array(columns[0], np.int64) * MAX_MEMBERS + np.array(columns[1], np.int64)
    pending.add(place, np.array(columns[2], np.int64), np.array(columns[3], np.float64))


def taken(pending: Pending, before: int, judged: list[bool] | None = None) -> list[object]:
    """(service, times, rows) of what waits no longer; three services of two members each."""
    of = np.array(judged or [True] * 3)
    return [
        (one.number, one.time_ns.tolist(), one.rows.tolist())
        for one in pending.take(before, of, [2, 2, 2])
    ]


def test_cells_wait_until_their_time_is_past() -> None:
    pending = Pending()
    add(pending, (0, 0, 10, 1.0), (0, 1, 10, 2.0), (0, 0, 11, 3.0))

    assert taken(pending, 10) == []
    assert taken(pending, 11) == [(0, [10], [[1.0, 2.0]])]
    assert taken(pending, 11) == []
    assert pending.oldest_ns == 11


def test_rows_are_in_order_of_service_and_time_however_cells_came() -> None:
    pending = Pending()
    add(pending, (2, 0, 11, 5.0), (0, 0, 12, 1.0))
    add(pending, (0, 1, 10, 2.0), (2, 1, 11, 6.0))
    add(pending, (0, 0, 10, 3.0), (0, 1, 12, 4.0))

    found = taken(pending, 100)

    assert found == [(0, [10, 12], [[3.0, 2.0], [1.0, 4.0]]), (2, [11], [[5.0, 6.0]])]


def test_a_cell_that_is_missing_is_no_number() -> None:
    pending = Pending()
    add(pending, (0, 1, 10, 2.0))

    ((_, _, rows),) = taken(pending, 11)  # type: ignore[misc]

    assert np.isnan(rows[0][0])
    assert rows[0][1] == 2.0


def test_of_two_cells_of_one_place_and_time_the_last_counts() -> None:
    pending = Pending()
    add(pending, (0, 0, 10, 1.0), (0, 1, 10, 2.0))
    add(pending, (0, 0, 10, 9.0))

    assert taken(pending, 11) == [(0, [10], [[9.0, 2.0]])]


def test_services_that_are_not_judged_now_go_on_waiting() -> None:
    pending = Pending()
    add(pending, (0, 0, 10, 1.0), (1, 0, 9, 2.0))

    first = taken(pending, 100, [True, False, True])
    rest = pending.of([1])

    assert [one[0] for one in first] == [0]  # type: ignore[index]
    assert rest == [(0, 0, 9, 2.0)]
    assert pending.oldest_ns == 9


def test_what_waits_is_told_by_the_numbers_that_are_asked_for() -> None:
    pending = Pending()
    add(pending, (2, 1, 10, 1.0), (0, 0, 9, 2.0), (1, 1, 8, 3.0))

    assert pending.of([2, 0]) == [(0, 1, 10, 1.0), (1, 0, 9, 2.0)]
    assert pending.of([]) == []


def test_who_is_dropped_waits_no_more() -> None:
    pending = Pending()
    add(pending, (0, 0, 10, 1.0), (0, 1, 9, 2.0), (1, 0, 8, 3.0))

    pending.drop(1)
    pending.drop_place(1)

    assert pending.of([0, 1]) == [(0, 0, 10, 1.0)]
    pending.drop(0)
    assert (pending.of([0, 1]), pending.oldest_ns) == ([], NEVER)


def test_nothing_is_nothing_to_do() -> None:
    pending = Pending()
    add(pending)

    assert pending.oldest_ns == NEVER
    assert taken(pending, NEVER) == []
    pending.drop(0)
    pending.drop_place(0)
    assert pending.of([0]) == []


@settings(max_examples=20, deadline=None)
@given(
    cells=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 6), st.floats(-1e9, 1e9)),
        max_size=25,
    ),
    cuts=st.lists(st.integers(0, 25), max_size=4).map(sorted),
    looks=st.lists(st.integers(0, 8), max_size=3).map(sorted),
)
def test_how_cells_are_cut_and_when_is_looked_gives_the_same_rows(
    cells: list[Cell], cuts: list[int], looks: list[int]
) -> None:
    whole, parts = Pending(), Pending()
    add(whole, *cells)
    first = 0
    for cut in [*cuts, len(cells)]:
        add(parts, *cells[first:cut])
        first = max(first, cut)

    rows: dict[tuple[int, int], str] = {}
    for before in [*looks, 10]:
        for number, times, values in taken(parts, before):  # type: ignore[misc]
            rows |= {(number, one): str(row) for one, row in zip(times, values, strict=True)}

    expected = {
        (number, one): str(row)
        for number, times, values in taken(whole, 10)  # type: ignore[misc]
        for one, row in zip(times, values, strict=True)
    }
    assert rows == expected


# Rows of the past.


def lines(n: int, members: int = 2, first: int = 0) -> tuple[I64, F64]:
    times = np.arange(first, first + n, dtype=np.int64)
    return times, times[:, None] + np.arange(members) / 10.0


@pytest.mark.parametrize("n", [0, 1, N_LAST - 1, N_LAST, N_LAST + 1, N_PAST, 300, 1_000])
def test_the_last_rows_are_kept_and_a_few_of_all(n: int) -> None:
    history = History()

    history.add(*lines(n))

    times, rows = history.last
    assert times.tolist() == list(range(max(0, n - N_LAST), n))
    assert rows[:, 0].tolist() == times.tolist()
    assert len(history.past) <= N_PAST
    steps = set(np.diff(history.past[:, 0]).tolist()) if n > 1 else set()
    assert len(steps) <= 1
    assert history.past[:1, 0].tolist() == ([0.0] if n else [])


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=6).map(sorted))
def test_how_rows_are_cut_changes_nothing_of_the_past(cuts: list[int]) -> None:
    whole, parts = History(), History()
    times, rows = lines(400)
    whole.add(times, rows)

    for part in np.split(np.arange(400), cuts):
        parts.add(times[part], rows[part])

    assert parts.dump() == whole.dump()


@pytest.mark.parametrize("n", [0, 1, 65, 127, 128, 129, 500])
def test_the_past_goes_on_after_a_restart(n: int) -> None:
    one, twin = History(), History()
    one.add(*lines(n))
    twin.load(one.dump())

    for of in (one, twin):
        of.add(*lines(150, first=n))

    assert twin.dump() == one.dump()
    assert twin.n_bytes == one.n_bytes


def test_a_member_that_comes_later_was_missing_before() -> None:
    history = History()
    history.add(*lines(3, members=2))

    history.add(*lines(2, members=4, first=3))

    assert history.past.shape == (5, 4)
    assert np.isnan(history.past[:3, 2:]).all()
    assert np.isfinite(history.past[3:]).all()


def test_who_is_forgotten_was_never_there() -> None:
    history = History()
    history.add(*lines(5, members=3))

    history.forget(1)

    for rows in (history.past, history.last[1]):
        assert np.isnan(rows[:, 1]).all()
        assert np.isfinite(rows[:, [0, 2]]).all()


def test_the_memory_of_the_past_is_bounded() -> None:
    history = History()
    for first in range(0, 20_000, 1_000):
        history.add(*lines(1_000, members=8, first=first))

    assert history.n_bytes <= (N_PAST + N_LAST) * 8 * 4 + N_LAST * 8
    assert len(history.past) >= N_PAST // 2


# Members, and whom is spoken of.


def service(members: int = 4) -> Service:
    one = Service(SHOP, SETTINGS)
    for number in range(members):
        one.admit(member(number))
    return one


def member(number: int) -> Member:
    return Member(number.to_bytes(16, "big"), f"m{number}")


def judged(one: Service, n: int, first: int = 0, missing: int | None = None) -> None:
    times = (first + np.arange(n, dtype=np.int64)) * MINUTE_NS + MINUTE_NS
    rows = np.random.default_rng(first).normal(100.0, 1.0, (n, len(one.members)))
    if missing is not None:
        rows[:, missing] = np.nan
    one.judge(times, rows)


def speaks(one: Service, voice: int, change: int, *members: int) -> None:
    """As if a finding had come."""
    row = np.zeros(1, FOUND)[0]
    row["voice"], row["change"] = voice, change
    shares = np.zeros(len(one.members))
    shares[list(members)] = 1.0 / max(1, len(members))
    one._note(Finding(row, shares))  # noqa: SLF001 - a finding takes a day of rows


def test_members_have_the_place_in_which_they_came() -> None:
    one = service(3)

    assert [one.place_of(member(n).identity) for n in range(4)] == [0, 1, 2, -1]


def test_there_is_room_for_so_many_and_no_more() -> None:
    one = service(MAX_MEMBERS)

    assert not one.has_room
    assert one.space.n_members == MAX_MEMBERS


def test_who_is_away_for_a_day_makes_room() -> None:
    one = service(4)
    judged(one, 10)
    judged(one, DAY + 5, first=10, missing=2)

    left = one.release()

    assert left == [2]
    assert one.has_room
    assert one.release() == []
    assert one.admit(member(9)) == 2


def test_who_takes_the_place_of_one_who_spoke_has_no_part_in_what_he_said() -> None:
    """Its anomalies were believed for the sake of the one before."""
    one = service(4)
    judged(one, 10)
    speaks(one, 0, OPENED, 1, 2)
    judged(one, DAY + 5, first=10, missing=2)
    one.release()
    one.admit(member(9))

    one.suspect(AnomalyId("a"), 2, one.last_ns)
    one.suspect(AnomalyId("b"), 1, one.last_ns)
    times = np.array([one.last_ns + MINUTE_NS])
    _, opinions = one.judge(times, np.full((1, 4), 100.0))

    assert [said.anomaly for said in opinions] == ["b"]


def test_suspects_go_with_their_member() -> None:
    one = service(4)
    judged(one, 10)
    one.suspect(AnomalyId("a"), 2, 1)
    one.suspect(AnomalyId("b"), 1, one.last_ns + DAY * MINUTE_NS)
    judged(one, DAY + 5, first=10, missing=2)

    one.release()

    assert [suspect.anomaly for suspect in one._suspects] == ["b"]  # noqa: SLF001 - who is left


@pytest.mark.parametrize(
    ("said", "joined"),
    [
        ([(0, OPENED, (1,))], {1}),
        ([(0, OPENED, (1,)), (0, WORSENED, (2,))], {1, 2}),
        ([(0, OPENED, (1,)), (0, OPENED, (2,))], {2}),
        ([(0, OPENED, (1,)), (0, CLOSED, ())], set()),
        ([(0, OPENED, (1,)), (1, OPENED, (3,)), (0, CLOSED, ())], {3}),
        ([(0, CLOSED, ())], set()),
    ],
)
def test_a_voice_speaks_of_members_until_it_ends(
    said: list[tuple[int, int, tuple[int, ...]]], joined: set[int]
) -> None:
    one = service(4)

    for voice, change, members in said:
        speaks(one, voice, change, *members)

    assert {place for places in one._speaking.values() for place in places} == joined  # noqa: SLF001


def test_an_opinion_is_given_when_others_join_and_when_it_has_grown_old() -> None:
    one = service(4)
    judged(one, 5)
    one.suspect(AnomalyId("a"), 1, one.last_ns)
    speaks(one, 0, OPENED, 1)
    times = one.last_ns + np.arange(1, 20) * MINUTE_NS

    _, opinions = one.judge(times, np.full((19, 4), 100.0))

    began_ns = int(times[0]) - MINUTE_NS
    assert [said.time_ns - began_ns for said in opinions] == [MINUTE_NS]
    assert opinions[0].evidence == {"joint": 1.0}


def test_of_whom_nobody_speaks_an_opinion_is_given_when_it_is_old() -> None:
    one = service(4)
    judged(one, 5)
    one.suspect(AnomalyId("a"), 1, one.last_ns)
    began_ns = one.last_ns
    times = one.last_ns + np.arange(1, 20) * MINUTE_NS

    _, opinions = one.judge(times, np.full((19, 4), 100.0))

    assert [said.time_ns - began_ns for said in opinions] == [VALIDATED_AFTER_NS]
    assert opinions[0].confidence == 0.5


def test_suspects_are_remembered_up_to_a_limit() -> None:
    one = service(4)
    for number in range(MAX_OPEN + 50):
        one.suspect(AnomalyId(f"{number}"), 1, 1)

    one.acquit(AnomalyId("0"))

    assert len(one._suspects) == MAX_OPEN - 1  # noqa: SLF001 - how many are left


@pytest.mark.parametrize("at", [0, 1, 9, 70, 130])
def test_a_service_goes_on_after_a_restart_at_any_row(at: int) -> None:
    one = service(4)
    one.suspect(AnomalyId("a"), 1, MINUTE_NS)
    speaks(one, 1, OPENED, 3)
    judged(one, at)
    twin = Service.of(one.dump(), SETTINGS)

    for of in (one, twin):
        of.suspect(AnomalyId("b"), 3, 5 * MINUTE_NS)
        judged(of, 80, first=at)

    assert twin.dump() == one.dump()


def test_rows_that_are_not_newer_are_passed_over() -> None:
    one = service(4)
    judged(one, 20)
    before = one.dump()

    judged(one, 20)

    assert one.dump() == before


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e308, -1e308, 5e-324])
def test_no_value_makes_a_score_that_is_no_number(value: float) -> None:
    one = service(4)
    rows = np.random.default_rng(0).normal(100.0, 1.0, (200, 4))
    rows[50::50, 2] = value
    one.suspect(AnomalyId("a"), 2, MINUTE_NS)

    _, opinions = one.judge(np.arange(1, 201, dtype=np.int64) * MINUTE_NS, rows)

    assert np.isfinite(one.space.distance)
    assert all(0.0 <= said.confidence <= 1.0 for said in opinions)


# The forest's opinion.


@pytest.mark.parametrize("n", [0, 1, MIN_BATCH - 1])
def test_a_forest_is_not_asked_of_few_rows(n: int) -> None:
    with pytest.raises(Permanent, match=f"{n} rows are too few; give it {MIN_BATCH}"):
        Forest.fit(np.zeros((n, 3)), seed=1)


@pytest.mark.parametrize(
    "column", [np.zeros(80), np.full(80, np.nan), np.full(80, np.inf), np.full(80, 1e38)]
)
def test_a_column_without_news_gives_scores(column: F64) -> None:
    rows = np.random.default_rng(0).normal(0.0, 1.0, (80, 3))
    rows[:, 1] = column

    scores = Forest.fit(rows, seed=1).scores(rows)

    assert np.isfinite(scores).all()
    assert ((scores > 0.0) & (scores < 1.0)).all()


def test_what_stands_apart_scores_highest() -> None:
    rows = np.random.default_rng(0).normal(0.0, 1.0, (200, 3))
    strange = rows[:80].copy()
    strange[40] = 9.0

    scores = Forest.fit(rows, seed=1).scores(strange)

    assert int(np.argmax(scores)) == 40


def test_equal_seeds_make_equal_forests() -> None:
    rows = np.random.default_rng(0).normal(0.0, 1.0, (100, 3))

    one, other = (Forest.fit(rows, seed=7).scores(rows) for _ in range(2))

    assert one.tobytes() == other.tobytes()
    assert one.tobytes() != Forest.fit(rows, seed=8).scores(rows).tobytes()


@pytest.mark.parametrize(
    ("since", "last", "expected"),
    [
        (0, [0.1, 0.2, 0.9], 1.0),
        (0, [0.1, 0.1, 0.1], 0.0),
        (2, [0.9, 0.55, 0.55], 0.25),
        (3, [0.9, 0.9, 0.55], 0.5),
        (99, [0.9, 0.9, 0.55], 0.5),
    ],
)
def test_the_rank_is_that_of_as_many_past_rows(
    since: int, last: list[float], expected: float
) -> None:
    scored = Scored(np.array([1, 2, 3]), np.array(last), np.array([0.5, 0.5, 0.6, 0.6]))

    assert scored.rank(since) == pytest.approx(expected)


def collected(places: list[int], slots: list[int], *, strange: bool = False) -> object:
    """What of a minute of cells goes to rows: how many, how many are crowded, which and when."""
    whose = np.arange(2 * len(places), dtype=np.uint64).reshape(-1, 2)
    owners = whose.copy()
    owners[-1, 1] += np.uint64(strange)
    n = len(slots)
    cells = (np.array(slots, np.int32), 7 * MINUTE_NS + np.arange(n), np.arange(n) * 1.5)
    room = (np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.float64))
    found, crowded = collect(cells, np.array(places), whose, owners, MINUTE_NS, room)
    return found, crowded, *(column[: max(found, 0)].tolist() for column in room)


def test_cells_with_a_place_go_there_at_the_beginning_of_their_row() -> None:
    found = collected([130, ALONE, CROWDED, 5], [3, 0, 1, 2, 2, 3])

    assert found == (3, 2, [5, 130, 5], [7 * MINUTE_NS] * 3, [0.0, 1.5, 7.5])


@pytest.mark.parametrize("slots", [[0, 1], [0, 3]])
def test_cells_of_series_that_were_not_looked_at_stop_all_of_them(slots: list[int]) -> None:
    found = collected([4, UNKNOWN], slots)

    assert found == (-1, 0, [], [], [])


def test_a_place_is_not_that_of_the_slots_next_owner() -> None:
    assert collected([4, 6], [0, 1]) == (2, 0, [4, 6], [7 * MINUTE_NS] * 2, [0.0, 1.5])
    assert collected([4, 6], [0, 1], strange=True) == (-1, 0, [], [], [])


def test_of_what_waits_each_partition_takes_its_own_along() -> None:
    pending = Pending()
    add(pending, (2, 1, 10, 1.0), (0, 0, 10, 2.0), (7, 3, 11, 3.0), (2, 0, 12, 4.0))

    assert pending.of([2, 0]) == [(0, 1, 10, 1.0), (1, 0, 10, 2.0), (0, 0, 12, 4.0)]
    assert pending.of([7]) == [(0, 3, 11, 3.0)]
    assert pending.of([]) == []
    assert len(pending.of([0, 2, 7])) == 4
