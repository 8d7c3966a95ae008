"""The disk seam: what is written is there, whole, and a fault leaves no litter."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import disks
from watchkeeper.lake.files import PAGE_BYTES, Buffer, Files, PageBuffer, whole_pages


@pytest.mark.parametrize(
    ("size", "whole"),
    [(0, 0), (1, PAGE_BYTES), (PAGE_BYTES, PAGE_BYTES), (PAGE_BYTES + 1, 2 * PAGE_BYTES)],
)
def test_sizes_grow_to_whole_pages(size: int, whole: int) -> None:
    assert whole_pages(size) == whole


def test_a_new_file_has_its_room_and_is_empty_of_content(tmp_path: Path) -> None:
    fd = Files().create(tmp_path / "f", 3 * PAGE_BYTES + 1)

    assert (tmp_path / "f").read_bytes() == bytes(3 * PAGE_BYTES + 1)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640, "nobody else reads it"
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"there before")

    with pytest.raises(FileExistsError):
        Files().create(tmp_path / "f", PAGE_BYTES)

    assert (tmp_path / "f").read_bytes() == b"there before"


def test_a_file_without_room_is_not_left_behind(tmp_path: Path) -> None:
    disk = disks.FaultyFiles()
    disk.fail("reserve", errno.ENOSPC)

    with pytest.raises(OSError, match="No space left"):
        disk.create(tmp_path / "f", PAGE_BYTES)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, PAGE_BYTES, (1 << 20) + 5, 2 << 20])
def test_a_file_is_filled_with_zeroes_to_its_size(tmp_path: Path, size: int) -> None:
    disk = Files()
    fd = disk.create(tmp_path / "f", 1)
    disk.write(fd, [b"x" * 100], 0)

    disk.fill(fd, size)

    assert (tmp_path / "f").read_bytes() == bytes(max(size, 100))[:size] + b"x" * max(0, 100 - size)
    disk.close(fd)


@pytest.mark.parametrize("n_parts", [0, 1, 999, 1000, 1001, 2500])
def test_any_number_of_parts_is_written_one_behind_the_other(tmp_path: Path, n_parts: int) -> None:
    disk = Files()
    fd = disk.create(tmp_path / "f", 1)
    parts: list[Buffer] = [b"%d," % n for n in range(n_parts)]

    disk.write(fd, parts, 7)

    assert (tmp_path / "f").read_bytes()[7:] == b"".join(parts)
    disk.close(fd)


class Reluctant(Files):
    """Has a rest to write, as after a call that the system ended early."""

    def rest(self, fd: int, whole: bytes, done: int, offset: int) -> None:
        self._write_rest(fd, memoryview(whole), offset, done)


@pytest.mark.parametrize("done", [0, 1, 99, 100])
def test_what_the_system_left_out_is_written_behind_it(tmp_path: Path, done: int) -> None:
    disk, whole = Reluctant(), bytes(range(100))
    fd = disk.create(tmp_path / "f", 1)
    disk.write(fd, [whole[:done]], 3)

    disk.rest(fd, whole, done, 3)

    assert (tmp_path / "f").read_bytes()[3:] == whole
    disk.close(fd)


def test_a_write_that_the_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    fd = os.open(tmp_path / "f", os.O_RDONLY)

    with pytest.raises(OSError, match="Bad file descriptor"):
        Files().write(fd, [b"new"], 0)

    os.close(fd)
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_removal_of_what_is_not_there_is_none(tmp_path: Path) -> None:
    Files().remove(tmp_path / "never")
    (tmp_path / "f").write_bytes(b"")

    Files().remove(tmp_path / "f")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Files().sync_folder(tmp_path / "never")
    Files().sync_folder(tmp_path)


# Replacing a file


class Recording(disks.FaultyFiles):
    """Says what is in the file at each of its calls."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.seen: list[bytes] = []

    def _enter(self, call: str) -> None:
        self.seen.append(self._path.read_bytes() if self._path.exists() else b"")
        super()._enter(call)


def test_at_no_time_is_a_replaced_file_less_than_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    disk = Recording(path)

    disk.write_whole(path, b"new and longer")

    assert disk.calls == ["write", "sync", "sync_folder"], "content, then its name"
    assert disk.seen == [b"old", b"old", b"new and longer"]


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_fault_before_the_name_changes_keeps_the_old_file(tmp_path: Path, call: str) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    disk = disks.FaultyFiles()
    disk.fail(call, errno.EIO)

    with pytest.raises(OSError, match="Input/output"):
        disk.write_whole(path, b"new")
    assert path.read_bytes() == b"old"

    disk.write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_remains_of_a_longer_attempt_are_not_in_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.with_name("state.new").write_bytes(b"half of something much longer")

    Files().write_whole(path, b"short")

    assert path.read_bytes() == b"short"


# Pages


@pytest.mark.parametrize(
    "parts",
    [[], [b""], [b"a"], [b"a" * PAGE_BYTES], [b"a" * PAGE_BYTES, b"b"], [b"x" * 70 * PAGE_BYTES]],
)
def test_parts_come_to_lie_in_whole_pages(parts: Sequence[bytes]) -> None:
    pages = PageBuffer()
    pages.fill([b"\xff" * 80 * PAGE_BYTES])
    joined = b"".join(parts)

    view = pages.fill(parts)

    assert len(view) == whole_pages(len(joined))
    assert bytes(view) == joined.ljust(len(view), b"\0")


def test_a_page_buffer_begins_where_a_disk_can_read_it() -> None:

    pages = PageBuffer()
    for size in (1, 100 * PAGE_BYTES, 3):
        view = pages.fill([bytes(size)])
        address = ctypes.addressof(ctypes.c_char.from_buffer(view))
        assert address % PAGE_BYTES == 0
