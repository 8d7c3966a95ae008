"""Which time an answer covers, where steps begin, and what decides between samples and cells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import lakes, make
from tests.lakes import CELL, DAY, HOUR, MINUTE, NOON, S, ask, read
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.lake.base import Fold, SampleQuery
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp
from watchkeeper.model.signal import SampleBatch

N_SERIES = 6
EVERY = 15 * S
SETTLED = NOON + 2 * DAY
"""By then the windows of all samples are over and merged, with cells."""


class Pair:
    """A lake and the reference, fed the same."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.catalog = lakes.fleet(N_SERIES)
        self.folder = folder
        self.lake = lakes.build(
            "disk", folder, self.catalog, **{"head_rows": 2000, "compact_fan_in": 2, **settings}
        )
        self.reference = lakes.Reference(self.catalog)
        self._position = 0

    def append(self, *batches: SampleBatch) -> None:
        for batch in batches:
            self._position += 1
            self.lake.append(batch, self._position)
            self.reference.append(batch)

    def store(self, now_ns: int = NOON) -> None:
        self.lake.maintain(now_ns, everything=True)

    def settle(self) -> None:
        for step in range(4):
            self.lake.maintain(SETTLED + step * HOUR, everything=True)

    def check(self, query: SampleQuery) -> None:
        lakes.assert_close(read(self.lake.query(query)), self.reference.query(query))


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.lake.close()


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two hours of samples, all of them in merged files with cells."""
    made = Pair(tmp_path_factory.mktemp("lake"))
    for number, batch in enumerate(lakes.scrapes(N_SERIES, 480), 1):
        made.append(batch)
        if number % 120 == 0:
            made.store()
    made.settle()
    assert list(made.folder.rglob("*.5m.parquet"))
    yield made
    made.lake.close()


def steps(frame: Any) -> list[int]:
    return sorted(set(((frame.time_ns - NOON) // S).tolist()))


# Where steps begin


@pytest.mark.parametrize("offset_s", [0, 1, 59, 60, 61, 299])
def test_steps_begin_at_multiples_whatever_the_start(settled: Pair, offset_s: int) -> None:
    start = NOON + offset_s * S

    frame = settled.lake.query(ask(start, start + 5 * MINUTE, step_ns=MINUTE))

    assert (frame.time_ns % MINUTE == 0).all()
    within = [15 * i for i in range(480) if offset_s <= 15 * i < offset_s + 300]
    assert steps(frame) == sorted({t // 60 * 60 for t in within})


def test_a_step_that_the_range_cuts_holds_what_the_range_holds(settled: Pair) -> None:
    """Seven minutes from 12:03:10 touch the cells of 12:00, 12:05 and 12:10."""
    query = ask(NOON + 190 * S, NOON + 190 * S + 7 * MINUTE + S, step_ns=CELL, over_time=Fold.COUNT)

    frame = settled.lake.query(query)

    settled.check(query)
    assert frame.value[frame.row == 0].tolist() == [7.0, 20.0, 1.0]


@pytest.mark.parametrize("fold", list(Fold))
@pytest.mark.parametrize("step_ns", [CELL, 3 * CELL, HOUR])
@pytest.mark.parametrize(
    ("start_ns", "end_ns"),
    [
        (NOON, NOON + 2 * HOUR),
        (NOON + CELL, NOON + HOUR + CELL),
        (NOON + S, NOON + HOUR),
        (NOON, NOON + HOUR - S),
        (NOON + 7 * MINUTE, NOON + 8 * MINUTE),
        (NOON - DAY, NOON + CELL + 1),
        (NOON + HOUR + 1, NOON + DAY),
    ],
)
def test_cells_and_samples_answer_alike(
    settled: Pair, fold: Fold, step_ns: int, start_ns: int, end_ns: int
) -> None:
    settled.check(ask(start_ns, end_ns, step_ns=step_ns, over_time=fold))


@pytest.mark.parametrize("step_ns", [EVERY, 7 * S, MINUTE, CELL + 1, CELL - 1, 400 * S])
@pytest.mark.parametrize("fold", [Fold.AVG, Fold.RATE, Fold.LAST])
def test_steps_that_no_cells_make_up_are_answered_too(
    settled: Pair, fold: Fold, step_ns: int
) -> None:
    settled.check(ask(NOON + 11 * S, NOON + HOUR + 5 * S, step_ns=step_ns, over_time=fold))


def test_times_before_the_epoch_are_times(both: Pair) -> None:
    both.append(make.samples(*[(0, -90 * S + i * 7 * S, float(i)) for i in range(20)]))

    for stored in (False, True):
        if stored:
            both.store(100 * S)
        for fold in Fold:
            both.check(ask(-100 * S, 100 * S, step_ns=MINUTE, over_time=fold))
        both.check(ask(-50 * S, -10 * S))


# Cells stand for samples only where nothing is lost by it


def spoil_samples(pair: Pair) -> Path:
    """Change a bit of every file of samples: who reads it is told."""
    for path in pair.folder.rglob("*.parquet"):
        if ".5m." not in path.name:
            raw = bytearray(path.read_bytes())
            raw[len(raw) // 3] ^= 1
            path.write_bytes(raw)
    return path


@pytest.fixture
def cells_alone(tmp_path: Path) -> Iterator[Pair]:
    """A settled lake whose samples cannot be read."""
    made = Pair(tmp_path, open_segments=1)
    for number, batch in enumerate(lakes.scrapes(N_SERIES, 240), 1):
        made.append(batch)
        if number % 120 == 0:
            made.store()
    made.settle()
    spoil_samples(made)
    yield made
    made.lake.close()


@pytest.mark.parametrize("fold", [fold for fold in Fold if fold is not Fold.RATE])
def test_whole_cells_are_answered_without_looking_at_samples(cells_alone: Pair, fold: Fold) -> None:
    cells_alone.check(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=fold))


@pytest.mark.parametrize(
    "fields",
    [
        {"step_ns": MINUTE},
        {"step_ns": None},
        {"step_ns": CELL, "start_ns": NOON + S},
        {"step_ns": CELL, "end_ns": NOON + HOUR - MINUTE},
        {"step_ns": CELL, "over_time": Fold.RATE},
    ],
    ids=["steps too fine", "raw", "a cut at the start", "a cut at the end", "rates of gauges"],
)
def test_samples_are_looked_at_where_cells_say_too_little(
    cells_alone: Pair, fields: dict[str, Any]
) -> None:
    usual = {"start_ns": NOON, "end_ns": NOON + HOUR, **fields}

    with pytest.raises(Permanent, match="is not what was written"):
        cells_alone.lake.query(ask(usual.pop("start_ns"), usual.pop("end_ns"), **usual))


def test_the_rate_of_a_counter_is_known_by_its_cells(cells_alone: Pair) -> None:
    counter = {"__name__": "m", "host": "1"}

    cells_alone.check(ask(NOON, NOON + HOUR, where=counter, step_ns=CELL, over_time=Fold.RATE))


# Late samples


@pytest.mark.parametrize("fold", list(Fold))
@pytest.mark.parametrize("where", ["head", "segment", "merged"])
def test_late_samples_count_in_steps_whose_cells_are_written(
    both: Pair, fold: Fold, where: str
) -> None:
    for batch in lakes.scrapes(N_SERIES, 100):
        both.append(batch)
    both.settle()
    late = [(0, NOON + i * 40 * S + S, 1000.0 + i) for i in range(20)]
    both.append(make.samples(*late, (3, NOON + 3 * S, -7.0)))
    if where != "head":
        both.store(SETTLED + DAY)
    if where == "merged":
        both.settle()
        both.lake.maintain(SETTLED + 3 * DAY)

    both.check(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=fold))
    both.check(ask(NOON, NOON + HOUR, step_ns=15 * MINUTE, over_time=fold, across=Fold.MAX))


# Predecessors of rates


@pytest.mark.parametrize(
    ("before_s", "want"),
    [(-290, [20 / 300]), (-291, []), (-1, [20 / 11])],
)
def test_a_rate_looks_five_minutes_back_for_a_predecessor(
    both: Pair, before_s: int, want: list[float]
) -> None:
    both.append(make.samples((0, NOON + before_s * S, 30.0), (0, NOON + 10 * S, 50.0)))

    for stored in (False, True):
        if stored:
            both.settle()
        frame = both.lake.query(ask(NOON, NOON + MINUTE, step_ns=MINUTE, over_time=Fold.RATE))
        assert frame.value.tolist() == pytest.approx(want)


def test_a_rate_over_long_steps_looks_back_as_far_as_a_step(both: Pair) -> None:
    both.append(make.samples((0, NOON - 50 * MINUTE, 0.0), (0, NOON + 10 * MINUTE, 3600.0)))

    frame = both.lake.query(ask(NOON, NOON + HOUR, step_ns=HOUR, over_time=Fold.RATE))

    assert frame.value.tolist() == [1.0]


def test_a_predecessor_may_lie_in_another_file(both: Pair) -> None:
    for i, value in enumerate((10.0, 40.0, 100.0)):
        both.append(make.samples((0, NOON + i * MINUTE, value)))
        both.store(NOON + i * HOUR)
        both.check(ask(NOON, NOON + HOUR, step_ns=30 * S, over_time=Fold.RATE))


# Across series


@pytest.mark.parametrize("by", [("service",), ("service", "service"), ("host", "service"), ()])
def test_groups_are_named_by_the_labels_that_keep_them_apart(
    settled: Pair, by: tuple[str, ...]
) -> None:
    frame = settled.lake.query(ask(NOON, NOON + HOUR, step_ns=HOUR, across=Fold.SUM, by=by))

    assert {frozenset(labels) for labels in frame.labels} == {frozenset(by)}
    n_groups = {"service": 3, "host": N_SERIES}.get(by[0], 0) if by else 1
    assert len(frame.labels) == len(frame.row) == n_groups


def test_series_without_the_label_are_a_group_without_it(both: Pair) -> None:
    both.catalog.add(make.labels("m", zone="x"))
    both.append(make.samples(*[(slot, NOON, 1.0) for slot in range(N_SERIES + 1)]))

    frame = both.lake.query(ask(NOON, NOON + HOUR, step_ns=HOUR, across=Fold.COUNT, by=("zone",)))

    assert [dict(labels) for labels in frame.labels] == [{}, {"zone": "x"}]
    assert frame.value.tolist() == [float(N_SERIES), 1.0]


def test_a_series_without_samples_in_the_range_makes_no_group(both: Pair) -> None:
    both.append(make.samples((0, NOON, 1.0), (1, NOON + DAY, 1.0)))

    frame = both.lake.query(ask(NOON, NOON + HOUR, step_ns=HOUR, across=Fold.SUM, by=("host",)))

    assert [labels["host"] for labels in frame.labels] == ["0"]


# Limits


@pytest.mark.parametrize("step_ns", [None, MINUTE, CELL])
def test_the_limit_is_the_number_of_rows_that_are_answered(
    settled: Pair, step_ns: int | None
) -> None:
    n = len(settled.lake.query(ask(NOON, NOON + HOUR, step_ns=step_ns)).row)

    assert len(settled.lake.query(ask(NOON, NOON + HOUR, step_ns=step_ns, limit=n)).row) == n
    with pytest.raises(BadInput, match=f"more than {n - 1} rows"):
        settled.lake.query(ask(NOON, NOON + HOUR, step_ns=step_ns, limit=n - 1))


def test_an_answer_is_the_same_whatever_slots_series_have(tmp_path: Path) -> None:
    """By their labels, so that two processes answer alike."""
    answers = []
    for name, order in (("a", range(5)), ("b", (4, 2, 0, 1, 3))):
        catalog = lakes.DictCatalog()
        for host in order:
            catalog.add(make.labels("m", host=str(host)))
        lake = lakes.build("disk", tmp_path / name, catalog)
        slots = list(order)
        lake.append(
            make.samples(*[(slots.index(h), NOON + t, float(h)) for t in (2, 1) for h in range(5)]),
            1,
        )
        frame = lake.query(ask(NOON, NOON + S))
        answers.append((frame.labels, frame.row.tolist(), frame.time_ns.tolist()))
        answers[-1] += (frame.value.tolist(),)  # type: ignore[assignment]
        lake.close()

    assert answers[0] == answers[1]


def test_conditions_narrow_what_is_read_in_files_and_in_memory(settled: Pair) -> None:
    def hosts(*matchers: Matcher) -> list[str]:
        every = (Matcher("__name__", MatchOp.EQUAL, "m"), *matchers)
        query = SampleQuery(DEFAULT_TENANT, every, NOON, NOON + HOUR)
        return [labels["host"] for labels in settled.lake.query(query).labels]

    assert hosts(Matcher("host", MatchOp.REGEX, "[2-4]")) == ["2", "3", "4"]
    assert hosts(Matcher("host", MatchOp.NOT_REGEX, "[0-3]")) == ["4", "5"]
    assert hosts(Matcher("service", MatchOp.NOT_EQUAL, "a")) == ["1", "2", "4", "5"]
    assert hosts(Matcher("absent", MatchOp.EQUAL, "")) == [str(i) for i in range(N_SERIES)]
    assert hosts(Matcher("host", MatchOp.EQUAL, "9")) == []
    assert np.unique(settled.lake.query(ask(NOON, NOON + 1)).time_ns).tolist() == [NOON]


# When retention took the samples


def test_cells_that_the_range_cuts_count_whole_where_nothing_else_is_left(tmp_path: Path) -> None:
    expired = Pair(tmp_path, raw_retention_s=3 * 86400.0)
    for batch in lakes.scrapes(N_SERIES, 80):
        expired.append(batch)
    expired.settle()
    expired.store(SETTLED + 2 * DAY)
    minutes = NOON + MINUTE, NOON + 19 * MINUTE

    frame = expired.lake.query(ask(*minutes, step_ns=CELL, over_time=Fold.COUNT))

    assert frame.value[frame.row == 0].tolist() == [20.0] * 4
    assert len(expired.lake.query(ask(*minutes)).row) == 0
    assert len(expired.lake.query(ask(*minutes, step_ns=MINUTE)).row) == 0
    expired.lake.close()
