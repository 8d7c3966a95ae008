"""What every table promises, over all of them: nothing lost, nothing twice, wherever rows are."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.disks import Crash, FaultyFiles
from tests.tables import CASES, DAY, DETAILS, NOON, Case, S, everything, newest_first, read, rows
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.lake.tables.table import DiskTable
from watchkeeper.model.series import Matcher, MatchOp

Table = DiskTable[Any]
tables = pytest.mark.parametrize("case", [*CASES, *DETAILS], ids=lambda case: case.name)


def fed(case: Case, table: Table, n: int, *, every_ns: int = S, rows_each: int = 7) -> list[Any]:
    """Batches at positions 1..n, some of them late; what was appended."""
    batches = [
        case.batch(
            *(NOON + (i - 3 * (i % 4 == 3)) * every_ns + j * 1000 for j in range(rows_each)),
            seed=i,
        )
        for i in range(n)
    ]
    for position, batch in enumerate(batches, 1):
        table.append(batch, position)
        table.maintain(NOON)
    return batches


def flush(table: Table, now_ns: int = NOON) -> None:
    table.maintain(now_ns, everything=True)


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "segments").iterdir())


def in_head(case: Case, folder: Path) -> tuple[Table, list[Any]]:
    table = case.open(folder, head_rows=10_000)
    return table, fed(case, table, 12)


def in_files(case: Case, folder: Path) -> tuple[Table, list[Any]]:
    table = case.open(folder, compact_fan_in=100)
    batches = fed(case, table, 24)
    flush(table)
    return table, batches


def in_merged_files(case: Case, folder: Path) -> tuple[Table, list[Any]]:
    table = case.open(folder)
    batches = fed(case, table, 42)
    flush(table)
    return table, batches


def in_both(case: Case, folder: Path) -> tuple[Table, list[Any]]:
    table = case.open(folder)
    return table, fed(case, table, 33)


def after_restart(case: Case, folder: Path) -> tuple[Table, list[Any]]:
    """The log is read again from its beginning."""
    first = case.open(folder)
    batches = fed(case, first, 33)
    first.close()
    table = case.open(folder)
    for position, batch in enumerate(batches, 1):
        table.append(batch, position)
    return table, batches


PLACES = [in_head, in_files, in_merged_files, in_both, after_restart]
places = pytest.mark.parametrize("place", PLACES)
Place = Callable[[Case, Path], tuple[Table, list[Any]]]
Filled = tuple[Case, Table, list[Any]]


@pytest.fixture(
    scope="module",
    params=[(case, place) for case in (*CASES, *DETAILS) for place in PLACES],
    ids=lambda one: f"{one[1].__name__}-{one[0].name}",
)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    """A table that is only read, and what was appended to it."""
    case, place = request.param
    table, batches = place(case, tmp_path_factory.mktemp("filled"))
    yield case, table, batches
    table.close()


def test_every_row_is_read_back_as_it_came(filled: Filled) -> None:
    _, table, batches = filled

    found = read(table)

    assert found == newest_first(*batches)


def test_pages_hold_every_row_once_and_in_order(filled: Filled) -> None:
    _, table, batches = filled

    found, before = [], None
    while True:
        page = table.search(everything(limit=10, before=before))
        found += rows(page.batch)
        before = page.cursor
        if before is None:
            break

    assert found == newest_first(*batches)


def test_a_range_holds_its_start_and_not_its_end(filled: Filled) -> None:
    case, table, batches = filled
    start, end = NOON + 2 * S + 1000, NOON + 6 * S + 2000
    time = case.definition.time

    found = table.search(everything(start_ns=start, end_ns=end))

    every = np.concatenate([getattr(batch, time) for batch in batches])
    wanted = np.sort(every[(every >= start) & (every < end)])[::-1]
    assert getattr(found.batch, time).tolist() == wanted.tolist()
    assert start in wanted
    assert end in every


@tables
@places
def test_tenants_see_their_own_rows_alone(case: Case, place: Place, tmp_path: Path) -> None:
    table, batches = place(case, tmp_path)
    theirs = case.batch(*(NOON + i * S for i in range(9)), tenant="acme")
    table.append(theirs, len(batches) + 1)
    flush(table)

    ours, found = read(table), read(table, tenant="acme")

    assert ours == newest_first(*batches)
    assert found == newest_first(theirs)
    assert read(table, tenant="ac") == []


@tables
def test_a_row_is_readable_as_soon_as_it_is_appended(case: Case, tmp_path: Path) -> None:
    table, batch = case.open(tmp_path), case.batch(NOON, NOON + 1)

    table.append(batch, 1)

    assert read(table) == newest_first(batch)


@tables
def test_rows_of_one_time_are_told_last_come_first(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path)
    first, second = case.batch(NOON, NOON, seed=1), case.batch(NOON, NOON, seed=2)
    table.append(first, 1)
    flush(table)
    table.append(second, 2)

    found = read(table)

    assert found == [*reversed(rows(second)), *reversed(rows(first))]


@tables
def test_what_was_stored_before_the_start_is_passed_over(case: Case, tmp_path: Path) -> None:
    table, batch = case.open(tmp_path), case.batch(NOON, NOON + 1)
    table.append(batch, 7)
    flush(table)
    table.close()

    again = case.open(tmp_path)
    again.append(batch, 7)

    assert again.stored() == 7
    assert read(again) == newest_first(batch)


@tables
def test_rows_in_memory_keep_the_log_from_their_position_on(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path)
    nothing = case.batch()
    table.append(nothing, 1)
    table.append(case.batch(NOON), 2)
    table.append(case.batch(NOON), 3)
    table.append(nothing, 4)

    waiting = table.stored()
    flush(table)

    assert waiting == 1
    assert table.stored() == 4


@tables
def test_positions_without_rows_need_no_file(case: Case, tmp_path: Path) -> None:
    """Or the log of a quiet night could never be released."""
    table = case.open(tmp_path)

    table.append(case.batch(), 5)

    assert table.stored() == 5
    assert segments(tmp_path) == []


@tables
def test_a_head_that_is_old_is_written_however_little_is_in_it(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, head_age_s=60)
    table.append(case.batch(NOON), 1)
    table.maintain(NOON)
    table.maintain(NOON + 59 * S)
    young = table.stored()

    table.maintain(NOON + 60 * S)

    assert (young, table.stored()) == (0, 1)


@tables
def test_rows_beyond_what_memory_takes_are_refused_until_there_is_room(
    case: Case, tmp_path: Path
) -> None:
    table = case.open(tmp_path, head_rows=4, sealed_heads=1)
    batches = [case.batch(*range(NOON, NOON + 4), seed=i) for i in range(3)]
    table.append(batches[0], 1)
    table.append(batches[1], 2)

    with pytest.raises(Retryable, match="full or slow"):
        table.append(batches[2], 3)

    assert read(table) == newest_first(*batches[:2])
    table.maintain(NOON)
    table.append(batches[2], 3)
    assert read(table) == newest_first(*batches)


def take_until_full(case: Case, table: Table) -> None:
    for position in range(1, 100):
        table.append(case.batch(NOON, NOON, NOON, seed=position), position)


@tables
def test_text_fills_a_head_as_rows_do(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, head_bytes=600, sealed_heads=1)

    with pytest.raises(Retryable, match="full or slow"):
        take_until_full(case, table)

    assert 0 < len(read(table)) < 3 * 99


@tables
def test_a_batch_larger_than_a_head_is_taken_whole(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, head_rows=4, head_bytes=10)
    batch = case.batch(*range(NOON, NOON + 50))

    table.append(batch, 1)
    flush(table)

    assert read(table) == newest_first(batch)


@tables
def test_files_never_cross_a_window(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path)
    batch = case.batch(NOON - DAY, NOON, NOON + DAY, NOON)

    table.append(batch, 1)
    flush(table)

    assert len(segments(tmp_path)) == 2 * 3
    assert read(table) == newest_first(batch)


@tables
def test_rows_past_retention_are_dropped_with_their_files(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, retention_s=3 * 86_400)
    old, young = case.batch(NOON - 4 * DAY, seed=1), case.batch(NOON, seed=2)
    table.append(old, 1)
    table.append(young, 2)
    flush(table, NOON - DAY - 1)
    before = read(table)

    flush(table, NOON)

    assert before == newest_first(old, young)
    assert read(table) == newest_first(young)
    assert len(segments(tmp_path)) == 2
    assert table.stored() == 2


@tables
def test_a_row_within_retention_keeps_its_file(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, retention_s=3600)
    batch = case.batch(NOON - 2 * 3600 * S, NOON)
    table.append(batch, 1)

    flush(table, NOON + 3600 * S)
    kept = read(table)
    flush(table, NOON + 3600 * S + 1)

    assert kept == newest_first(batch)
    assert read(table) == []


@tables
def test_neighbours_are_merged_up_to_a_size(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, head_rows=10, compact_into_rows=40)
    batches = fed(case, table, 16, rows_each=10)

    for _ in range(20):
        flush(table)

    assert len(segments(tmp_path)) == 2 * 4
    assert read(table) == newest_first(*batches)


@tables
def test_a_quiet_window_becomes_as_few_files_as_may_be(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, head_rows=10, compact_fan_in=50, quiet_s=60)
    batches = fed(case, table, 6, rows_each=10)
    flush(table)
    many = len(segments(tmp_path))

    flush(table, NOON + DAY)
    flush(table, NOON + DAY)

    assert (many, len(segments(tmp_path))) == (12, 2)
    assert read(table) == newest_first(*batches)


@tables
def test_a_search_may_look_at_so_many_rows_and_no_more(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, scan_rows=100)
    fed(case, table, 30)
    flush(table)

    with pytest.raises(BadInput, match=rf"{case.name}\.scan_rows"):
        table.search(everything())


@tables
def test_a_reader_keeps_its_files_while_they_are_merged(case: Case, tmp_path: Path) -> None:
    """Searches go on while rows come, are written out and merged; none sees a row twice or misses
    one that was there when it began."""
    table = case.open(tmp_path, head_rows=20, sealed_heads=50)
    n_done = 0
    done = threading.Event()

    def search() -> int:
        n_searches = 0
        while not done.is_set():
            at_least = n_done
            found = table.search(everything())
            assert len(found.batch) >= at_least
            assert len(set(found.number.tolist())) == len(found.batch)
            n_searches += 1
        return n_searches

    def maintain() -> None:
        while not done.is_set():
            table.maintain(NOON)

    with ThreadPoolExecutor(3) as threads:
        searching = [threads.submit(search), threads.submit(search)]
        maintaining = threads.submit(maintain)
        for position in range(1, 60):
            try:
                table.append(case.batch(*range(NOON, NOON + 7), seed=position), position)
                n_done += 7
            except Retryable:
                continue
        done.set()
        maintaining.result()

    assert all(one.result() > 0 for one in searching)


@tables
def test_a_matcher_of_a_name_that_nobody_has_is_of_the_empty_text(
    case: Case, tmp_path: Path
) -> None:
    table = case.open(tmp_path)
    batches = fed(case, table, 6)

    empty = read(table, matchers=(Matcher("nobody", MatchOp.EQUAL, ""),))
    full = read(table, matchers=(Matcher("nobody", MatchOp.NOT_EQUAL, ""),))

    assert empty == newest_first(*batches)
    assert full == []


# Faults

CALLS = ("create", "write", "sync", "truncate", "sync_folder")


@tables
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_loses_nothing_and_leaves_nothing(
    case: Case, call: str, number: int, tmp_path: Path
) -> None:
    files = FaultyFiles()
    table = case.open(tmp_path, files=files)
    batches = fed(case, table, 5)
    files.fail(call, number, times=1)

    with pytest.raises(Retryable, match=os.strerror(number)):
        flush(table)
    during = read(table)
    flush(table)

    assert during == newest_first(*batches)
    assert read(table) == newest_first(*batches)
    assert table.stored() == 5
    assert len(segments(tmp_path)) == 2


@tables
@pytest.mark.parametrize("call", [*CALLS, "remove"])
@pytest.mark.parametrize("seed", range(2))
def test_a_crash_at_any_call_is_made_good_by_the_log(
    case: Case, call: str, seed: int, tmp_path: Path
) -> None:
    """Power is lost in the middle of writing out or merging; the log is read again."""
    chance = random.Random(f"{case.name} {call} {seed}")
    files = FaultyFiles(chance)
    table = case.open(tmp_path, files=files, head_rows=14)
    batches = [case.batch(*range(NOON + i, NOON + i + 5), seed=i) for i in range(12)]
    crash_after = chance.randint(2, 11)
    _run(table, files, batches, crash_after, call)
    files.lose_power()

    again = case.open(tmp_path, head_rows=14)
    stored = again.stored()
    for position in range(stored + 1, len(batches) + 1):
        again.append(batches[position - 1], position)
        again.maintain(NOON)

    assert read(again) == newest_first(*batches)


def _run(
    table: Table, files: FaultyFiles, batches: Sequence[Any], crash_after: int, call: str
) -> None:
    """Until the power is gone, if it ever is: some calls come only with some work."""
    try:
        for position, batch in enumerate(batches, 1):
            if position == crash_after:
                files.crash_at(call)
            table.append(batch, position)
            table.maintain(NOON, everything=position % 3 == 0)
    except Crash:
        pass


@tables
def test_leftovers_of_a_crash_are_removed_at_the_start(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path)
    batches = fed(case, table, 3)
    flush(table)
    named = segments(tmp_path)
    (tmp_path / "segments" / "00000099.parquet").write_bytes(b"half of it")

    again = case.open(tmp_path)

    assert segments(tmp_path) == named
    assert read(again) == newest_first(*batches)


@tables
@pytest.mark.parametrize("suffix", [".parquet", ".index"])
def test_a_damaged_file_is_told_and_not_read(case: Case, suffix: str, tmp_path: Path) -> None:
    table = case.open(tmp_path)
    table.append(case.batch(*range(NOON, NOON + 60)), 1)
    flush(table)
    table.close()
    path = next(path for path in (tmp_path / "segments").iterdir() if path.suffix == suffix)
    content = bytearray(path.read_bytes())
    for at in range(64, len(content) - 64, 97):
        content[at] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(Permanent, match="restore it from a backup"):
        case.open(tmp_path).search(everything())


@tables
def test_a_byte_that_changed_costs_the_searches_that_need_it_and_no_others(
    case: Case, tmp_path: Path
) -> None:
    """In the header of a page, which no checksum of Parquet covers, it went unnoticed."""
    table = case.open(tmp_path, head_rows=100, compact_fan_in=9)
    batches = [case.batch(*range(start, start + 30)) for start in (NOON, NOON + DAY)]
    for position, batch in enumerate(batches, 1):
        table.append(batch, position)
        flush(table, NOON + DAY)
    table.close()
    broken = min((tmp_path / "segments").glob("*.parquet"))
    sound = broken.read_bytes()
    refusals = []

    for at in range(0, len(sound), len(sound) // 37):
        broken.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        again = case.open(tmp_path, compact_fan_in=9)
        assert read(again, start_ns=NOON + DAY) == newest_first(batches[1])
        try:
            assert read(again) == newest_first(*batches), f"byte {at}"
        except Permanent as error:
            refusals.append(str(error))

    assert len(refusals) > 20, "what is not refused is what only other programs read"
    assert all(str(broken) in one and "restore it from a backup" in one for one in refusals)


@tables
def test_files_that_cannot_be_merged_stay_and_others_are(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path, head_rows=10, compact_fan_in=3)
    fed(case, table, 2, rows_each=10)
    flush(table)
    broken = tmp_path / "segments" / segments(tmp_path)[0]
    broken.write_bytes(b"nothing of what was there")
    table.close()

    again = case.open(tmp_path, head_rows=10, compact_fan_in=3)
    for position in range(3, 9):
        again.append(case.batch(*range(NOON, NOON + 10), seed=position), position)
        again.maintain(NOON)

    assert broken.name in segments(tmp_path)
    assert again.stored() >= 7


@tables
@pytest.mark.parametrize(
    ("content", "says"),
    [(b'{"version": 99}', "version 99"), (b"\xff\x00", "damaged"), (b'{"stored": "x"}', "damaged")],
)
def test_a_manifest_that_cannot_be_read_is_told(
    case: Case, content: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_bytes(content)

    with pytest.raises(Permanent, match=says):
        case.open(tmp_path)


@tables
def test_closing_twice_and_without_use_is_no_harm(case: Case, tmp_path: Path) -> None:
    table = case.open(tmp_path)

    table.close()
    table.close()

    assert segments(tmp_path) == []
