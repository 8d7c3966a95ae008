"""Every lake at the edges: of time, of numbers, of what many threads do at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import lakes, make
from tests.lakes import CELL, DAY, HOUR, MINUTE, NOON, S, ask, read
from watchkeeper import plugins
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake.base import Fold, Lake

EARLIEST, LATEST = -(2**63), 2**63 - 1
EVERYTHING = ask(0, 2 * NOON)

Build = Callable[..., Any]


@pytest.fixture(params=sorted(plugins.BUILTIN["lake"]))
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Build]:
    opened: list[Lake] = []

    def open_lake(catalog: lakes.DictCatalog, **settings: Any) -> Lake:
        lake: Lake = lakes.build(request.param, tmp_path / "lake", catalog, **settings)
        opened.append(lake)
        return lake

    yield open_lake
    for lake in opened:
        lake.close()


# Time


@pytest.mark.parametrize("fold", [None, *Fold])
@pytest.mark.parametrize(
    ("start_ns", "end_ns"), [(EARLIEST, LATEST), (EARLIEST, NOON + MINUTE), (NOON, LATEST)]
)
@pytest.mark.parametrize("where", ["head", "file"])
def test_the_whole_of_time_can_be_asked_for(
    build: Build, where: str, start_ns: int, end_ns: int, fold: Fold | None
) -> None:
    """A rate looks back before its start, which may be the first of all times."""
    lake = build(lakes.fleet(2))
    lake.append(make.samples((0, NOON, 1.0), (0, NOON + S, 3.0)), 1)
    if where == "file":
        lake.maintain(NOON, everything=True)
    folded: dict[str, Any] = {"step_ns": HOUR, "over_time": fold} if fold else {}

    frame = lake.query(ask(start_ns, end_ns, **folded))

    want = {None: [1.0, 3.0], Fold.RATE: [2.0], Fold.SUM: [4.0], Fold.MAX: [3.0]}
    if fold in want:
        assert frame.value.tolist() == want[fold]
    assert len(frame.labels) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"start_ns": EARLIEST - 1},
        {"end_ns": LATEST + 1},
        {"start_ns": -(10**30)},
        {"step_ns": LATEST + 1},
        {"step_ns": 0},
        {"step_ns": -1},
    ],
)
def test_what_no_nanosecond_can_name_is_refused(build: Build, fields: dict[str, int]) -> None:
    lake = build(lakes.fleet(1))
    lake.append(make.samples((0, NOON, 1.0)), 1)
    asked: dict[str, Any] = {"start_ns": 0, "end_ns": 2 * NOON, **fields}

    with pytest.raises(BadInput, match="query: "):
        lake.query(ask(asked.pop("start_ns"), asked.pop("end_ns"), **asked))


@pytest.mark.parametrize("fold", list(Fold))
def test_a_step_may_be_longer_than_all_of_time_so_far(build: Build, fold: Fold) -> None:
    lake = build(lakes.fleet(1))
    lake.append(make.samples((0, NOON, 1.0), (0, NOON + S, 3.0)), 1)

    frame = lake.query(ask(0, 2 * NOON, step_ns=LATEST, over_time=fold))

    assert frame.time_ns.tolist() == [0]


def test_a_range_of_one_nanosecond_holds_one_sample(build: Build) -> None:
    lake = build(lakes.fleet(1))
    lake.append(make.samples(*[(0, NOON + i, float(i)) for i in range(5)]), 1)

    for _ in range(2):
        assert lake.query(ask(NOON + 2, NOON + 3)).value.tolist() == [2.0]
        assert lake.query(ask(NOON + 2, NOON + 3, step_ns=1)).value.tolist() == [2.0]
        lake.maintain(NOON, everything=True)


# Numbers


@pytest.mark.parametrize("fold", [Fold.SUM, Fold.AVG, Fold.MIN, Fold.MAX, Fold.COUNT, Fold.LAST])
def test_infinite_values_fold_as_numbers_do(build: Build, fold: Fold) -> None:
    lake, inf = build(lakes.fleet(3)), float("inf")
    given = {0: [1.0, inf, 2.0], 1: [-inf, 1.0, 1.0], 2: [inf, -inf, 5.0]}
    lake.append(
        make.samples(
            *[(s, NOON + i * S, v) for s, row in given.items() for i, v in enumerate(row)]
        ),
        1,
    )
    want = {
        Fold.SUM: [inf, -inf, float("nan")], Fold.AVG: [inf, -inf, float("nan")],
        Fold.MIN: [1.0, -inf, -inf], Fold.MAX: [inf, 1.0, inf],
        Fold.COUNT: [3.0, 3.0, 3.0], Fold.LAST: [2.0, 1.0, 5.0],
    }  # fmt: skip

    for _ in range(2):
        frame = lake.query(ask(NOON, NOON + CELL, step_ns=CELL, over_time=fold))
        np.testing.assert_array_equal(frame.value, want[fold])
        lake.maintain(NOON, everything=True)
        lake.maintain(NOON + 2 * DAY)


def test_great_totals_lose_no_small_ones(build: Build) -> None:
    """1e16 and a thousand ones and -1e16 are a thousand, in whatever files they lie."""
    lake = build(lakes.fleet(1), head_rows=100)
    values = [1e16, *([1.0] * 250), -1e16]
    for position, value in enumerate(values, 1):
        lake.append(make.samples((0, NOON + position * S, value)), position)
        lake.maintain(NOON)

    for how in ({"step_ns": HOUR}, {"step_ns": HOUR, "across": Fold.SUM}):
        frame = lake.query(ask(NOON, NOON + HOUR, over_time=Fold.SUM, **how))
        assert frame.value.tolist() == [250.0]


# Appending


def test_what_was_asked_before_is_not_changed_by_what_comes(build: Build) -> None:
    lake = build(lakes.fleet(1))
    lake.append(make.samples((0, NOON, 1.0)), 1)
    before = lake.query(EVERYTHING)

    lake.append(make.samples((0, NOON - S, 2.0), (0, NOON + S, 3.0)), 2)
    lake.maintain(NOON, everything=True)

    assert (before.time_ns.tolist(), before.value.tolist()) == ([NOON], [1.0])


def test_the_senders_columns_may_be_used_again(build: Build) -> None:
    lake = build(lakes.fleet(1))
    batch = make.samples((0, NOON, 1.0), (0, NOON + S, 2.0))
    lake.append(batch, 1)

    batch.value[:] = -1.0
    batch.time_ns[:] = 0

    assert list(read(lake.query(EVERYTHING)).values()) == [[(NOON, 1.0), (NOON + S, 2.0)]]


def test_positions_below_what_is_stored_are_passed_over_after_a_restart(build: Build) -> None:
    catalog = lakes.fleet(1)
    lake = build(catalog)
    for position in (3, 8):
        lake.append(make.samples((0, NOON + position * S, 1.0)), position)
    lake.maintain(NOON, everything=True)
    lake.close()

    again = build(catalog)
    for position in (1, 8, 9):
        again.append(make.samples((0, NOON - position * S, 9.0)), position)

    assert again.query(EVERYTHING).value.tolist() == [9.0, 1.0, 1.0]
    assert again.stored() == 8


@pytest.mark.parametrize("n_rows", [1, 15, 16, 17, 32, 47, 48])
def test_a_batch_may_fill_several_heads(build: Build, n_rows: int) -> None:
    lake = build(lakes.fleet(1), head_rows=16, sealed_heads=2)

    lake.append(make.samples(*[(0, NOON + i, float(i)) for i in range(n_rows)]), 1)

    assert lake.query(EVERYTHING).value.tolist() == [float(i) for i in range(n_rows)]
    lake.maintain(NOON, everything=True)
    assert lake.query(EVERYTHING).value.tolist() == [float(i) for i in range(n_rows)]
    assert lake.stored() == 1


def test_room_is_what_append_surely_takes(build: Build) -> None:
    lake = build(lakes.fleet(1), head_rows=16, sealed_heads=2)
    lake.append(make.samples(*[(0, NOON + i, 1.0) for i in range(5)]), 1)
    room = lake.room()

    with pytest.raises(Retryable):
        lake.append(make.samples(*[(0, NOON + MINUTE + i, 1.0) for i in range(room + 1)]), 2)
    lake.append(make.samples(*[(0, NOON + MINUTE + i, 1.0) for i in range(room)]), 2)

    assert lake.room() == 0
    lake.maintain(NOON)
    assert lake.room() > 0


# Upkeep


def test_upkeep_without_samples_changes_nothing(build: Build) -> None:
    lake = build(lakes.fleet(1))

    for day in range(100):
        lake.maintain(NOON + day * DAY, everything=day % 2 == 0)

    assert lake.stored() == 0
    assert len(lake.query(EVERYTHING).row) == 0


def test_upkeep_whose_clock_goes_back_loses_nothing(build: Build) -> None:
    """A machine's clock may be set back by hand."""
    lake = build(lakes.fleet(2), head_age_s=60.0)
    reference = lakes.Reference(lakes.fleet(2))
    for position, batch in enumerate(lakes.scrapes(2, 40), 1):
        lake.append(batch, position)
        reference.append(batch)
        lake.maintain(NOON + (40 - position) * MINUTE)

    got = read(lake.query(EVERYTHING))

    assert lakes.bits(got) == lakes.bits(reference.query(EVERYTHING))


@pytest.mark.parametrize("days", [1, 5, 30])
def test_history_that_comes_late_is_kept_by_its_own_time(build: Build, days: int) -> None:
    """As an import brings it: event time weeks ago, appended now."""
    lake = build(lakes.fleet(1), raw_retention_s=10 * 86400.0)
    lake.append(make.samples((0, NOON - days * DAY, 1.0), (0, NOON, 2.0)), 1)

    for hours in range(4):
        lake.maintain(NOON + hours * HOUR, everything=True)

    kept = [1.0, 2.0] if days < 10 else [2.0]
    assert lake.query(EVERYTHING).value.tolist() == kept


# Many at a time


def test_each_of_many_questions_gets_its_own_answer(build: Build) -> None:
    lake = build(lakes.fleet(12), head_rows=512, open_segments=1)
    reference = lakes.Reference(lakes.fleet(12))
    for position, batch in enumerate(lakes.scrapes(12, 100), 1):
        lake.append(batch, position)
        reference.append(batch)
        if position % 20 == 0:
            lake.maintain(NOON, everything=True)
    queries = [
        ask(NOON, NOON + HOUR, where={"host": str(host)}, step_ns=step_ns, over_time=fold)
        for host in range(12)
        for step_ns in (MINUTE, CELL)
        for fold in (Fold.MAX, Fold.RATE)
    ]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lake.query, queries))

    for query, frame in zip(queries, answers, strict=True):
        lakes.assert_close(read(frame), reference.query(query))


def test_readers_of_what_expires_see_all_of_a_day_or_nothing(build: Build) -> None:
    """Retention drops whole files; a reader holds on to those that it began with."""
    lake = build(lakes.fleet(4), raw_retention_s=86400.0)
    days = 6
    for day in range(days):
        lake.append(
            make.samples(*[(s, NOON + day * DAY + i * S, 1.0) for i in range(8) for s in range(4)]),
            day + 1,
        )
        lake.maintain(NOON, everything=True)
    done, faults = threading.Event(), list[str]()

    def look() -> None:
        while not done.is_set():
            frame = lake.query(ask(0, NOON + days * DAY))
            of_day = np.bincount((frame.time_ns - NOON) // DAY, minlength=days)
            if not set(of_day.tolist()) <= {0, 32}:
                faults.append(f"part of a day: {of_day.tolist()}")

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for day in range(days + 2):
        for step in range(20):
            lake.maintain(NOON + day * DAY + step * HOUR)
    done.set()
    for reader in readers:
        reader.join()

    assert faults == []
    assert len(lake.query(ask(0, NOON + days * DAY)).row) == 0
