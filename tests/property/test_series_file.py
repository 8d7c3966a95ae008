"""Whatever becomes of the catalog's file, what stands before the fault is read as written."""

from __future__ import annotations

import errno
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.disks import Crash, FaultyFiles, UnsyncedFiles
from tests.unit.test_series import HOUR_S, pods, send
from tests.unit.test_series_file import brief, content, left, series
from tests.unit.test_series_history import at, opened, shown
from watchkeeper.errors import Retryable
from watchkeeper.lake.frames import HEAD
from watchkeeper.lake.series_file import Entry, SeriesFile, damage_of

HEAD_BYTES = 16
LENGTH_AT = 16
"""In a frame's header."""

ENTRIES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 50), st.integers(0, 4)).map(lambda drawn: series(*drawn)),
        st.lists(st.integers(0, 99), max_size=4).map(lambda slots: left(*slots)),
    ),
    min_size=1,
    max_size=6,
)


def write(folder: Path, entries: Sequence[Entry]) -> list[int]:
    """The file's size behind each entry."""
    file = SeriesFile(folder, UnsyncedFiles())
    assert list(file.read()) == []
    file.rewrite([])
    sizes = []
    for entry in entries:
        file.append([entry])
        sizes.append((folder / "series.log").stat().st_size)
    file.close()
    return sizes


@given(ENTRIES, st.data())
def test_a_file_cut_anywhere_has_the_entries_before_the_cut_and_goes_on(
    entries: list[Entry], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        sizes = write(folder, entries)
        path = folder / "series.log"
        cut = data.draw(st.integers(HEAD_BYTES, sizes[-1]))
        path.write_bytes(path.read_bytes()[:cut])

        file = SeriesFile(folder, UnsyncedFiles())
        found = brief(list(file.read()))
        file.append([series(70, 2)])
        file.close()

        # A frame's filling is zeroes, so a cut within it costs nothing.
        n_surely = sum(size <= cut for size in sizes)
        assert len(found) in (n_surely, n_surely + 1)
        assert found == brief(entries)[: len(found)]
        assert content(folder) == [*found, ("came", [70, 71])]


@given(ENTRIES, st.data())
def test_a_changed_byte_costs_its_entry_alone(entries: list[Entry], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        begins = [HEAD_BYTES, *write(folder, entries)]
        path = folder / "series.log"
        hit = data.draw(st.integers(0, len(entries) - 1))
        raw = bytearray(path.read_bytes())
        raw[begins[hit] + data.draw(st.integers(0, HEAD.size))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(raw)
        is_torn_tail = hit == len(entries) - 1

        told = [(one.first_position, one.n_positions) for one in damage_of(path)]

        assert told == ([] if is_torn_tail else [(hit, 1)])
        assert content(folder) == brief(entries[:hit] + entries[hit + 1 :])


@given(st.lists(ENTRIES, min_size=2, max_size=4), st.data())
def test_pages_of_the_last_group_that_never_came_to_the_disk_are_no_damage(
    groups: list[list[Entry]], data: st.DataObject
) -> None:
    """Within one group a disk may write a later page and not an earlier one."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        file = SeriesFile(folder, UnsyncedFiles())
        file.rewrite([])
        path = folder / "series.log"
        for group in groups:
            begin = path.stat().st_size
            file.append(group)
        file.close()
        raw = bytearray(path.read_bytes())
        hole = data.draw(st.integers(begin, len(raw) - 1))
        raw[begin : hole + 1] = bytes(hole + 1 - begin)
        path.write_bytes(raw)

        assert damage_of(path) == []
        assert content(folder) == brief([entry for group in groups[:-1] for entry in group])


@given(st.lists(ENTRIES, min_size=1, max_size=3))
def test_what_is_written_anew_replaces_all_of_the_former(texts: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        file = SeriesFile(folder, UnsyncedFiles())
        for entries in texts:
            file.rewrite(entries)
            file.append(entries[:1])
            assert content(folder) == brief([*entries, *entries[:1]])
        file.close()


def test_a_length_that_went_bad_takes_no_memory(tmp_path: Path) -> None:
    """Four gigabytes were asked for, to find that the file has a hundred bytes."""
    write(tmp_path, [left(1, 2, 3)])
    path = tmp_path / "series.log"
    raw = bytearray(path.read_bytes())
    raw[HEAD_BYTES + LENGTH_AT : HEAD_BYTES + LENGTH_AT + 4] = b"\xff" * 4
    path.write_bytes(raw)

    tracemalloc.start()
    found = content(tmp_path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == []
    assert peak_bytes < 10 << 20


@pytest.mark.parametrize("call", ["write", "sync"])
def test_an_append_that_failed_in_the_middle_is_written_over_by_the_next(
    tmp_path: Path, call: str
) -> None:
    files = FaultyFiles()
    file = SeriesFile(tmp_path, files)
    file.rewrite([series(0, 1)])
    files.fail(call, errno.ENOSPC)

    with pytest.raises(Retryable, match=r"series\.log: No space left on device; check free space"):
        file.append([series(1, 3), left(9), series(4, 1)])
    file.append([left(5)])
    file.close()

    assert content(tmp_path) == [("came", [0]), ("left", [5])]


@pytest.mark.parametrize("seed", range(6))
def test_a_loss_of_power_keeps_what_was_appended_before(tmp_path: Path, seed: int) -> None:
    files = FaultyFiles()
    files.chance.seed(seed)
    file = SeriesFile(tmp_path, files)
    file.rewrite([series(0, 1)])
    file.append([left(1)])
    files.fail("sync", errno.EIO)
    with pytest.raises(Retryable):
        file.append([left(2), left(3)])
    file.close()

    files.lose_power()

    found = content(tmp_path)
    assert found[:2] == [("came", [0]), ("left", [1])]
    assert found[2:] in ([], [("left", [2])], [("left", [2]), ("left", [3])])


@pytest.mark.parametrize("call", ["write", "sync", "rename", "sync_folder"])
@pytest.mark.parametrize("seed", range(4))
def test_a_crash_while_writing_anew_leaves_the_former_or_the_new(
    tmp_path: Path, call: str, seed: int
) -> None:
    files = FaultyFiles()
    files.chance.seed(seed)
    file = SeriesFile(tmp_path, files)
    file.rewrite([series(0, 2)])
    files.crash_at(call)

    with pytest.raises(Crash):
        file.rewrite([series(5, 1), left(7)])
    files.lose_power()

    former, fresh = [("came", [0, 1])], [("came", [5]), ("left", [7])]
    assert content(tmp_path) in ([former, fresh] if call == "sync_folder" else [former])


def test_a_file_whose_name_is_in_doubt_is_written_anew_before_it_is_added_to(
    tmp_path: Path,
) -> None:
    """What was appended went into the former file, which had lost its name: it was never read."""
    files = FaultyFiles()
    file = SeriesFile(tmp_path, files)
    file.rewrite([series(0, 2)])
    files.fail("sync_folder", errno.EIO)
    with pytest.raises(Retryable):
        file.rewrite([series(0, 1)])

    assert file.is_bloated(10**9)
    with pytest.raises(Retryable):
        file.append([series(8, 1)])
    file.rewrite([series(0, 1), series(8, 1)])
    file.append([left(8)])
    file.close()

    assert content(tmp_path) == [("came", [0]), ("came", [8]), ("left", [8])]


class BadFolder(UnsyncedFiles):
    """One folder cannot be synced, for a time."""

    bad: Path | None = None

    def sync_folder(self, folder: Path) -> None:
        if folder == self.bad:
            raise OSError(errno.EIO, "Input/output error")


def test_a_catalog_loses_no_series_when_its_file_is_replaced_on_a_bad_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is due to be written anew, the folder cannot be synced, and then many come."""
    monkeypatch.setattr("watchkeeper.lake.series_file._SPARE_ROWS", 10)
    files = BadFolder()
    known = opened(tmp_path, files=files, donor_keep_s=0.0)
    send(known, *pods(100))
    known.persist(at(0))
    known.recycle(at(2), HOUR_S)
    files.bad = tmp_path
    with pytest.raises(Retryable):
        known.persist(at(2))
    files.bad = None

    send(known, *pods(200, batch="next"), after_s=3 * HOUR_S)
    known.persist(at(3))
    known.close()

    assert len(shown(opened(tmp_path, 3))) == 200
