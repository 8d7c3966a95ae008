"""Words: what a text has, what a search asks for, and filters that never deny what is there."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from watchkeeper.errors import BadInput
from watchkeeper.lake.tables.base import TextQuery
from watchkeeper.lake.tables.words import (
    FilterWriter,
    keep_fitting,
    known_words,
    may_know,
    parse_text,
    trace_hashes,
    word_hashes,
    words_of,
)
from watchkeeper.model.row import Texts, texts

lines = st.lists(st.text(alphabet="abAB09 -_.ä\x00\n", max_size=20).map(str.encode), max_size=20)


def fitting(column: Texts, query: TextQuery) -> list[int]:
    rows = np.arange(len(column))
    found: list[int] = keep_fitting(column.data, column.offset, rows, query).tolist()
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", []),
        (b"  ...  ", []),
        (b"Payment REFUSED", [b"payment", b"refused"]),
        (b"order-4711/a_b", [b"order", b"4711", b"a", b"b"]),
        ("größer Ä".encode(), ["größer".encode(), "Ä".encode()]),
        (b"\xff\xfe x", [b"\xff\xfe", b"x"]),
        (b"z{[@`", [b"z"]),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: bytes, words: list[bytes]) -> None:
    found = words_of(text)

    assert found == words


@pytest.mark.parametrize(
    ("text", "contains", "query"),
    [
        ("", "", TextQuery()),
        ("Refused card", "", TextQuery((b"refused", b"card"))),
        ("card card", "", TextQuery((b"card",))),
        ("order-7", "", TextQuery((b"order", b"7"))),
        ('"As It Is" now', "", TextQuery((b"now",), (b"As It Is",))),
        (r'"say \"hi\""', "", TextQuery((), (b'say "hi"',))),
        ("", "pa rt", TextQuery((), (), (b"pa rt",))),
    ],
)
def test_a_text_is_read_as_people_mean_it(text: str, contains: str, query: TextQuery) -> None:
    found = parse_text(text, contains)

    assert found == query
    assert bool(found) == bool(text or contains)


@pytest.mark.parametrize(
    ("text", "says"),
    [("?!", "contains"), ('a "b', "close"), (" ".join(map(str, range(65))), "more than 64")],
)
def test_a_text_that_asks_for_nothing_sound_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_text(text)


def test_filters_are_asked_for_the_words_of_phrases_too() -> None:
    words = known_words(TextQuery((b"a",), (b"B c-d", b"a"), (b"part",)))

    assert words == [b"a", b"b", b"c", b"d"]


def test_filters_are_asked_for_the_words_that_stand_whole_within_a_part() -> None:
    words = known_words(TextQuery(parts=(b"ent Was  refused-by ba", b"part", b" whole ")))

    assert words == [b"was", b"refused", b"by", b"whole"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (TextQuery(words=(b"ab",)), [0, 1]),
        (TextQuery(words=(b"ab", b"cd")), [1]),
        (TextQuery(words=(b"a",)), [4]),
        (TextQuery(phrases=(b"ab",)), [0]),
        (TextQuery(phrases=(b"AB cd",)), [1]),
        (TextQuery(phrases=(b"-",)), [4]),
        (TextQuery(parts=(b"b",)), [0, 2, 4]),
        (TextQuery(parts=(b"abab",)), [2]),
        (TextQuery(parts=(b"longer than any of these lines",)), []),
        (TextQuery(words=(b"ab",), parts=(b"cd",)), [1]),
    ],
)
def test_rows_fit_if_all_that_is_asked_for_is_there(query: TextQuery, found: list[int]) -> None:
    column = texts([b"ab", b"AB cd", b"abab", b"", b"a-b"])

    assert fitting(column, query) == found


def test_a_phrase_is_found_behind_a_place_where_it_only_seemed_to_be() -> None:
    column = texts([b"xab ab", b"aab", b"abx ab", b"abx", b"ab"])

    assert fitting(column, TextQuery(phrases=(b"ab",))) == [0, 2, 4]


def test_a_word_at_the_very_end_of_all_bytes_is_found() -> None:
    column = texts([b"first", b"last"])

    assert fitting(column, TextQuery(words=(b"last",))) == [1]


@given(st.lists(lines, min_size=1, max_size=5))
def test_a_filter_never_denies_a_word_that_is_there(groups: list[list[bytes]]) -> None:
    writer = FilterWriter()
    for group in groups:
        column = texts(group)
        writer.add_words(column.data, column.offset)
    bits, start = writer.arrays()

    for number, group in enumerate(groups):
        words = list(dict.fromkeys(word for line in group for word in words_of(line)))
        assert may_know(bits, start, word_hashes(words))[number] == len(words)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1)), max_size=30))
def test_a_filter_never_denies_a_trace_that_is_there(ids: list[tuple[int, int]]) -> None:
    writer = FilterWriter()
    writer.add_ids(np.array(ids, np.uint64).reshape(-1, 2))
    bits, start = writer.arrays()

    assert may_know(bits, start, trace_hashes(tuple(ids)))[0] == len(ids)


def test_a_filter_mostly_denies_what_is_not_there() -> None:
    writer = FilterWriter()
    column = texts(b"line %d of many" % n for n in range(5000))
    writer.add_words(column.data, column.offset)
    bits, start = writer.arrays()

    absent = word_hashes([b"absent%d" % n for n in range(5000)])

    assert may_know(bits, start, absent)[0] < 5000 * 0.02


def test_a_filter_is_as_large_as_what_it_knows() -> None:
    writer = FilterWriter()
    few, many = texts([b"a b c"] * 1000), texts(b"w%d" % n for n in range(1000))
    writer.add_words(few.data, few.offset)
    writer.add_words(many.data, many.offset)

    bits, start = writer.arrays()

    small, large = np.diff(start).tolist()
    assert small <= 4
    assert 1000 * 8 < large * 64 < 1000 * 32
    assert len(bits) == small + large


def test_rows_without_a_trace_take_no_room_in_a_filter() -> None:
    writer = FilterWriter()
    writer.add_ids(np.zeros((1000, 2), np.uint64))

    bits, _ = writer.arrays()

    assert not bits.any()


def test_no_filters_are_no_bits() -> None:
    bits, start = FilterWriter().arrays()

    assert (len(bits), start.tolist()) == (0, [0])
