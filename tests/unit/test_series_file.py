"""The catalog's file: whole or cut off, appended to, written anew."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests import make
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.lake.files import Buffer, Files
from watchkeeper.lake.inspection import catalog_damage
from watchkeeper.lake.series_file import Entry, SeriesFile, damage_of
from watchkeeper.model.signal import NewSeries


class Faulty(Files):
    """A disk that fails when it is told to, after having written part of it."""

    def __init__(self) -> None:
        self.fails_write = False
        self.fails_sync = False
        self.n_open = 0

    def open(self, path: Path) -> int:
        self.n_open += 1
        return super().open(path)

    def close(self, fd: int) -> None:
        self.n_open -= 1
        super().close(fd)

    def write(self, fd: int, parts: Sequence[Buffer], offset: int) -> None:
        if self.fails_write:
            super().write(fd, parts[:1], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, parts, offset)

    def sync(self, fd: int) -> None:
        if self.fails_sync:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)


def series(first: int, n: int) -> NewSeries:
    rows = [make.labels("up", pod=f"pod-{k}") for k in range(first, first + n)]
    return make.new_series(first, *rows)


def left(*slots: int) -> Entry:
    return np.array(slots, np.int32)


def brief(entries: Sequence[Entry]) -> list[tuple[str, list[int]]]:
    return [
        ("came", entry.slot.tolist()) if isinstance(entry, NewSeries) else ("left", entry.tolist())
        for entry in entries
    ]


def content(folder: Path) -> list[tuple[str, list[int]]]:
    file = SeriesFile(folder, Files())
    try:
        return brief(list(file.read()))
    finally:
        file.close()


def test_there_is_nothing_in_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = SeriesFile(tmp_path, Files())

    assert list(file.read()) == []
    assert file.is_bloated(0), "it is worth being written"
    file.close()
    file.close()


def test_entries_come_back_in_order_and_whole(tmp_path: Path) -> None:
    file = SeriesFile(tmp_path / "catalog", Files())
    file.rewrite([series(0, 3)])
    file.append([left(1, 2), series(1, 1)])
    file.append([left(0)])
    file.close()

    assert content(tmp_path / "catalog") == [
        ("came", [0, 1, 2]),
        ("left", [1, 2]),
        ("came", [1]),
        ("left", [0]),
    ]
    (first, *_) = list(SeriesFile(tmp_path / "catalog", Files()).read())
    assert isinstance(first, NewSeries)
    assert make.read_labels(first.labels, 2) == [("__name__", "up"), ("pod", "pod-2")]


def test_what_was_read_can_be_appended_to(tmp_path: Path) -> None:
    file = SeriesFile(tmp_path, Files())
    file.rewrite([series(0, 2)])
    file.close()

    again = SeriesFile(tmp_path, Files())
    list(again.read())
    again.append([series(2, 1)])
    again.close()

    assert content(tmp_path) == [("came", [0, 1]), ("came", [2])]


def test_writing_anew_leaves_nothing_of_the_former(tmp_path: Path) -> None:
    file = SeriesFile(tmp_path, Files())
    file.rewrite([series(0, 50)])
    file.rewrite([series(7, 1)])
    file.append([series(8, 1)])
    file.close()

    assert content(tmp_path) == [("came", [7]), ("came", [8])]
    assert [path.name for path in tmp_path.iterdir()] == ["series.log"]


@pytest.mark.parametrize("cut", [8, 20, 40])
def test_whatever_was_cut_off_the_rest_is_read(tmp_path: Path, cut: int) -> None:
    file = SeriesFile(tmp_path, Files())
    file.rewrite([series(0, 2)])
    whole = (tmp_path / "series.log").stat().st_size
    file.append([series(2, 1)])
    file.close()
    path = tmp_path / "series.log"
    path.write_bytes(path.read_bytes()[:-cut])

    assert content(tmp_path) == [("came", [0, 1])]
    assert path.stat().st_size == whole, "the torn tail is gone"


@pytest.mark.parametrize("offset", [17, 30, 60])
def test_a_bad_end_is_a_torn_tail(tmp_path: Path, offset: int) -> None:
    file = SeriesFile(tmp_path, Files())
    file.rewrite([series(0, 2)])
    begin = (tmp_path / "series.log").stat().st_size
    file.append([series(2, 5)])
    file.close()
    path = tmp_path / "series.log"
    damaged = bytearray(path.read_bytes())
    damaged[begin + offset] ^= 0x40
    path.write_bytes(damaged)

    assert content(tmp_path) == [("came", [0, 1])]


@pytest.fixture
def spoilt(tmp_path: Path) -> tuple[Path, bytes]:
    """A file whose second of three groups is damaged, and what that was before."""
    file = SeriesFile(tmp_path, Files())
    file.rewrite([series(0, 2)])
    path = tmp_path / "series.log"
    begin = path.stat().st_size
    file.append([left(1)])
    end = path.stat().st_size
    file.append([series(5, 1)])
    file.close()
    damaged = bytearray(path.read_bytes())
    damaged[begin + 40] ^= 0x40
    path.write_bytes(damaged)
    return path, bytes(damaged[begin:end])


def test_damage_in_the_middle_forgets_nothing_behind_it(spoilt: tuple[Path, bytes]) -> None:
    """All that came later was silently cut off, as if it had been a torn tail."""
    path, lost = spoilt

    assert content(path.parent) == [("came", [0, 1]), ("came", [5])]
    assert [kept.read_bytes() for kept in path.parent.glob("damaged-*.bytes")] == [lost]


def test_a_damaged_file_is_written_anew(spoilt: tuple[Path, bytes]) -> None:
    path, _ = spoilt
    file = SeriesFile(path.parent, Files())
    living = list(file.read())
    assert file.is_bloated(10**9)

    file.rewrite(living)

    assert not file.is_bloated(10**9)
    file.close()
    assert damage_of(path) == []
    assert content(path.parent) == brief(living)


def test_the_doctor_tells_of_damage_and_changes_nothing(spoilt: tuple[Path, bytes]) -> None:
    path, lost = spoilt
    before = path.read_bytes()

    (found,) = catalog_damage(path.parent)

    assert found.startswith(f"{path}: {len(lost)} bytes at ")
    assert found.endswith("cannot be read; 1 records of series are lost with them")
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["series.log"]


def test_the_doctor_sees_no_damage_where_there_is_no_file_and_tells_a_foreign_one(
    tmp_path: Path,
) -> None:
    assert catalog_damage(tmp_path) == []

    (tmp_path / "series.log").write_bytes(b"something else")

    (found,) = catalog_damage(tmp_path)
    assert f"{tmp_path / 'series.log'} is no series file" in found


@pytest.mark.parametrize("fault", ["fails_write", "fails_sync"])
def test_what_a_disk_refuses_does_not_count_and_can_be_repeated(tmp_path: Path, fault: str) -> None:
    disk = Faulty()
    file = SeriesFile(tmp_path, disk)
    file.rewrite([series(0, 2)])
    setattr(disk, fault, True)
    with pytest.raises(Retryable, match=r"series\.log.*free space"):
        file.append([series(2, 5), left(1)])

    setattr(disk, fault, False)
    file.append([left(0)])
    file.close()

    assert content(tmp_path) == [("came", [0, 1]), ("left", [0])]
    assert disk.n_open == 0


@pytest.mark.parametrize("fault", ["fails_write", "fails_sync"])
def test_the_former_file_stands_when_writing_anew_fails(tmp_path: Path, fault: str) -> None:
    disk = Faulty()
    file = SeriesFile(tmp_path, disk)
    file.rewrite([series(0, 2)])
    setattr(disk, fault, True)
    with pytest.raises(Retryable):
        file.rewrite([series(5, 5)])
    setattr(disk, fault, False)

    assert content(tmp_path) == [("came", [0, 1])]
    file.append([series(2, 1)])
    file.rewrite([series(0, 3)])
    file.close()
    assert content(tmp_path) == [("came", [0, 1, 2])]
    assert disk.n_open == 0


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Retryable, match="permissions"):
        SeriesFile(tmp_path / "file" / "catalog", Files()).rewrite([])


def test_a_file_is_worth_writing_anew_when_most_of_it_is_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.lake.series_file._SPARE_ROWS", 10)
    file = SeriesFile(tmp_path, Files())
    file.rewrite([series(0, 20)])

    assert not file.is_bloated(20)
    assert not file.is_bloated(5)
    assert file.is_bloated(4)
    file.append([series(20, 20), left(*range(20))])
    assert not file.is_bloated(25)
    assert file.is_bloated(24)
    file.rewrite([series(0, 20)])
    assert not file.is_bloated(20)
    file.close()


@pytest.mark.parametrize(
    "head", [b"", b"wkseries", b"wkseries" + bytes(8), b"wkthings" + (1).to_bytes(8, "little")]
)
def test_a_file_of_another_kind_or_release_is_refused(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "series.log").write_bytes(head + b"more")

    with pytest.raises(Permanent, match="version 1"):
        list(SeriesFile(tmp_path, Files()).read())
