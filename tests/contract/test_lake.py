"""Every lake keeps the promises of `lake/base.py`, wherever it keeps its samples."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import lakes, make
from tests.lakes import CELL, DAY, HOUR, MINUTE, NOON, S, ask, read
from watchkeeper import plugins
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake.base import Fold, Frame, Lake
from watchkeeper.model.signal import SampleBatch

EVERYTHING = ask(0, 2 * NOON)

Build = Callable[..., Any]


@pytest.fixture(params=sorted(plugins.BUILTIN["lake"]))
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Build]:
    """Opens the lake of one folder, again and again; closes what was opened."""
    opened: list[Lake] = []

    def open_lake(catalog: lakes.DictCatalog, **settings: Any) -> Lake:
        lake: Lake = lakes.build(request.param, tmp_path / "lake", catalog, **settings)
        opened.append(lake)
        return lake

    yield open_lake
    for lake in opened:
        lake.close()


class Pair:
    """A lake and the reference, fed the same."""

    def __init__(self, lake: Any, reference: lakes.Reference) -> None:
        self.lake = lake
        self.reference = reference
        self.position = 0

    def append(self, batches: Iterable[SampleBatch], *, maintain_every: int = 0) -> None:
        for i, batch in enumerate(batches, 1):
            self.position += 1
            if maintain_every and self.lake.room() < len(batch):
                self.lake.maintain(int(batch.time_ns[-1]))
            self.lake.append(batch, self.position)
            self.reference.append(batch)
            if maintain_every and i % maintain_every == 0:
                self.lake.maintain(int(batch.time_ns[-1]))

    def check(self, query: Any) -> None:
        lakes.assert_close(read(self.lake.query(query)), self.reference.query(query))

    def check_raw(self, query: Any = EVERYTHING) -> None:
        got, want = read(self.lake.query(query)), self.reference.query(query)
        assert lakes.bits(got) == lakes.bits(want)


def pair(build: Build, catalog: lakes.DictCatalog, **settings: Any) -> Pair:
    return Pair(build(catalog, **settings), lakes.Reference(catalog))


def settle(lake: Lake, now_ns: int) -> None:
    """Time passes until there is nothing left to maintain."""
    for step in range(12):
        lake.maintain(now_ns + step * HOUR)


# Reading back


def test_a_sample_appended_is_readable_at_once(build: Build) -> None:
    lake = build(lakes.fleet(2))

    lake.append(make.samples((0, NOON, 1.5), (1, NOON, 2.5), (0, NOON + S, 1.75)), 1)

    assert list(read(lake.query(EVERYTHING)).values()) == [
        [(NOON, 1.5), (NOON + S, 1.75)],
        [(NOON, 2.5)],
    ]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_sent_is_read_back_equal_wherever_it_lies_by_now(build: Build, seed: int) -> None:
    both = pair(build, lakes.fleet(10), head_rows=64 << seed)

    both.append(lakes.scrapes(10, 120, seed=seed), maintain_every=7)
    both.check_raw()
    both.lake.maintain(NOON + HOUR, everything=True)
    both.check_raw()
    settle(both.lake, NOON + 2 * DAY)
    both.check_raw()


def test_any_double_comes_back_bit_by_bit(build: Build) -> None:
    values = [
        0.0, -0.0, 1.1, 1e300, -1e-300, 5e-324, 2.0**52, 2.0**53 + 2, 1 / 3, float("inf"),
        float("-inf"), float("nan"), lakes.STALE, 1e15 + 0.3, 0.1 + 0.2, 123456.789,
    ]  # fmt: skip
    both = pair(build, lakes.fleet(len(values) + 1))
    mixed = [(len(values), NOON + i * S, value) for i, value in enumerate(values)]
    alone = [(i, NOON + j * S, value) for i, value in enumerate(values) for j in range(3)]

    both.append([make.samples(*mixed, *alone)])
    both.check_raw()
    both.lake.maintain(NOON, everything=True)
    both.check_raw()
    both.append([make.samples(*[(slot, t + MINUTE, -value) for slot, t, value in mixed])])
    both.lake.maintain(NOON, everything=True)
    settle(both.lake, NOON + 2 * DAY)

    both.check_raw()


@pytest.mark.parametrize("unit_ns", [1, 1_000, 1_000_000])
def test_times_keep_every_nanosecond(build: Build, unit_ns: int) -> None:
    both = pair(build, lakes.fleet(1))

    both.append([make.samples(*[(0, NOON + i * i * 7 * unit_ns, float(i)) for i in range(50)])])
    both.append([make.samples((0, NOON + DAY, 1.0), (0, NOON - DAY - 5 * unit_ns, 2.0))])
    both.lake.maintain(NOON, everything=True)

    both.check_raw()


def test_the_range_holds_its_start_and_not_its_end(build: Build) -> None:
    lake = build(lakes.fleet(1))
    lake.append(make.samples(*[(0, NOON + i * S, float(i)) for i in range(5)]), 1)

    for _ in range(2):
        frame = lake.query(ask(NOON + S, NOON + 3 * S))
        assert frame.value.tolist() == [1.0, 2.0]
        lake.maintain(NOON, everything=True)


def test_series_are_chosen_by_labels_and_tenant(build: Build) -> None:
    catalog = lakes.fleet(6)
    catalog.add(make.labels("m", host="0"), tenant="other")
    lake = build(catalog)
    lake.append(make.samples(*[(i, NOON, float(i)) for i in range(7)]), 1)

    assert lake.query(ask(0, 2 * NOON, where={"service": "b"})).value.tolist() == [1.0, 4.0]
    assert lake.query(ask(0, 2 * NOON, where={"host": "9"})).value.tolist() == []
    assert lake.query(ask(0, 2 * NOON, tenant="other")).value.tolist() == [6.0]


def test_an_empty_lake_answers_with_nothing(build: Build) -> None:
    lake = build(lakes.fleet(3))

    frame = lake.query(EVERYTHING)
    lake.maintain(NOON, everything=True)

    assert (frame.labels, len(frame.row), lake.stored()) == ((), 0, 0)
    for across in (None, Fold.SUM):
        assert lake.query(ask(NOON, NOON + HOUR, step_ns=MINUTE, across=across)).labels == ()


# Duplicates, late samples, series that come and go


def test_of_two_samples_of_one_time_the_first_is_read(build: Build) -> None:
    both = pair(build, lakes.fleet(3), compact_fan_in=2)
    for round_ in range(5):  # in one batch, across batches, across segments
        value = 10.0 * round_
        both.append([make.samples(*[(i, NOON + 9 * S, value + i) for i in range(3)])])
        both.append([make.samples((0, NOON + round_ * S, value), (0, NOON + round_ * S, 1.0))])
        both.check_raw()
        both.lake.maintain(NOON + round_ * S, everything=round_ % 2 == 0)
        both.check_raw()

    settle(both.lake, NOON + 2 * DAY)

    both.check_raw()


def test_late_samples_land_where_they_belong(build: Build) -> None:
    both = pair(build, lakes.fleet(5))
    batches = list(lakes.scrapes(5, 80))
    shuffled = [batches[i] for i in np.random.default_rng(3).permutation(80)]

    both.append(shuffled, maintain_every=5)

    both.check_raw()
    for fold in Fold:
        both.check(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=fold))
    settle(both.lake, NOON + 2 * DAY)
    both.check_raw()
    for fold in Fold:
        both.check(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=fold))


def test_samples_may_span_days(build: Build) -> None:
    both = pair(build, lakes.fleet(3))

    both.append(lakes.scrapes(3, 60, every_ns=3 * HOUR), maintain_every=6)
    settle(both.lake, NOON + 10 * DAY)

    both.check_raw()
    both.check(ask(NOON, NOON + 8 * DAY, step_ns=DAY, over_time=Fold.AVG))


def test_a_slot_that_changes_hands_mixes_nothing(build: Build) -> None:
    catalog = lakes.fleet(3)
    both = pair(build, catalog)

    both.append([make.samples((0, NOON, 1.0), (1, NOON, 2.0))])
    catalog.add(make.labels("m", host="new"), slot=0)
    both.append([make.samples((1, NOON + S, 3.0), (0, NOON, 4.0), (1, NOON + 2 * S, 5.0))])
    both.check_raw()
    both.lake.maintain(NOON, everything=True)

    both.check_raw()


@pytest.mark.parametrize("when", ["in the head", "in a segment"])
def test_a_series_that_left_memory_is_still_found(build: Build, when: str) -> None:
    catalog = lakes.fleet(30)
    both = pair(build, catalog, head_rows=1000)
    both.append(lakes.scrapes(30, 10))
    if when == "in a segment":
        both.lake.maintain(NOON, everything=True)

    for slot in (0, 7, 29):
        catalog.forget(slot)

    both.check_raw()
    assert lakes.read(both.lake.query(ask(0, 2 * NOON, where={"host": "7"})))


def test_a_series_that_came_back_is_one_series(build: Build) -> None:
    catalog = lakes.fleet(2)
    both = pair(build, catalog)
    both.append([make.samples((0, NOON, 1.0))])
    both.lake.maintain(NOON, everything=True)
    catalog.forget(0)
    catalog.add(make.labels("m", host="0", service="a"), slot=5)

    both.append([make.samples((5, NOON + S, 2.0))])

    both.check_raw()


# Folding


@pytest.mark.parametrize("step_ns", [10 * S, MINUTE, CELL, 15 * MINUTE, HOUR])
@pytest.mark.parametrize("over_time", list(Fold))
def test_folds_over_time_follow_their_definition(
    build: Build, over_time: Fold, step_ns: int
) -> None:
    both = pair(build, lakes.fleet(8))
    both.append(lakes.scrapes(8, 200), maintain_every=20)
    spans = [
        (NOON, NOON + HOUR),
        (NOON + 7 * S, NOON + 47 * MINUTE + 3 * S),
        (NOON - DAY, NOON + DAY),
    ]

    for stage in range(2):
        for start_ns, end_ns in spans:
            both.check(ask(start_ns, end_ns, step_ns=step_ns, over_time=over_time))
        if stage == 0:
            settle(both.lake, NOON + 2 * DAY)


@pytest.mark.parametrize("across", [Fold.AVG, Fold.MIN, Fold.MAX, Fold.SUM, Fold.COUNT])
@pytest.mark.parametrize("by", [(), ("service",), ("service", "host"), ("nothing",)])
def test_folds_across_series_follow_their_definition(
    build: Build, across: Fold, by: tuple[str, ...]
) -> None:
    both = pair(build, lakes.fleet(7))
    both.append(lakes.scrapes(7, 50), maintain_every=10)

    both.check(ask(NOON, NOON + HOUR, step_ns=MINUTE, across=across, by=by))
    both.check(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=Fold.MAX, across=across, by=by))


def test_nan_is_no_value_to_a_fold(build: Build) -> None:
    both = pair(build, lakes.fleet(2))
    values = [1.0, float("nan"), 3.0, lakes.STALE]
    both.append([make.samples(*[(0, NOON + i * S, v) for i, v in enumerate(values)])])
    both.append([make.samples((1, NOON, lakes.STALE))])

    for fold in Fold:
        both.check(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=fold))
    frame = both.lake.query(ask(NOON, NOON + HOUR, step_ns=CELL, over_time=Fold.COUNT))
    assert frame.value.tolist() == [2.0]


def test_a_rate_takes_a_fall_for_a_restart(build: Build) -> None:
    lake = build(lakes.fleet(1))
    counted = [10, 20, 30, 5, 15]

    lake.append(make.samples(*[(0, NOON + i * 10 * S, float(v)) for i, v in enumerate(counted)]), 1)

    frame = lake.query(ask(NOON, NOON + MINUTE, step_ns=MINUTE, over_time=Fold.RATE))
    assert frame.value.tolist() == [(10 + 10 + 5 + 10) / 40]


def test_a_rate_counts_growth_since_the_sample_before_its_step(build: Build) -> None:
    lake = build(lakes.fleet(1))
    lake.append(make.samples((0, NOON - 30 * S, 10.0), (0, NOON + 30 * S, 70.0)), 1)

    frame = lake.query(ask(NOON, NOON + MINUTE, step_ns=MINUTE, over_time=Fold.RATE))

    assert frame.value.tolist() == [1.0]


# Limits


def test_an_answer_beyond_its_limit_is_refused_with_the_remedy(build: Build) -> None:
    lake = build(lakes.fleet(4))
    for position, batch in enumerate(lakes.scrapes(4, 25), 1):
        lake.append(batch, position)

    assert len(lake.query(ask(0, 2 * NOON, limit=100)).row) == 100
    with pytest.raises(BadInput, match="narrow the range"):
        lake.query(ask(0, 2 * NOON, limit=99))
    with pytest.raises(BadInput, match="longer step"):
        lake.query(ask(NOON, NOON + HOUR, step_ns=S, limit=99))
    with pytest.raises(BadInput, match="fewer labels"):
        lake.query(ask(NOON, NOON + HOUR, step_ns=S, across=Fold.SUM, by=("host",), limit=99))


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_ns": 0},
        {"end_ns": NOON},
        {"across": Fold.SUM},
        {"across": Fold.RATE, "step_ns": S},
        {"across": Fold.LAST, "step_ns": S},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(build: Build, wrong: dict[str, Any]) -> None:
    lake = build(lakes.fleet(1))
    fields = {"start_ns": NOON, "end_ns": NOON + HOUR, **wrong}

    with pytest.raises(BadInput, match="query:"):
        lake.query(ask(fields.pop("start_ns"), fields.pop("end_ns"), **fields))


def test_a_full_head_refuses_and_keeps_nothing_of_the_batch(build: Build) -> None:
    both = pair(build, lakes.fleet(8), head_rows=16, sealed_heads=2)
    batches = list(lakes.scrapes(8, 10))
    both.append(batches[:5])

    with pytest.raises(Retryable):
        both.append(batches[5:])

    n = both.position
    both.position = n - 1
    both.check_raw()
    both.lake.maintain(NOON)
    both.append(batches[n - 1 :], maintain_every=1)
    both.check_raw()


# Restart


def test_a_stopped_lake_has_everything_after_a_restart(build: Build) -> None:
    catalog = lakes.fleet(5)
    both = pair(build, catalog)
    both.append(lakes.scrapes(5, 40), maintain_every=9)

    both.lake.maintain(NOON, everything=True)
    both.lake.close()
    both.lake = build(catalog)

    assert both.lake.stored() == 40
    both.check_raw()


@pytest.mark.parametrize("maintain_every", [3, 10, 17])
def test_what_was_not_stored_is_appended_again_and_read_once(
    build: Build, maintain_every: int
) -> None:
    catalog = lakes.fleet(5)
    batches = list(lakes.scrapes(5, 60))
    both = pair(build, catalog)
    both.append(batches[:40], maintain_every=maintain_every)

    stored = both.lake.stored()
    both.lake = build(catalog)  # the former one is just gone, as after a kill

    assert both.lake.stored() == stored <= 40
    for position, batch in enumerate(batches, 1):  # even those that are stored
        both.lake.append(batch, position)
        both.lake.maintain(NOON)
        if position > 40:
            both.reference.append(batch)
    both.check_raw()


def test_stored_never_runs_ahead_of_what_is_in_files(build: Build) -> None:
    catalog = lakes.fleet(5)
    lake = build(catalog)

    for position, batch in enumerate(lakes.scrapes(5, 60), 1):
        lake.append(batch, position)
        lake.maintain(NOON)
        assert lake.stored() <= position
        again = build(catalog)
        assert len(again.query(EVERYTHING).row) >= 5 * again.stored()
        again.close()


def test_records_without_samples_let_the_log_go_too(build: Build) -> None:
    catalog = lakes.fleet(1)
    lake = build(catalog)

    lake.append(make.samples(), 7)
    lake.maintain(NOON, everything=True)

    assert lake.stored() == 7
    assert build(catalog).stored() == 7
    assert catalog.n_persisted == 1


def test_closing_is_safe_twice_and_without_use(build: Build) -> None:
    lake = build(lakes.fleet(1))

    lake.close()
    lake.close()


# Retention


def test_retention_drops_samples_and_keeps_their_cells(build: Build) -> None:
    keep = {"raw_retention_s": 3 * 86400, "rollup_retention_s": 10 * 86400}
    both = pair(build, lakes.fleet(4), **keep)
    both.append(lakes.scrapes(4, 400), maintain_every=10)
    whole = ask(NOON, NOON + 2 * HOUR, step_ns=CELL)
    settle(both.lake, NOON + DAY)

    settle(both.lake, NOON + 4 * DAY)
    assert len(both.lake.query(EVERYTHING).row) == 0
    both.check(whole)
    for fold in (Fold.MIN, Fold.MAX, Fold.COUNT, Fold.LAST, Fold.SUM):
        both.check(ask(NOON, NOON + 2 * HOUR, step_ns=HOUR, over_time=fold))

    settle(both.lake, NOON + 11 * DAY)
    assert len(both.lake.query(whole).row) == 0


def test_samples_that_come_when_their_time_is_over_leave_their_cells(build: Build) -> None:
    """As an import brings them: they were dropped before a merge had made cells of them."""
    both = pair(build, lakes.fleet(4), head_rows=1600, raw_retention_s=3 * 86400)
    both.append(lakes.scrapes(4, 400))

    settle(both.lake, NOON + 30 * DAY)

    assert len(both.lake.query(EVERYTHING).row) == 0
    both.check(ask(NOON, NOON + 2 * HOUR, step_ns=CELL))


def test_what_is_younger_than_retention_stays(build: Build) -> None:
    both = pair(build, lakes.fleet(4), raw_retention_s=3600.0)
    both.append(lakes.scrapes(4, 30), maintain_every=10)
    both.append(lakes.scrapes(4, 30, start_ns=NOON + DAY), maintain_every=10)
    both.lake.maintain(NOON + DAY, everything=True)

    frame = both.lake.query(ask(NOON + DAY, NOON + 2 * DAY))

    assert len(frame.row) == 120


# Many at a time


def test_readers_see_a_growing_lake_and_never_a_broken_one(build: Build) -> None:
    """Each reader finds, at every look, whole scrapes: a prefix of what is being appended."""
    n_series, n_scrapes = 20, 300
    lake = build(lakes.fleet(n_series), head_rows=512)
    batches = list(lakes.scrapes(n_series, n_scrapes))
    want = np.concatenate([batch.value for batch in batches]).reshape(-1, n_series)
    done = threading.Event()
    faults: list[str] = []
    seen: list[int] = []

    def look() -> None:
        last = 0
        while not done.is_set():
            n = n_whole_scrapes(lake.query(EVERYTHING), want, faults)
            if n < last:
                faults.append(f"{n} scrapes after {last}")
            last = n
            seen.append(n)

    def keep() -> None:
        for step in itertools.count():
            if done.is_set():
                return
            lake.maintain(NOON + step * S)

    with beside(look, look, keep, until=done):
        for position, batch in enumerate(batches, 1):
            while lake.room() < len(batch):
                done.wait(0.001)
            lake.append(batch, position)

    assert faults == []
    assert seen
    assert len(lake.query(EVERYTHING).row) == n_series * n_scrapes


@contextmanager
def beside(*work: Callable[[], None], until: threading.Event) -> Iterator[None]:
    """Threads that run beside the block, and are told to end behind it."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


def n_whole_scrapes(frame: Frame, want: Any, faults: list[str]) -> int:
    """How many scrapes an answer holds; what is wrong with it goes into `faults`."""
    n_series = want.shape[1]
    n = len(frame.row) // n_series
    if n and (np.bincount(frame.row, minlength=n_series) != n).any():
        faults.append(f"torn scrape: {len(frame.row)} rows")
    elif n:
        order = [int(labels["host"]) for labels in frame.labels]
        if not np.array_equal(frame.value.reshape(n_series, n), want[:n, order].T):
            faults.append(f"wrong values after {n} scrapes")
    return n
