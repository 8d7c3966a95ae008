"""The write-ahead log on a good disk and on a bad one."""

from __future__ import annotations

import errno
import random
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.disks import FaultyFiles, Inline
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.lake.files import PAGE_BYTES, Files, PageBuffer
from watchkeeper.lake.frames import HEAD, frame_group, frame_size
from watchkeeper.lake.log_spare import Spare
from watchkeeper.lake.wal import KEPT_DAMAGE, WalConfig, WriteAheadLog

SMALL = WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=1 << 20)
"""Each group has a page of its own, so three fill a segment."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteAheadLog]:
    opened = WriteAheadLog(tmp_path, SMALL)
    yield opened
    opened.close()


def reopened(log: WriteAheadLog) -> WriteAheadLog:
    log.close()
    return WriteAheadLog(log.folder, SMALL)


def records(log: WriteAheadLog, after: int = 0) -> dict[int, bytes]:
    return {position: bytes(payload) for position, payload in log.read(after)}


def payload(n: int, size: int = 1000) -> bytes:
    return n.to_bytes(4, "little") + bytes(size - 4)


def files(log: WriteAheadLog) -> list[Path]:
    return sorted(log.folder.glob("*.log"))


def spoil(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


# Appending and reading


def test_positions_grow_by_one_from_one_on(log: WriteAheadLog) -> None:
    assert log.last == 0
    assert log.append([b"a", b"b"]) == 2
    assert log.append([b"c"]) == 3
    assert records(log) == {1: b"a", 2: b"b", 3: b"c"}


def test_positions_go_on_after_a_restart(log: WriteAheadLog) -> None:
    log.append([b"a", b"b"])

    again = reopened(log)

    assert again.append([b"c"]) == 3
    assert records(again) == {1: b"a", 2: b"b", 3: b"c"}
    again.close()


def test_an_empty_group_writes_nothing(log: WriteAheadLog) -> None:
    log.append([b"a"])

    assert log.append([]) == 1
    assert records(log) == {1: b"a"}


def test_a_group_is_one_write_and_one_sync(tmp_path: Path) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, files=disk)
    disk.calls.clear()

    log.append([payload(n) for n in range(20)])

    assert disk.calls == ["write", "sync"]
    log.close()


def test_a_group_of_more_parts_than_one_call_takes_is_written_whole(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path)

    log.append([payload(n, 8) for n in range(5000)])

    assert list(records(log).values()) == [payload(n, 8) for n in range(5000)]
    log.close()


def test_a_record_larger_than_a_segment_gets_a_segment_of_its_size(log: WriteAheadLog) -> None:
    large = random.Random(1).randbytes(600_000)

    log.append([b"a", large, b"c"])

    assert records(log) == {1: b"a", 2: large, 3: b"c"}
    assert records(reopened(log), after=1) == {2: large, 3: b"c"}


def test_reading_begins_behind_a_position_in_any_segment(log: WriteAheadLog) -> None:
    for n in range(1, 11):
        log.append([payload(n)])

    for after in range(11):
        assert records(log, after) == {n: payload(n) for n in range(after + 1, 11)}


def test_a_reader_sees_what_was_durable_when_it_began(log: WriteAheadLog) -> None:
    log.append([b"a"])
    reading = log.read(0)
    first = next(reading)
    log.append([b"b"])

    assert [first[0], *(position for position, _ in reading)] == [1]


def test_payloads_are_aligned_and_writable_so_that_columns_can_be_views(log: WriteAheadLog) -> None:
    log.append([b"odd", b"another", b"x"])

    for _, found in log.read(0):
        column = np.frombuffer(found, np.uint8)
        assert column.flags.writeable
        assert column.ctypes.data % 8 == 0


def test_reading_a_long_log_takes_little_memory(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, WalConfig(segment_bytes=8 << 20))
    for n in range(24):
        log.append([payload(n, 1 << 20)])

    tracemalloc.start()
    n_read = sum(1 for _ in log.read(0))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert n_read == 24
    assert peak_bytes < 6 << 20
    log.close()


def test_readers_and_the_writer_do_not_disturb_each_other(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, SMALL)

    def write() -> None:
        for n in range(1, 41):
            log.append([payload(n, 200)])

    def read() -> int:
        at = 0
        while at < 40:
            for position, found in log.read(at):
                assert position == at + 1
                assert bytes(found) == payload(position, 200)
                at = position
        return at

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        threads.submit(write).result()
        assert [reader.result() for reader in readers] == [40, 40]
    log.close()


# Room


def test_released_segments_are_deleted_whole(log: WriteAheadLog) -> None:
    for n in range(1, 11):
        log.append([payload(n)])
    assert len(files(log)) == 4

    log.release(7)

    assert len(files(log)) == 2
    assert log.first == 7
    assert records(log) == {n: payload(n) for n in range(7, 11)}


def test_the_segment_in_use_is_never_deleted(log: WriteAheadLog) -> None:
    log.append([b"a"])

    log.release(1000)

    assert records(log) == {1: b"a"}
    assert reopened(log).append([b"b"]) == 2


def test_a_reader_whose_segment_is_released_goes_on_with_the_next(log: WriteAheadLog) -> None:
    for n in range(1, 11):
        log.append([payload(n)])
    reading = log.read(0)
    next(reading)

    log.release(6)

    assert [position for position, _ in reading] == [2, 3, 7, 8, 9, 10]


def test_a_segment_that_cannot_be_deleted_is_found_again_at_the_next_start(tmp_path: Path) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())
    for n in range(1, 11):
        log.append([payload(n)])
    disk.fail("remove", errno.EACCES)

    log.release(7)

    assert log.first == 7
    again = reopened(log)
    assert again.first == 1
    again.release(7)
    assert again.first == 7
    again.close()


def test_a_log_at_its_limit_refuses_names_the_setting_and_takes_more_once_released(
    tmp_path: Path,
) -> None:
    log = WriteAheadLog(
        tmp_path, WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=7 * PAGE_BYTES)
    )
    for n in range(1, 7):
        log.append([payload(n)])

    with pytest.raises(Retryable, match=r"log\.limit_bytes"):
        log.append([payload(7)])

    assert not log.is_broken
    assert log.size_bytes <= 7 * PAGE_BYTES
    log.release(3)
    assert log.append([payload(7)]) == 7
    assert list(records(log)) == [4, 5, 6, 7]
    log.close()


# Faults


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_refused_group_is_never_read_and_the_next_is_kept(
    tmp_path: Path, call: str, number: int
) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())
    log.append([b"a"])
    disk.fail(call, number)

    with pytest.raises(Retryable, match="cannot write to"):
        log.append([b"lost", b"lost too"])

    assert not log.is_broken
    assert log.append([b"b"]) == 2
    assert records(log) == {1: b"a", 2: b"b"}
    assert records(reopened(log)) == {1: b"a", 2: b"b"}


def test_a_full_disk_is_told_with_the_remedy_until_there_is_room_again(tmp_path: Path) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())
    log.append([b"a"])
    disk.fail("write", errno.ENOSPC)
    disk.fail("reserve", errno.ENOSPC, times=3)

    for _ in range(3):
        with pytest.raises(Retryable, match="No space left on device; free space there"):
            log.append([b"lost"])
        assert log.is_broken

    assert records(log) == {1: b"a"}
    assert log.append([b"b"]) == 2
    assert not log.is_broken
    assert records(log) == {1: b"a", 2: b"b"}
    log.close()


def test_a_full_disk_between_segments_keeps_what_is_there(tmp_path: Path) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())
    disk.fail("reserve", errno.ENOSPC, times=2)  # of the spare, and of what is made in its place
    for n in range(1, 4):
        log.append([payload(n)])

    with pytest.raises(Retryable):
        log.append([payload(4)])

    assert log.append([payload(4)]) == 4
    assert list(records(log)) == [1, 2, 3, 4]
    assert len(files(log)) == 2
    log.close()


def test_a_folder_that_cannot_be_synced_gets_no_records(tmp_path: Path) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())
    for n in range(1, 4):
        log.append([payload(n)])
    disk.fail("sync_folder", errno.EIO)

    with pytest.raises(Retryable):
        log.append([payload(4)])

    assert len(files(log)) == 1
    assert log.append([payload(4)]) == 4
    log.close()


def test_a_full_disk_can_still_be_opened_and_read(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, SMALL)
    log.append([b"a"])
    log.close()
    path = files(log)[0]
    path.write_bytes(path.read_bytes()[: frame_size(1)])
    disk = FaultyFiles()
    disk.fail("reserve", errno.ENOSPC, times=2)

    full = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())

    assert records(full) == {1: b"a"}
    with pytest.raises(Retryable):
        full.append([b"b"])
    assert full.append([b"b"]) == 2
    full.close()


# What a crash leaves


def test_a_torn_tail_is_cut_and_its_remains_never_come_back(log: WriteAheadLog) -> None:
    log.append([b"kept"])
    log.append([payload(n, 16) for n in range(3)])
    spoil(files(log)[0], PAGE_BYTES + HEAD.size)  # the first of three frames of one group

    again = reopened(log)
    again.append([payload(9, 16)])  # as long as the first, so that the others would fit behind it
    last = reopened(again)

    assert records(last) == {1: b"kept", 2: payload(9, 16)}
    assert last.damage == ()
    last.close()


def test_a_group_that_lacks_its_end_is_cut_whole(log: WriteAheadLog) -> None:
    log.append([b"kept"])
    log.append([b"one", b"two"])
    spoil(files(log)[0], PAGE_BYTES + frame_size(3) + HEAD.size)

    assert records(reopened(log)) == {1: b"kept"}


@pytest.mark.parametrize("n_bytes", [0, 7, HEAD.size, frame_size(1000) - 1])
def test_a_file_that_ends_early_is_read_up_to_there(log: WriteAheadLog, n_bytes: int) -> None:
    log.append([payload(1)])
    log.append([payload(2)])
    path = files(log)[0]
    path.write_bytes(path.read_bytes()[: PAGE_BYTES + n_bytes])

    again = reopened(log)

    assert records(again) == {1: payload(1)}
    assert again.append([b"b"]) == 2
    again.close()


def test_a_segment_created_just_before_a_crash_is_empty(log: WriteAheadLog) -> None:
    for n in range(1, 5):
        log.append([payload(n)])
    spoil(files(log)[1], HEAD.size)

    again = reopened(log)

    assert records(again) == {n: payload(n) for n in range(1, 4)}
    assert again.append([b"four"]) == 4
    again.close()


# Damage


def test_damage_in_an_old_segment_is_told_kept_and_stepped_over(log: WriteAheadLog) -> None:
    for n in range(1, 8):
        log.append([payload(n)])
    spoil(files(log)[0], PAGE_BYTES + HEAD.size + 5)

    assert list(records(log)) == [1, 3, 4, 5, 6, 7]

    damage = log.damage[0]
    assert (damage.segment, damage.offset) == (files(log)[0].name, PAGE_BYTES)
    assert (damage.size_bytes, damage.first_position, damage.n_positions) == (PAGE_BYTES, 2, 1)
    kept = next((log.folder / "damaged").iterdir())
    assert kept.read_bytes() == files(log)[0].read_bytes()[PAGE_BYTES : 2 * PAGE_BYTES]


def test_damage_is_told_once_however_often_it_is_read(log: WriteAheadLog) -> None:
    for n in range(1, 8):
        log.append([payload(n)])
    spoil(files(log)[0], HEAD.size)

    for _ in range(3):
        assert list(records(log)) == [2, 3, 4, 5, 6, 7]

    assert len(log.damage) == 1


def test_damage_in_front_of_an_acknowledged_group_is_no_torn_tail(log: WriteAheadLog) -> None:
    log.append([b"a"])
    log.append([b"b", b"c"])
    log.append([b"d"])
    spoil(files(log)[0], PAGE_BYTES + HEAD.size)

    again = reopened(log)

    assert records(again) == {1: b"a", 3: b"c", 4: b"d"}
    assert [damage.n_positions for damage in again.damage] == [1]
    assert again.append([b"e"]) == 5
    assert records(again, after=4) == {5: b"e"}
    again.close()


def test_a_segment_that_is_lost_costs_its_own_records_only(log: WriteAheadLog) -> None:
    for n in range(1, 11):
        log.append([payload(n)])
    files(log)[1].unlink()

    again = reopened(log)

    assert list(records(again)) == [1, 2, 3, 7, 8, 9, 10]
    assert [(lost.first_position, lost.n_positions) for lost in again.damage] == [(4, 3)]
    again.close()


def test_damage_to_a_length_reads_nothing_beyond_the_file(log: WriteAheadLog) -> None:
    for n in range(1, 5):
        log.append([payload(n)])
    spoil(files(log)[0], 19)  # the highest byte of the length

    assert list(records(log)) == [2, 3, 4]


def test_a_payload_that_looks_like_a_frame_is_none(log: WriteAheadLog) -> None:
    """A sender chooses values and labels, never what the log takes for its own."""
    forged = b"".join(frame_group([b"forged"], 2, offset=PAGE_BYTES, salt=0))
    log.append([forged])
    log.append([b"b"])
    for n in range(3, 8):
        log.append([payload(n)])
    spoil(files(log)[0], 0)

    assert records(log)[2] == b"b"


def test_kept_damage_is_bounded(log: WriteAheadLog) -> None:
    for n in range(1, 3 * KEPT_DAMAGE):
        log.append([payload(n)])
    for path in files(log)[:-1]:
        spoil(path, HEAD.size)
        spoil(path, 2 * PAGE_BYTES + HEAD.size)

    records(log)

    assert len(log.damage) > KEPT_DAMAGE
    assert len(list((log.folder / "damaged").iterdir())) == KEPT_DAMAGE


# The segment made ready in advance


def spare(log: WriteAheadLog) -> Path:
    return log.folder / "next.spare"


def test_a_half_full_segment_has_the_next_made_ready(tmp_path: Path) -> None:
    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())
    log.append([payload(1)])
    assert not spare(log).exists()
    log.append([payload(2)])
    assert spare(log).read_bytes() == bytes(3 * PAGE_BYTES)
    log.append([payload(3)])
    disk.calls.clear()

    log.append([payload(4)])

    assert disk.calls == ["rename", "sync_folder", "truncate", "sync", "write", "sync"]
    assert list(records(log)) == [1, 2, 3, 4]
    assert not spare(log).exists()
    assert list(records(reopened(log))) == [1, 2, 3, 4]


@pytest.mark.parametrize("call", ["create", "reserve", "write", "sync", "rename"])
def test_a_spare_that_fails_is_done_without_and_leaves_nothing(tmp_path: Path, call: str) -> None:
    disk = FaultyFiles()
    spare = Spare(tmp_path, 2 * PAGE_BYTES, files=disk, executor=Inline())
    disk.fail(call, errno.EIO)

    spare.prepare()

    assert spare.take(tmp_path / "first", 2 * PAGE_BYTES) is None
    assert list(tmp_path.iterdir()) == []
    spare.prepare()
    fd = spare.take(tmp_path / "second", 2 * PAGE_BYTES)
    assert fd is not None
    assert [path.name for path in tmp_path.iterdir()] == ["second"]
    disk.close(fd)
    spare.close()


def test_a_spare_counts_towards_the_limit(tmp_path: Path) -> None:
    limits = WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=5 * PAGE_BYTES)
    log = WriteAheadLog(tmp_path, limits, executor=Inline())

    for n in range(1, 4):
        log.append([payload(n)])

    assert not spare(log).exists()
    log.close()


def test_a_group_larger_than_the_spare_leaves_it_for_the_next(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, SMALL, executor=Inline())
    for n in range(1, 3):
        log.append([payload(n)])

    log.append([payload(3, 5 * PAGE_BYTES)])

    assert spare(log).exists()
    log.append([payload(4)])
    assert list(records(log)) == [1, 2, 3, 4]
    log.close()


def test_the_spare_of_a_former_life_is_thrown_away_and_a_close_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "next.spare").write_bytes(b"half made")

    log = WriteAheadLog(tmp_path, SMALL, executor=Inline())
    assert not spare(log).exists()
    for n in range(1, 3):
        log.append([payload(n)])
    assert spare(log).exists()
    log.close()

    assert not spare(log).exists()


def test_the_log_makes_its_spare_on_a_thread_of_its_own(log: WriteAheadLog) -> None:
    for n in range(1, 200):
        log.append([payload(n)])

    assert list(records(log)) == list(range(1, 200))


# Opening and closing


def test_a_second_process_is_kept_out_until_the_first_is_done(log: WriteAheadLog) -> None:
    with pytest.raises(ConfigError, match="in use by another process; stop that one"):
        WriteAheadLog(log.folder, SMALL)

    log.close()
    WriteAheadLog(log.folder, SMALL).close()


def test_a_folder_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigError, match=r"cannot use '.*/file/log'.*data_dir"):
        WriteAheadLog(tmp_path / "file" / "log")


def test_a_disk_without_room_for_the_first_segment_is_a_fault_of_configuration(
    tmp_path: Path,
) -> None:
    disk = FaultyFiles()
    disk.fail("reserve", errno.ENOSPC)

    with pytest.raises(ConfigError, match="No space left"):
        WriteAheadLog(tmp_path, SMALL, files=disk, executor=Inline())

    WriteAheadLog(tmp_path, SMALL).close()


def test_closing_twice_is_safe(log: WriteAheadLog) -> None:
    log.close()
    log.close()


def test_foreign_files_in_the_folder_are_left_alone(log: WriteAheadLog) -> None:
    (log.folder / "notes.txt").write_text("mine")
    (log.folder / "1.log").write_text("mine too")
    log.append([b"a"])

    assert records(reopened(log)) == {1: b"a"}
    assert (log.folder / "1.log").read_text() == "mine too"


# The disk seam


def test_pages_are_filled_up_with_zeroes_whatever_they_held_before() -> None:
    pages = PageBuffer()

    pages.fill([b"x" * 300_000])
    content = pages.fill([b"abc", b"", b"de"])

    assert bytes(content) == b"abcde" + bytes(PAGE_BYTES - 5)
    assert len(pages.fill([])) == 0


def test_writes_past_the_cache_are_read_back(tmp_path: Path) -> None:
    disk, pages = Files(), PageBuffer()
    fd = disk.create(tmp_path / "f", 4 * PAGE_BYTES)
    disk.bypass_cache(fd)

    disk.write(fd, [pages.fill([b"a" * 5000])], PAGE_BYTES)
    disk.sync(fd)

    assert (tmp_path / "f").read_bytes()[PAGE_BYTES : PAGE_BYTES + 5001] == b"a" * 5000 + b"\0"
    disk.close(fd)


def test_a_file_system_that_wants_another_alignment_is_written_through_the_cache(
    tmp_path: Path,
) -> None:
    """It takes the flag and refuses the write: here because of the offset."""
    disk, pages = Files(), PageBuffer()
    fd = disk.create(tmp_path / "f", 2 * PAGE_BYTES)
    disk.bypass_cache(fd)

    for offset in (1, 5):
        disk.write(fd, [pages.fill([b"abc"])], offset)

    assert (tmp_path / "f").read_bytes()[:8] == b"\0abc\0abc"
    disk.close(fd)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state"
    disk = Files()

    disk.write_whole(path, b"old and long")
    disk.write_whole(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state"
    disk = FaultyFiles()
    disk.write_whole(path, b"old")
    disk.fail("sync", errno.EIO)

    with pytest.raises(OSError, match="Input/output"):
        disk.write_whole(path, b"new")

    assert path.read_bytes() == b"old"
