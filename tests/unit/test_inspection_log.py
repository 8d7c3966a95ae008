"""The doctor's look at a log, on its own and beside a server that writes and releases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import Inline, UnsyncedFiles
from watchkeeper.lake.files import PAGE_BYTES
from watchkeeper.lake.frames import HEAD
from watchkeeper.lake.inspection import log_damage
from watchkeeper.lake.log_segment import LogSegment
from watchkeeper.lake.wal import WalConfig, WriteAheadLog

SMALL = WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=1 << 20)
"""Three groups fill a segment."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteAheadLog]:
    """Ten records in four segments, as a running server has them."""
    opened = WriteAheadLog(tmp_path, SMALL, files=UnsyncedFiles(), executor=Inline())
    for n in range(10):
        opened.append([bytes([n]) * 100])
    yield opened
    opened.close()


def segments(log: WriteAheadLog) -> list[Path]:
    return sorted(log.folder.glob("*.log"))


def spoil(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)


def test_a_sound_log_is_sound_while_its_server_runs(log: WriteAheadLog) -> None:
    shares: list[float] = []

    assert log_damage(log.folder, shares.append) == []
    assert shares == [0.25, 0.5, 0.75, 1.0]

    log.append([b"more"])
    log.release(6)
    assert log_damage(log.folder) == []


def test_looking_changes_no_file(log: WriteAheadLog) -> None:
    spoil(segments(log)[0], HEAD.size)
    before = {path: path.read_bytes() for path in log.folder.rglob("*") if path.is_file()}

    log_damage(log.folder)

    after = {path: path.read_bytes() for path in log.folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(("number", "position"), [(0, 2), (1, 5), (2, 8)])
def test_each_bad_stretch_is_named_with_what_is_lost(
    log: WriteAheadLog, number: int, position: int
) -> None:
    path = segments(log)[number]
    spoil(path, PAGE_BYTES + HEAD.size + 3)

    assert log_damage(log.folder) == [
        f"{path}: {PAGE_BYTES} bytes at {PAGE_BYTES} cannot be read; records from position "
        f"{position} on are lost with them"
    ]


def test_several_bad_stretches_are_all_named(log: WriteAheadLog) -> None:
    for path in segments(log)[:3]:
        spoil(path, 0)
        spoil(path, 2 * PAGE_BYTES)

    assert len(log_damage(log.folder)) == 6


def test_a_torn_tail_is_no_damage(log: WriteAheadLog) -> None:
    """Nobody was told that it is there; the next start cuts it off."""
    spoil(segments(log)[-1], HEAD.size)

    assert log_damage(log.folder) == []


def test_a_segment_that_is_missing_in_the_middle_is_damage(log: WriteAheadLog) -> None:
    segments(log)[1].unlink()

    (found,) = log_damage(log.folder)

    assert "records from position 4 on are lost" in found


def test_the_oldest_segment_may_be_gone(log: WriteAheadLog) -> None:
    """It was released, like those before it."""
    segments(log)[0].unlink()

    assert log_damage(log.folder) == []


def test_a_segment_released_since_the_folder_was_read_is_passed_over(log: WriteAheadLog) -> None:
    """Its name was listed, and the file behind it is gone: here a link that leads nowhere."""
    gone = LogSegment.named(log.folder, 0, 0, 0).path
    gone.symlink_to(log.folder / "released")

    assert log_damage(log.folder) == []


@pytest.mark.parametrize("name", ["lock", "next.spare", "notes.txt", "damaged"])
def test_other_files_in_the_folder_are_not_read(log: WriteAheadLog, name: str) -> None:
    path = log.folder / name
    if not path.exists():
        path.write_bytes(b"junk" * 5000)

    assert log_damage(log.folder) == []


def test_a_log_without_records_is_sound(tmp_path: Path) -> None:
    WriteAheadLog(tmp_path, SMALL, files=UnsyncedFiles(), executor=Inline()).close()

    assert log_damage(tmp_path) == []
