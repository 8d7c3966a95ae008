"""Frames of the log: what was framed is walked, and nothing else is ever taken for a frame."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.lake.files import PAGE_BYTES
from watchkeeper.lake.frames import (
    ALIGNMENT,
    HEAD,
    READ_BYTES,
    Frame,
    frame_group,
    frame_size,
    search,
    walk,
)

SALT = 0xFEED_5EED_0123_4567
PAYLOADS = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(bytes))
GROUPS = st.lists(st.lists(PAYLOADS, min_size=1, max_size=4), min_size=1, max_size=5)


def written(
    groups: Sequence[Sequence[bytes]], *, first: int = 1, page: int = PAGE_BYTES, salt: int = SALT
) -> bytes:
    """Groups as a log writes them, each on pages of its own."""
    content = b""
    position = first
    for group in groups:
        content += b"".join(frame_group(group, position, offset=len(content), salt=salt))
        content += bytes(-len(content) % page)
        position += len(group)
    return content


def walked(
    content: bytes, *, first: int = 1, offset: int = 0, salt: int = SALT, page: int = PAGE_BYTES
) -> list[Frame]:
    def source(at: int, size: int) -> bytearray:
        assert at >= 0
        return bytearray(content[at : at + size])

    return list(walk(source, salt=salt, offset=offset, position=first, group_bytes=page))


def payloads(frames: Sequence[Frame]) -> list[bytes]:
    return [bytes(frame.payload) for frame in frames]


@given(GROUPS, st.integers(0, 2**62), st.sampled_from([ALIGNMENT, PAGE_BYTES]))
def test_what_was_framed_is_walked_in_order(
    groups: list[list[bytes]], first: int, page: int
) -> None:
    content = written(groups, first=first, page=page)

    frames = walked(content, first=first, page=page)

    assert payloads(frames) == [payload for group in groups for payload in group]
    assert [frame.position for frame in frames] == [first + i for i in range(len(frames))]
    assert [frame.left for frame in frames] == [
        left for group in groups for left in reversed(range(len(group)))
    ]
    assert frames[-1].end == len(content)


@given(GROUPS)
def test_every_frame_knows_where_it_and_its_group_begin(groups: list[list[bytes]]) -> None:
    content = written(groups)

    frames = walked(content)

    begins = [0, *(frame.end for frame in frames if not frame.left)]
    n_before = [number for number, group in enumerate(groups) for _ in group]
    assert [frame.group for frame in frames] == [begins[number] for number in n_before]
    for frame in frames:
        assert frame.offset % ALIGNMENT == 0
        assert content[frame.offset + HEAD.size :].startswith(bytes(frame.payload))


@given(GROUPS, st.data())
def test_a_walk_may_begin_at_any_frame(groups: list[list[bytes]], data: st.DataObject) -> None:
    content = written(groups)
    every = walked(content)
    begin = every[data.draw(st.integers(0, len(every) - 1))]

    found = walked(content, first=begin.position, offset=begin.offset)

    assert payloads(found) == payloads(every)[begin.position - 1 :]


@given(GROUPS, st.data())
def test_a_walk_of_a_cut_log_gives_the_whole_frames_before_the_cut(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    content = written(groups)
    every = walked(content)
    cut = data.draw(st.integers(0, len(content)))

    found = walked(content[:cut])

    whole = [frame for frame in every if frame.offset + HEAD.size + len(frame.payload) <= cut]
    assert payloads(found) == payloads(whole)


@given(GROUPS, st.data())
def test_a_changed_bit_ends_a_walk_in_front_of_its_frame(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    content = bytearray(written(groups))
    every = walked(bytes(content))
    hit = every[data.draw(st.integers(0, len(every) - 1))]
    at = hit.offset + data.draw(st.integers(0, HEAD.size + len(hit.payload) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))

    found = walked(bytes(content))

    assert payloads(found) == payloads(every)[: hit.position - 1]


@given(GROUPS, st.integers(0, 2**64 - 1))
def test_another_segments_salt_makes_them_no_frames(groups: list[list[bytes]], salt: int) -> None:
    content = written(groups)

    assert (walked(content, salt=salt) == []) == (salt != SALT)


@given(GROUPS, st.integers(0, 2**62).filter(lambda first: first != 1))
def test_frames_of_another_position_are_not_walked(groups: list[list[bytes]], first: int) -> None:
    assert walked(written(groups), first=first) == []


@given(st.binary(max_size=400), st.integers(0, 5))
def test_junk_holds_no_frames(junk: bytes, first: int) -> None:
    everything = range(1 << 62)

    assert walked(junk, first=first) == []
    assert list(search(junk, salt=SALT, offset=0, positions=everything)) == []


@given(GROUPS, st.data())
def test_a_search_behind_damage_finds_the_frames_that_are_whole(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    content = bytearray(written(groups))
    every = walked(bytes(content))
    bad = every[data.draw(st.integers(0, len(every) - 1))]
    content[bad.offset] ^= 0xFF

    found = list(
        search(content, salt=SALT, offset=bad.offset, positions=range(bad.position, 1 << 62))
    )

    behind = every[bad.position :]
    assert payloads(found) == payloads(behind)
    assert [(one.position, one.offset, one.group, one.left) for one in found] == [
        (one.position, one.offset, one.group, one.left) for one in behind
    ]


@given(GROUPS, st.data())
def test_a_search_finds_positions_of_its_range_alone(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    content = written(groups)
    every = walked(content)
    start = data.draw(st.integers(1, len(every) + 1))
    stop = data.draw(st.integers(start, len(every) + 2))

    found = search(content, salt=SALT, offset=0, positions=range(start, stop))

    assert [frame.position for frame in found] == [
        frame.position for frame in every if start <= frame.position < stop
    ]


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5), st.integers(0, 1 << 20))
def test_sizes_are_known_before_anything_is_written(group: list[bytes], page: int) -> None:
    parts = frame_group(group, 7, offset=page * PAGE_BYTES, salt=SALT)

    size = sum(map(len, parts))

    assert size == sum(frame_size(len(payload)) for payload in group)
    assert size % ALIGNMENT == 0


def test_frames_longer_than_what_is_read_at_once_are_read_whole() -> None:
    sizes = [READ_BYTES - HEAD.size - 1, 10, 3 * READ_BYTES + 5, 0, READ_BYTES]
    groups = [[bytes([number]) * size] for number, size in enumerate(sizes)]
    reads: list[int] = []
    content = written(groups)

    def source(at: int, size: int) -> bytearray:
        reads.append(size)
        return bytearray(content[at : at + size])

    frames = list(walk(source, salt=SALT, offset=0, position=1, group_bytes=PAGE_BYTES))

    assert payloads(frames) == [group[0] for group in groups]
    assert max(reads) == frame_size(max(sizes)), "memory is bounded by the longest frame"


def test_an_announced_length_beyond_the_log_is_no_frame() -> None:
    content = bytearray(written([[b"a"]]))
    content[16:20] = b"\xff\xff\xff\xff"

    assert walked(bytes(content)) == []


def test_payloads_stay_as_they_were_while_the_walk_goes_on() -> None:
    groups = [[bytes([n]) * (READ_BYTES // 3)] for n in range(10)]

    frames = walked(written(groups))

    assert payloads(frames) == [group[0] for group in groups]
    frames[0].payload[0] = 99
    assert bytes(frames[1].payload) == groups[1][0]
