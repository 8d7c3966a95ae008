"""One file of the log: its name, where its records end, and reading past damage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from watchkeeper.lake.files import PAGE_BYTES
from watchkeeper.lake.frames import HEAD, frame_group, frame_size
from watchkeeper.lake.log_segment import ANY_POSITION, MARK_BYTES, Damage, LogSegment

SALT = 0xABCDEF
FIRST = 100


def segment(
    folder: Path, *groups: Sequence[bytes], room: int = 0, first: int = FIRST
) -> LogSegment:
    """A file of groups, each on pages of its own, and room behind them."""
    content, position = b"", first
    for group in groups:
        content += b"".join(frame_group(group, position, offset=len(content), salt=SALT))
        content += bytes(-len(content) % PAGE_BYTES)
        position += len(group)
    named = LogSegment.named(folder, 7, first, SALT)
    named.path.write_bytes(content + bytes(room))
    found = LogSegment.found(named.path)
    assert found is not None
    return found


class Told:
    """What was told of damage."""

    def __init__(self) -> None:
        self.damage: list[Damage] = []
        self.content: list[bytes] = []

    def __call__(self, _segment: LogSegment, damage: Damage, content: memoryview) -> None:
        self.damage.append(damage)
        self.content.append(bytes(content))


def read(
    one: LogSegment, wanted: int = FIRST, stop: int = FIRST + 99, told: Told | None = None
) -> dict[int, bytes]:
    frames = one.frames(wanted, stop, told or Told())
    return {frame.position: bytes(frame.payload) for frame in frames}


def end(one: LogSegment) -> tuple[int, int, bool, Told]:
    told = Told()
    return (*one.end(told), told)


def spoil(one: LogSegment, offset: int, size: int = 1) -> None:
    content = bytearray(one.path.read_bytes())
    content[offset : offset + size] = bytes(byte ^ 0xFF for byte in content[offset : offset + size])
    one.path.write_bytes(content)


# Names


def test_a_name_says_all_that_is_needed_to_read_the_file(tmp_path: Path) -> None:
    made = LogSegment.named(tmp_path, 255, 2**62, 2**64 - 1)
    made.path.write_bytes(bytes(10))

    found = LogSegment.found(made.path)

    assert found is not None
    assert (found.serial, found.first, found.salt) == (255, 2**62, 2**64 - 1)
    assert found.size_bytes == 10


def test_names_sort_as_their_serial_numbers_do(tmp_path: Path) -> None:
    numbers = [1, 9, 10, 15, 16, 255, 256, 2**31]

    names = [LogSegment.named(tmp_path, number, 1, 0).path.name for number in numbers]

    assert names == sorted(names)


@pytest.mark.parametrize(
    "name",
    [
        "00000001-0000000000000000001-0000000000000000.log.new",
        "0000001-0000000000000000001-0000000000000000.log",
        "00000001-000000000000000001-0000000000000000.log",
        "0000000G-0000000000000000001-0000000000000000.log",
        "x00000001-0000000000000000001-0000000000000000.log",
        "next.spare",
        "lock",
    ],
)
def test_other_names_are_none_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")

    assert LogSegment.found(tmp_path / name) is None


# Reading


def test_a_stretch_of_positions_is_read(tmp_path: Path) -> None:
    one = segment(tmp_path, [b"a", b"b"], [b"c"], [b"d", b"e"])
    every = {FIRST + i: bytes([b"abcde"[i]]) for i in range(5)}

    for wanted in range(FIRST, FIRST + 6):
        for stop in range(wanted - 1, FIRST + 5):
            want = {p: payload for p, payload in every.items() if wanted <= p <= stop}
            assert read(one, wanted, stop) == want


def test_what_lies_behind_the_last_position_is_not_told_of(tmp_path: Path) -> None:
    """A segment that was left behind still holds the group whose sync failed."""
    one = segment(tmp_path, [b"a"], [b"refused"])
    spoil(one, PAGE_BYTES)
    told = Told()

    assert read(one, FIRST, FIRST, told) == {FIRST: b"a"}
    assert told.damage == []


def test_a_frame_that_is_bad_is_told_of_and_stepped_over(tmp_path: Path) -> None:
    one = segment(tmp_path, [b"a"], [b"b", b"c"], [b"d"])
    spoil(one, PAGE_BYTES + HEAD.size)
    told = Told()

    assert read(one, stop=FIRST + 3, told=told) == {FIRST: b"a", FIRST + 2: b"c", FIRST + 3: b"d"}

    size = frame_size(1)
    assert told.damage == [Damage(one.path.name, PAGE_BYTES, size, FIRST + 1, 1)]
    assert told.content == [one.path.read_bytes()[PAGE_BYTES : PAGE_BYTES + size]]


def test_stretches_of_damage_are_told_of_one_by_one(tmp_path: Path) -> None:
    one = segment(tmp_path, *([bytes([n])] for n in range(10)))
    for n in (0, 3, 4, 9):
        spoil(one, n * PAGE_BYTES, 8)
    told = Told()

    found = read(one, stop=FIRST + 9, told=told)

    assert sorted(found) == [FIRST + n for n in (1, 2, 5, 6, 7, 8)]
    assert [(one.offset // PAGE_BYTES, one.n_positions) for one in told.damage] == [
        (0, 1), (3, 2), (9, 1),
    ]  # fmt: skip


def test_damage_that_reaches_the_end_costs_all_positions_up_to_there(tmp_path: Path) -> None:
    one = segment(tmp_path, [b"a"], [b"b"], [b"c"])
    one.path.write_bytes(one.path.read_bytes()[:PAGE_BYTES])
    told = Told()

    assert read(one, stop=FIRST + 7, told=told) == {FIRST: b"a"}
    assert [(lost.first_position, lost.n_positions) for lost in told.damage] == [(FIRST + 1, 7)]


def test_reading_late_does_not_tell_of_damage_that_lies_before(tmp_path: Path) -> None:
    """The first reader remembers where records are, so the next one begins close by."""
    payload = bytes(MARK_BYTES // 2)
    one = segment(tmp_path, *([payload] for _ in range(8)))
    read(one, stop=FIRST + 7)
    spoil(one, 0)
    told = Told()

    assert list(read(one, wanted=FIRST + 6, stop=FIRST + 7, told=told)) == [FIRST + 6, FIRST + 7]
    assert told.damage == []


@pytest.mark.parametrize("wanted", range(FIRST, FIRST + 10))
def test_a_mark_of_the_writer_is_where_reading_may_begin(tmp_path: Path, wanted: int) -> None:
    payload = bytes(MARK_BYTES // 3)
    one = segment(tmp_path, *([payload] for _ in range(10)))
    whole = -(-frame_size(len(payload)) // PAGE_BYTES) * PAGE_BYTES
    for n in (2, 5, 8):
        one.mark(FIRST + n, n * whole)

    assert list(read(one, wanted, FIRST + 9)) == list(range(wanted, FIRST + 10))


# The end of the segment that was being written


@pytest.mark.parametrize("room", [0, PAGE_BYTES, 5 * PAGE_BYTES])
def test_a_segment_ends_with_its_last_whole_group(tmp_path: Path, room: int) -> None:
    one = segment(tmp_path, [b"a", b"b"], [b"c"], room=room)

    last, offset, is_clean, told = end(one)

    assert (last, offset, is_clean, told.damage) == (FIRST + 2, 2 * PAGE_BYTES, True, [])


def test_an_empty_segment_ends_before_its_first_record(tmp_path: Path) -> None:
    assert end(segment(tmp_path, room=3 * PAGE_BYTES))[:3] == (FIRST - 1, 0, True)


@pytest.mark.parametrize("bad", ["first", "second", "last"])
def test_a_last_group_that_is_not_whole_is_a_torn_tail(tmp_path: Path, bad: str) -> None:
    one = segment(tmp_path, [b"kept"], [b"x", b"y", b"z"], room=PAGE_BYTES)
    number = ["first", "second", "last"].index(bad)
    spoil(one, PAGE_BYTES + number * frame_size(1) + HEAD.size)

    last, offset, is_clean, told = end(one)

    assert (last, offset, is_clean) == (FIRST, PAGE_BYTES, False)
    assert told.damage == []


def test_a_bad_group_in_front_of_a_later_one_is_damage(tmp_path: Path) -> None:
    """Nothing is written behind a group before that group is synced."""
    one = segment(tmp_path, [b"kept"], [b"x", b"y"], [b"later"])
    spoil(one, PAGE_BYTES + HEAD.size)

    last, offset, is_clean, told = end(one)

    assert (last, offset, is_clean) == (FIRST + 3, 3 * PAGE_BYTES, True)
    assert [(lost.first_position, lost.n_positions) for lost in told.damage] == [(FIRST + 1, 1)]


def test_damage_and_a_torn_tail_are_told_apart(tmp_path: Path) -> None:
    one = segment(tmp_path, [b"a"], [b"bad"], [b"c"], [b"torn", b"tail"])
    spoil(one, PAGE_BYTES)
    spoil(one, 3 * PAGE_BYTES + frame_size(4) + HEAD.size)

    last, offset, is_clean, told = end(one)

    assert (last, offset, is_clean) == (FIRST + 2, 3 * PAGE_BYTES, False)
    assert len(told.damage) == 1


def test_bytes_behind_the_end_are_not_blank(tmp_path: Path) -> None:
    one = segment(tmp_path, [b"a"], room=2 * PAGE_BYTES)
    spoil(one, 3 * PAGE_BYTES - 1)

    assert end(one)[:3] == (FIRST, PAGE_BYTES, False)


def test_records_of_a_former_segment_behind_the_end_are_none_of_this_one(tmp_path: Path) -> None:
    """A file system may hand out blocks with old content; the salt tells whose they are."""
    one = segment(tmp_path, [b"a"])
    other = b"".join(frame_group([b"old"], FIRST + 1, offset=PAGE_BYTES, salt=SALT + 1))
    one.path.write_bytes(one.path.read_bytes() + other)

    assert end(one)[:2] == (FIRST, PAGE_BYTES)
    assert read(one, stop=FIRST) == {FIRST: b"a"}


def test_finding_the_end_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    one = segment(tmp_path, [b"a"], [b"b", b"c"])
    spoil(one, PAGE_BYTES)
    before = one.path.read_bytes()

    end(one)

    assert one.path.read_bytes() == before
    assert ANY_POSITION > 2**61
