"""Whatever bytes of the log go bad: it costs the records that they are in, and says so."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.disks import Inline, UnsyncedFiles
from watchkeeper.lake.files import PAGE_BYTES
from watchkeeper.lake.frames import HEAD, frame_size
from watchkeeper.lake.log_segment import LogSegment
from watchkeeper.lake.wal import WalConfig, WriteAheadLog

CONFIG = WalConfig(segment_bytes=4 * PAGE_BYTES, limit_bytes=1 << 24)
GROUPS = st.lists(
    st.lists(st.sampled_from([0, 3, 100, 2000, 9000]), min_size=1, max_size=4),
    min_size=2,
    max_size=9,
)
"""Sizes of records, group by group."""

Places = dict[int, tuple[Path, int]]
"""Position -> its frame's file and offset."""


@contextmanager
def opened(folder: Path) -> Iterator[WriteAheadLog]:
    log = WriteAheadLog(folder, CONFIG, files=UnsyncedFiles(), executor=Inline())
    try:
        yield log
    finally:
        log.close()


def payload(position: int, size: int) -> bytes:
    return bytes([position % 251]) * size


def write(folder: Path, groups: list[list[int]]) -> dict[int, bytes]:
    records: dict[int, bytes] = {}
    with opened(folder) as log:
        for sizes in groups:
            first = len(records) + 1
            group = [payload(first + i, size) for i, size in enumerate(sizes)]
            assert log.append(group) == len(records) + len(group)
            records.update(enumerate(group, first))
    return records


def places(folder: Path, n: int) -> Places:
    """Where the records are, found by reading."""
    segments = [LogSegment.found(path) for path in sorted(folder.glob("*.log"))]
    found: Places = {}
    for segment in segments:
        assert segment is not None
        for frame in segment.frames(segment.first, n, lambda *_: None):
            found.setdefault(frame.position, (segment.path, frame.offset))
    return found


def spoil(path: Path, offset: int, mask: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def read(log: WriteAheadLog, after: int = 0) -> dict[int, bytes]:
    return {position: bytes(found) for position, found in log.read(after)}


@given(GROUPS, st.data())
def test_a_record_is_lost_only_if_one_of_its_own_bytes_went_bad(
    groups: list[list[int]], data: st.DataObject
) -> None:
    """All but the last group: damage there cannot be told from a write that was cut short."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        records = write(folder, groups)
        where = places(folder, len(records))
        safe = len(records) - len(groups[-1])
        hit = data.draw(st.sets(st.integers(1, safe), max_size=4))
        for position in hit:
            path, offset = where[position]
            at = data.draw(st.integers(0, HEAD.size + len(records[position]) - 1))
            spoil(path, offset + at, data.draw(st.integers(1, 255)))

        with opened(folder) as log:
            assert log.last == len(records)
            assert read(log) == {p: found for p, found in records.items() if p not in hit}
            lost = [p for one in log.damage for p in range(
                one.first_position, one.first_position + one.n_positions)]  # fmt: skip
            assert sorted(lost) == sorted(hit)
            assert log.append([b"next"]) == len(records) + 1
            assert read(log, after=len(records)) == {len(records) + 1: b"next"}


@given(GROUPS, st.data())
def test_a_log_that_ends_early_has_whole_groups_and_goes_on(
    groups: list[list[int]], data: st.DataObject
) -> None:
    """The file that was being written is cut anywhere, as by a file system that lost its end."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        records = write(folder, groups)
        where = places(folder, len(records))
        path = max(folder.glob("*.log"))
        cut = data.draw(st.integers(0, path.stat().st_size))
        path.write_bytes(path.read_bytes()[:cut])

        with opened(folder) as log:
            ends, n = [], 0
            for sizes in groups:
                n += len(sizes)
                ends.append(n)
            whole = [
                end
                for end in ends
                if where[end][0] != path or where[end][1] + frame_whole(records[end]) <= cut
            ]
            last = max(whole, default=0)
            assert log.last == last
            assert read(log) == {p: found for p, found in records.items() if p <= last}
            assert log.damage == ()
            assert log.append([b"next"]) == last + 1


def frame_whole(record: bytes) -> int:
    """Bytes of a frame that count; the filling behind them does not."""
    assert frame_size(len(record)) >= HEAD.size + len(record)
    return HEAD.size + len(record)


@given(GROUPS, st.data())
def test_pages_of_zeroes_cost_the_groups_that_they_were_in(
    groups: list[list[int]], data: st.DataObject
) -> None:
    """As a disk gives back pages that it lost."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        records = write(folder, groups)
        where = places(folder, len(records))
        group = data.draw(st.integers(0, len(groups) - 2))
        first = 1 + sum(map(len, groups[:group]))
        path, offset = where[first]
        with path.open("r+b") as file:
            file.seek(offset // PAGE_BYTES * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))

        with opened(folder) as log:
            found = read(log)
            members = set(range(first, first + len(groups[group])))
            assert records.items() >= found.items()
            assert records.keys() - found.keys() <= members
            assert first not in found
            assert log.last == len(records)
            again = read(log)
        assert again == found
