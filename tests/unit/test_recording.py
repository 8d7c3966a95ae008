"""What the log lets go of: kept, compressed, read beside the server, and forgotten in time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.disks import FaultyFiles
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import Permanent
from watchkeeper.lake.files import PAGE_BYTES, Files
from watchkeeper.lake.recording import packed
from watchkeeper.lake.recording.config import ReplayConfig
from watchkeeper.lake.recording.keeper import Keeper
from watchkeeper.lake.recording.packed import Packed
from watchkeeper.lake.recording.recording import KEPT_FOLDER, Recording, pieces
from watchkeeper.lake.recording.snapshot import Snapshot, State, snapshots, write
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.model import wire

SMALL = WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=1 << 20)
"""Each group has a page of its own, so three fill a segment."""
DAY_S = 86_400


def tick(n: int) -> bytes:
    return wire.encode(make.tick(n))


def now(n: int) -> int:
    return make.tick(n).now_ns


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteAheadLog]:
    opened = WriteAheadLog(tmp_path, SMALL, kept=tmp_path / KEPT_FOLDER)
    yield opened
    opened.close()


def keeper(
    log: WriteAheadLog, *, free_bytes: int = 0, files: Files | None = None, **settings: float
) -> Keeper:
    given: dict[str, Any] = {"compress": True, **settings}
    config = ReplayConfig(**given)
    return Keeper(log.folder, config, free_bytes=free_bytes, files=files)


def fill(log: WriteAheadLog, n: int = 10) -> None:
    """So many ticks, a second and a group each."""
    for _ in range(n):
        log.append([tick(log.last + 1)])


def read(log: WriteAheadLog, after: int = 0) -> dict[int, bytes]:
    return {position: bytes(payload) for position, payload in Recording(log.folder).read(after)}


def kinds(log: WriteAheadLog) -> list[str]:
    """Of files, in order: what is in the log, beside it, and compressed."""
    return [
        "packed" if isinstance(one, Packed) else "log" if one.path.parent == log.folder else "moved"
        for one in pieces(log.folder)
    ]


def kept(log: WriteAheadLog) -> list[Path]:
    return sorted((log.folder / KEPT_FOLDER).glob("*.kept"))


# Keeping


def test_what_the_log_let_go_of_is_read_as_before(log: WriteAheadLog) -> None:
    fill(log)
    before = read(log)
    log.release(6)
    moved = read(log)
    keeper(log).maintain(now(10))

    assert list(before) == list(range(1, 11))
    assert kinds(log) == ["packed", "packed", "log", "log"]
    assert read(log) == moved == before
    assert read(log, 4) == {position: before[position] for position in range(5, 11)}


def test_uncompressed_what_is_kept_stays_as_it_was_until_it_is_too_old(log: WriteAheadLog) -> None:
    fill(log)
    before = read(log)
    log.release(6)
    plain = Keeper(log.folder, ReplayConfig(keep_s=60.0), free_bytes=0)
    first, second = (piece.path for piece in pieces(log.folder)[:2])
    for path, written_s in ((first, 1_000), (second, 1_050)):
        os.utime(path, (written_s, written_s))

    plain.maintain(1_059 * NS_PER_S)
    untouched = kinds(log), read(log)
    plain.maintain(1_070 * NS_PER_S)

    assert untouched == (["moved", "moved", "log", "log"], before)
    assert kinds(log) == ["moved", "moved", "log", "log"], "looked for once a minute"
    plain.maintain(1_120 * NS_PER_S)
    assert not first.exists()
    assert not second.exists()


def test_uncompressed_what_is_too_much_goes_oldest_first(log: WriteAheadLog) -> None:
    fill(log)
    log.release(6)
    sizes = [piece.path.stat().st_size for piece in pieces(log.folder)[:2]]
    plain = Keeper(log.folder, ReplayConfig(keep_s=1e12, max_bytes=sizes[1]), free_bytes=0)

    plain.maintain(now(10))

    assert kinds(log) == ["moved", "log", "log"]
    assert min(read(log)) == 4


def test_a_log_that_keeps_nothing_deletes(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, SMALL)
    fill(log)

    log.release(6)

    assert Recording(tmp_path).first == 7
    assert not (tmp_path / KEPT_FOLDER).exists()
    log.close()


def test_the_name_of_a_file_says_what_is_in_it(log: WriteAheadLog) -> None:
    fill(log)
    log.release(6)
    keeper(log).maintain(now(10))

    found = [Packed.found(path) for path in kept(log)]

    assert [(one.first, one.last) for one in found if one] == [(1, 3), (4, 6)]
    assert [(one.start_ns, one.end_ns) for one in found if one] == [
        (now(1), now(3)),
        (now(4), now(6)),
    ]


def test_records_that_are_larger_than_a_block_and_many_small_ones_come_back(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "BLOCK_BYTES", 100)
    told = [tick(1), wire.encode(make.samples(*[(n, n, float(n)) for n in range(99)]))]
    log.append([*told * 20])
    fill(log, 2)
    before = read(log)
    log.release(log.last - 2)

    keeper(log).maintain(now(1))

    assert kinds(log)[0] == "packed"
    assert read(log) == before
    assert all(memoryview(bytearray(one)).readonly is False for one in before.values())


def test_what_a_crash_left_uncompressed_or_twice_is_put_in_order(log: WriteAheadLog) -> None:
    fill(log)
    before = read(log)
    log.release(6)
    twice = min((log.folder / KEPT_FOLDER).glob("*.log"))
    content = twice.read_bytes()
    keeper(log).maintain(now(10))
    twice.write_bytes(content)
    torn = log.folder / KEPT_FOLDER / "00000001.new"
    torn.write_bytes(b"torn")

    keeper(log).clean()
    keeper(log).maintain(now(10))

    assert not twice.exists()
    assert not torn.exists()
    assert read(log) == before


@pytest.mark.parametrize("call", ["write", "sync"])
def test_what_cannot_be_compressed_is_kept_as_it_is(log: WriteAheadLog, call: str) -> None:
    fill(log)
    before = read(log)
    log.release(6)
    files = FaultyFiles()
    files.fail(call, 28)

    with pytest.raises(OSError, match="No space left"):
        keeper(log, files=files).maintain(now(10))

    assert kinds(log) == ["moved", "moved", "log", "log"]
    assert read(log) == before


# Forgetting


def test_what_is_too_old_goes(log: WriteAheadLog) -> None:
    fill(log)
    log.release(6)

    keeper(log, keep_s=100).maintain(now(3 + 101))

    assert Recording(log.folder).first == 4


def test_what_is_too_much_goes_oldest_first(log: WriteAheadLog) -> None:
    fill(log, 15)
    log.release(12)
    keeper(log).maintain(now(15))
    size = kept(log)[0].stat().st_size

    keeper(log, max_bytes=2 * size + 10).maintain(now(15))

    assert Recording(log.folder).first == 7


def test_a_full_disk_takes_all_of_it_and_nothing_of_the_log(log: WriteAheadLog) -> None:
    fill(log)
    log.release(6)

    keeper(log, free_bytes=1 << 60).maintain(now(10))

    assert kinds(log) == ["log", "log"]
    assert list(read(log)) == [7, 8, 9, 10]


def test_a_snapshot_goes_with_the_records_behind_it(log: WriteAheadLog) -> None:
    fill(log)
    log.release(6)
    keeper(log).maintain(now(10))
    for position in (1, 3, 6):
        take(log, position)

    keeper(log, keep_s=100).maintain(now(3 + 101))

    assert [one.position for one in snapshots(log.folder / KEPT_FOLDER)] == [3, 6]


# Reading beside a server


def test_a_segment_that_is_moved_and_compressed_meanwhile_is_found_again(
    log: WriteAheadLog,
) -> None:
    fill(log)
    before = read(log)
    recording = Recording(log.folder)

    log.release(6)
    moved = dict(recording.read(0))
    keeper(log).maintain(now(10))

    assert {position: bytes(one) for position, one in moved.items()} == before
    assert {position: bytes(one) for position, one in recording.read(0)} == before


def test_a_segment_that_is_deleted_meanwhile_is_missed(log: WriteAheadLog) -> None:
    fill(log)
    log.release(6)
    keeper(log).maintain(now(10))
    recording = Recording(log.folder)

    keeper(log, keep_s=1).maintain(now(100))

    with pytest.raises(Permanent, match="position 1 on were deleted"):
        list(recording.read(0))


def test_what_comes_later_belongs_to_another_recording(log: WriteAheadLog) -> None:
    fill(log, 4)
    recording = Recording(log.folder)

    fill(log, 4)

    assert recording.last == 4
    assert [position for position, _ in recording.read(0)] == [1, 2, 3, 4]


def test_an_empty_folder_is_an_empty_recording(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "none")

    assert (recording.first, recording.last) == (1, 0)
    assert list(recording.read(0)) == []


@pytest.mark.parametrize("block", [0, 1, -1], ids=["the first", "one in the middle", "the last"])
def test_a_damaged_block_is_told_and_stepped_over(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(packed, "BLOCK_BYTES", 1)
    fill(log)
    before = read(log)
    log.release(3)
    keeper(log).maintain(now(10))
    (path,) = kept(log)
    content = bytearray(path.read_bytes())
    size = len(content) // 3
    content[(block % 3) * size + size // 2] ^= 0xFF
    path.write_bytes(content)

    recording = Recording(log.folder)
    found = {position: bytes(one) for position, one in recording.read(0)}

    lost = 1 + block % 3
    assert found == {position: one for position, one in before.items() if position != lost}
    assert [one.segment for one in recording.damage] == [path.name]


# Snapshots


def take(log: WriteAheadLog, position: int, states: int = 3) -> Snapshot:
    entries = [State(0, at, position + at, bytes([at]) * 100) for at in range(states)]
    folder = log.folder / KEPT_FOLDER
    folder.mkdir(exist_ok=True)
    new = make.new_series(0, make.labels("up", service="cart"))
    return write(folder, [*entries, new], now=lambda: now(position), files=Files())


def test_a_snapshot_is_what_was_written(log: WriteAheadLog) -> None:
    taken = take(log, 5)

    (found,) = snapshots(log.folder / KEPT_FOLDER)
    (series,) = found.series()

    assert found == taken
    assert (found.position, found.taken_ns) == (5, now(5))
    assert list(found.states()) == [State(0, at, 5 + at, bytes([at]) * 100) for at in range(3)]
    assert dict(make.read_labels(series.labels, 0)) == make.labels("up", service="cart")


def test_a_snapshot_that_is_not_whole_is_refused(log: WriteAheadLog) -> None:
    taken = take(log, 5)
    os.truncate(taken.path, taken.path.stat().st_size - 40)

    with pytest.raises(Permanent, match="is damaged; delete it"):
        list(taken.states())


def test_a_snapshot_of_another_version_names_the_remedy(
    log: WriteAheadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.lake.recording.snapshot.VERSION", 2)
    taken = take(log, 5)
    monkeypatch.undo()

    with pytest.raises(Permanent, match="version 2, this release reads version 1"):
        list(replace(taken).series())


def test_a_day_is_kept_unless_it_is_too_much() -> None:
    assert ReplayConfig().keep_s == DAY_S
    assert not ReplayConfig(keep_s=0).is_on
    assert not ReplayConfig(max_bytes=0).is_on
    assert NS_PER_S == 10**9
