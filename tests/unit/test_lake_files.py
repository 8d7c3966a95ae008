"""The lake's small parts on disk: the manifest, sidecars, open files, heads written out."""

from __future__ import annotations

import errno
import gc
import json
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests import disks, lakes, make
from tests.lakes import DAY, HOUR, NOON, S
from tests.unit.test_segment import block, identities, info
from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.flush import write_segments
from watchkeeper.lake.head import Head, SortedRows
from watchkeeper.lake.keeping import manifest as manifests
from watchkeeper.lake.keeping.manifest import FILE_NAME, SEGMENTS
from watchkeeper.lake.library import Library
from watchkeeper.lake.manifest import Manifest, SegmentInfo, load
from watchkeeper.lake.segment import Segment, SegmentWriter
from watchkeeper.lake.sidecar import map_arrays, write_arrays

# The manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / SEGMENTS).mkdir()
    return tmp_path


def shaped(number: int, **fields: Any) -> SegmentInfo:
    return msgspec.structs.replace(info(number), **fields)


def test_a_manifest_comes_back_as_it_was_saved(folder: Path) -> None:
    added = (shaped(3, window=-1, has_raw=False, has_cells=True), shaped(1, n_rows=7))
    saved = Manifest(window_ns=DAY).changed(added=added).up_to(2**62, 5)

    manifests.save(lakes.Unsynced(), folder, saved)

    assert load(folder, 5) == saved, "windows are those it was made with"


def test_a_folder_without_a_manifest_is_an_empty_lake(folder: Path) -> None:
    assert load(folder, DAY) == Manifest(window_ns=DAY)


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "\xff"}', b'{"stored": -1.5}', b"[]"])
def test_a_damaged_manifest_is_told_with_the_remedy(folder: Path, content: bytes) -> None:
    (folder / FILE_NAME).write_bytes(content)

    with pytest.raises(Permanent, match=f"{FILE_NAME} is damaged .*; restore it from a backup"):
        load(folder, DAY)


def test_segments_stand_by_window_and_then_by_arrival() -> None:
    added = [shaped(n, window=w, order=o) for n, w, o in [(1, 2, 9), (2, 1, 8), (3, 2, 4)]]

    manifest = Manifest().changed(added=tuple(added))

    assert [one.id for one in manifest.segments] == [2, 3, 1]


def test_what_is_merged_takes_the_place_of_its_parts() -> None:
    before = Manifest(stored=9).changed(added=tuple(shaped(n) for n in (1, 2, 3)))

    after = before.changed(added=(shaped(4, order=1),), removed=frozenset({1, 2}))

    assert [one.id for one in after.segments] == [4, 3]
    assert after.stored == 9, "only what is written out moves it"
    assert (before.next_id, after.next_id) == (4, 5)


@pytest.mark.parametrize(
    ("fields", "suffixes"),
    [
        ({}, [".index", ".parquet"]),
        ({"has_cells": True}, [".index", ".parquet", ".5m.parquet", ".5m.index"]),
        ({"has_cells": True, "has_raw": False}, [".index", ".5m.parquet", ".5m.index"]),
    ],
)
def test_a_segment_names_the_files_that_it_has(fields: Any, suffixes: list[str]) -> None:
    assert shaped(42, **fields).names == [f"00000042{suffix}" for suffix in suffixes]


def test_what_no_manifest_names_is_removed_and_nothing_else(folder: Path) -> None:
    kept = shaped(1, has_cells=True)
    for one in (kept, shaped(2)):
        for name in one.names:
            (folder / SEGMENTS / name).write_bytes(b"")
    (folder / SEGMENTS / "manifest.json.new").write_bytes(b"")
    manifest = Manifest().changed(added=(kept,))

    n_removed = manifests.remove_orphans(lakes.Unsynced(), folder, manifest)

    assert n_removed == 3
    assert {path.name for path in (folder / SEGMENTS).iterdir()} == set(kept.names)


def test_names_of_segments_are_durable_before_the_manifest_says_them(folder: Path) -> None:
    files = disks.FaultyFiles()

    manifests.save(files, folder, Manifest())

    assert files.calls == ["sync_folder", "write", "sync", "sync_folder"]


@pytest.mark.parametrize("call", ["sync_folder", "write", "sync"])
def test_a_manifest_that_cannot_be_saved_leaves_the_former(folder: Path, call: str) -> None:
    files, former = disks.FaultyFiles(), Manifest(stored=1)
    manifests.save(lakes.Unsynced(), folder, former)
    files.fail(call, errno.ENOSPC)

    with pytest.raises(OSError, match="No space"):
        manifests.save(files, folder, Manifest(stored=2))

    assert load(folder, 0) == former


def test_a_manifest_of_another_release_names_the_remedy(folder: Path) -> None:
    text = json.dumps({"version": 99})
    (folder / FILE_NAME).write_text(text)

    with pytest.raises(Permanent, match="of version 99, this program reads 1; run the version"):
        load(folder, 0)


def test_a_manifest_with_fields_of_a_later_release_of_its_version_is_read(folder: Path) -> None:
    manifests.save(lakes.Unsynced(), folder, Manifest(stored=4))
    content = json.loads((folder / FILE_NAME).read_bytes())
    (folder / FILE_NAME).write_text(json.dumps({**content, "later": [1, 2]}))

    assert load(folder, 0).stored == 4


# Sidecars


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5),
        np.array([], np.uint8),
        np.arange(12, dtype=np.uint64).reshape(6, 2),
        np.arange(12).reshape(6, 2)[:, 1],
        np.array([1.5, np.nan]),
        np.empty((0, 4), np.int64),
        np.arange(1000, dtype=np.uint8),
    ],
    ids=["numbers", "none", "rows", "a strided column", "doubles", "no rows", "bytes"],
)
def test_arrays_come_back_whatever_their_shape(tmp_path: Path, array: Any) -> None:
    arrays = {"before": np.arange(3, dtype=np.uint8), "it": array, "after": np.array([-1])}

    size = write_arrays(lakes.Unsynced(), tmp_path / "a", arrays)

    found = map_arrays(tmp_path / "a")
    assert size == (tmp_path / "a").stat().st_size
    assert list(found) == list(arrays)
    for name, want in arrays.items():
        assert (found[name].dtype, found[name].shape) == (want.dtype, want.shape)
        assert found[name].tobytes() == want.tobytes()


def test_mapped_arrays_cannot_be_written_to_and_are_aligned(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"x": np.arange(3, dtype=np.uint8), "y": np.arange(9)}
    write_arrays(lakes.Unsynced(), tmp_path / "a", arrays)

    for array in map_arrays(tmp_path / "a").values():
        assert not array.flags.writeable
        assert array.ctypes.data % 64 == 0


def test_mapped_arrays_outlive_the_name_of_their_file(tmp_path: Path) -> None:
    write_arrays(lakes.Unsynced(), tmp_path / "a", {"x": np.arange(10_000)})
    array = map_arrays(tmp_path / "a")["x"]

    (tmp_path / "a").unlink()
    gc.collect()

    assert int(array.sum()) == 49_995_000


@pytest.mark.parametrize("part", range(12))
def test_a_changed_byte_anywhere_spoils_a_sidecar(tmp_path: Path, part: int) -> None:
    path = tmp_path / "a"
    size = write_arrays(lakes.Unsynced(), path, {"x": np.arange(40), "y": np.arange(3)})
    content = bytearray(path.read_bytes())
    content[(size - 1) * part // 11] ^= 0x20
    path.write_bytes(content)

    with pytest.raises(Permanent, match=f"{path} is damaged or of another version; restore"):
        map_arrays(path)


@pytest.mark.parametrize("left", [0, 7, 23, 24, 64, 200])
def test_a_sidecar_cut_short_is_spoilt(tmp_path: Path, left: int) -> None:
    path = tmp_path / "a"
    write_arrays(lakes.Unsynced(), path, {"x": np.arange(40)})
    path.write_bytes(path.read_bytes()[:left])

    with pytest.raises(Permanent, match="is damaged"):
        map_arrays(path)


# Open files


@pytest.fixture
def written(tmp_path: Path) -> list[SegmentInfo]:
    infos = []
    for number in range(1, 7):
        writer = SegmentWriter(lakes.Unsynced(), tmp_path, info(number), 1_000_000)
        writer.add(block([number]))
        infos.append(writer.finish())
    return infos


def test_the_least_used_file_is_closed_first(tmp_path: Path, written: list[SegmentInfo]) -> None:
    infos, library = written, Library(tmp_path, limit=3)
    first, second, third = (library.segment(one) for one in infos[:3])
    assert library.segment(infos[0]) is first

    library.segment(infos[3])

    assert library.segment(infos[0]) is first
    assert library.segment(infos[2]) is third
    assert library.segment(infos[1]) is not second


def test_a_file_that_is_about_to_go_is_opened_afresh(
    tmp_path: Path, written: list[SegmentInfo]
) -> None:
    """Its name may come to mean something else, as when retention takes the samples alone."""
    infos, library = written, Library(tmp_path, limit=9)
    with_samples = library.segment(infos[0])
    library.forget(infos[0])

    without = library.segment(msgspec.structs.replace(infos[0], has_raw=False))

    assert library.segment(infos[0]) is not with_samples
    place = without.find(identities(1))
    assert place.tolist() == [0]
    assert len(without.read(place, 0, 2 * NOON)) == 0
    assert len(with_samples.read(place, 0, 2 * NOON)) == 1, "who holds it may read on"


def test_a_segment_without_samples_is_another_than_one_with(
    tmp_path: Path, written: list[SegmentInfo]
) -> None:
    infos, library = written, Library(tmp_path, limit=9)
    with_samples = library.segment(infos[2])

    without = library.segment(msgspec.structs.replace(infos[2], has_raw=False))

    assert without is not with_samples
    assert library.segment(infos[2]) is with_samples


def test_a_file_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, written: list[SegmentInfo]
) -> None:
    infos, library = written, Library(tmp_path, limit=9)
    path = tmp_path / infos[0].index_name
    content = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(Permanent):
        library.segment(infos[0])

    path.write_bytes(content)

    assert library.segment(infos[0]).info == infos[0]


# A head written out


def sealed(*rows: tuple[int, int, float]) -> SortedRows:
    catalog = lakes.fleet(8)
    head = Head(1, rows=100, slots=8)
    head.append(make.samples(*rows), 0, catalog.identity)
    return head.sorted_rows()


def flushed(folder: Path, rows: SortedRows, files: Files | None = None) -> tuple[SegmentInfo, ...]:
    numbers = count(5)
    return write_segments(
        files or lakes.Unsynced(), folder, rows, window_ns=HOUR, number=lambda: next(numbers)
    )


def test_each_window_gets_a_segment_of_its_own(tmp_path: Path) -> None:
    times = [NOON - 1, NOON, NOON + HOUR - 1, NOON + HOUR, NOON + 9 * HOUR]
    rows = sealed(*[(slot, t, 1.0) for t in times for slot in (0, 1)], (3, NOON + S, 2.0))

    infos = flushed(tmp_path, rows)

    assert [one.window - NOON // HOUR for one in infos] == [-1, 0, 1, 9]
    assert [(one.n_rows, one.n_series) for one in infos] == [(2, 2), (5, 3), (2, 2), (2, 2)]
    assert [one.id for one in infos] == [one.order for one in infos] == [5, 6, 7, 8]
    for one in infos:
        assert one.start_ns // HOUR == one.end_ns // HOUR == one.window
        runs = Segment(tmp_path, one).read(np.arange(one.n_series), 0, 2 * NOON)
        assert len(runs) == one.n_rows


def test_windows_before_the_epoch_are_windows(tmp_path: Path) -> None:
    infos = flushed(tmp_path, sealed((0, -1, 1.0), (0, -HOUR, 2.0), (0, -HOUR - 1, 3.0)))

    assert [(one.window, one.n_rows) for one in infos] == [(-2, 1), (-1, 2)]


@pytest.mark.parametrize("call", ["create", "write", "sync"])
@pytest.mark.parametrize("n_before", range(6))
def test_a_fault_in_any_window_leaves_no_file(tmp_path: Path, call: str, n_before: int) -> None:
    rows = [(slot, NOON + w * HOUR, 1.0) for slot in range(3) for w in range(3)]
    clean = disks.FaultyFiles()
    flushed(tmp_path, sealed(*rows), clean)
    for path in tmp_path.iterdir():
        path.unlink()
    n_calls = clean.calls.count(call)
    faulty = FailsAt(call, min(n_before, n_calls - 1))

    with pytest.raises(OSError, match="Input/output"):
        flushed(tmp_path, sealed(*rows), faulty)

    assert list(tmp_path.iterdir()) == []


class FailsAt(disks.FaultyFiles):
    """The call of a name fails when it was made so many times."""

    def __init__(self, call: str, n_before: int) -> None:
        super().__init__()
        self._call, self._n_before = call, n_before

    def _enter(self, call: str) -> None:
        if call == self._call and self.calls.count(call) == self._n_before:
            self.fail(call, errno.EIO)
        super()._enter(call)
