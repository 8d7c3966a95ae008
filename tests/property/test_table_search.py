"""Searching rows: whatever is asked, wherever rows are, a slow scan finds the same."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests import make
from tests.tables import CASES, NOON, ORIGINS, Case, everything, rows
from watchkeeper.errors import BadInput
from watchkeeper.lake.tables.base import RowQuery
from watchkeeper.lake.tables.table import DiskTable
from watchkeeper.lake.tables.words import parse_text, words_of
from watchkeeper.model.row import texts
from watchkeeper.model.series import Entity, Matcher, MatchOp
from watchkeeper.model.signal import LogBatch, RowBatch

LINES = st.lists(
    st.sampled_from(
        ["Order", "order", "ORDERS", "4711", "a-b", "a b", "größer", "_", "timeout", '"x"', "or"]
    ),
    max_size=5,
).map(" ".join)
WORDS = st.sampled_from(["order", "ORDER", "4711", "b", "größer", "timeout", "x", "or", "absent"])

matchers = st.builds(
    Matcher,
    st.sampled_from(["service", "host", "code", "environment", "owner"]),
    st.sampled_from(MatchOp),
    st.sampled_from(["", "shop", "a", "1", "2", ".*", "s.*|b.*", "of the row"]),
)


def fits(text: bytes, words: list[str], phrases: list[str], parts: list[str]) -> bool:
    """By the definition: whole words in whichever case, and phrases where words begin and end."""
    ascii_low = text.lower()
    known = re.split(rb"[^0-9A-Za-z\x80-\xff]+", ascii_low)
    return (
        all(word in known for one in words for word in _split(one))
        and all(_has_phrase(text, one.encode()) for one in phrases)
        and all(part.encode() in text for part in parts)
    )


def _split(word: str) -> list[bytes]:
    return [one for one in re.split(rb"[^0-9a-z\x80-\xff]+", word.encode().lower()) if one]


def _has_phrase(text: bytes, phrase: bytes) -> bool:
    edge = rb"[0-9A-Za-z\x80-\xff]"
    before = rb"(?<!" + edge + rb")" if re.match(edge, phrase) else b""
    after = rb"(?!" + edge + rb")" if re.match(edge, phrase[-1:]) else b""
    return re.search(before + re.escape(phrase) + after, text) is not None


def told(entity: Entity, labels: Any, attributes: bytes, name: str) -> str:
    """How a name is looked up: entity, then labels, then the row."""
    of_entity = {"service": entity.service, "environment": entity.environment,
                 "owner": entity.owner}.get(name, "")  # fmt: skip
    of_row = json.loads(attributes).get(name, "") if attributes else ""
    return of_entity or dict(labels).get(name, "") or of_row


def holds(matcher: Matcher, value: str) -> bool:
    if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
        return (value == matcher.value) == (matcher.op is MatchOp.EQUAL)
    return bool(re.fullmatch(matcher.value, value)) == (matcher.op is MatchOp.REGEX)


def scan(batches: list[Any], time: str, keep: Callable[[Any, int], bool]) -> list[Any]:
    """Every row that is kept, newest first."""
    found: list[tuple[int, int, Any]] = []
    for batch in batches:
        said = rows(batch)
        for i in range(len(batch)):
            if keep(batch, i):
                found.append((int(getattr(batch, time)[i]), len(found), said[i]))
    return [row for _, _, row in sorted(found, key=lambda one: one[:2], reverse=True)]


def spread(table: DiskTable[Any], batches: list[Any], flushed: list[bool]) -> None:
    """Some in memory, some in files, some merged."""
    for position, (batch, flush) in enumerate(zip(batches, flushed, strict=True), 1):
        table.append(batch, position)
        if flush:
            table.maintain(NOON, everything=True)


def lines(text: list[str], seed: int) -> LogBatch:
    case = CASES[0]
    times = (NOON + np.random.default_rng(seed).integers(0, 5, len(text))).tolist()
    made: LogBatch = case.batch(*times, seed=seed)
    return replace(made, body=texts(one.encode() for one in text))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.lists(LINES, max_size=8), st.booleans()), min_size=1, max_size=5),
    st.lists(WORDS, max_size=2),
    st.lists(
        st.sampled_from(["a b", "a-b", "order 4711", "Order", "_", "4711 timeout"]), max_size=1
    ),
    st.sampled_from(["", "rder", "a-", "ß", "zzz", "o", "4711 a", "r a b", "order order", "\x00"]),
    st.integers(1, 9),
)
def test_text_finds_what_a_scan_finds(
    several: list[tuple[list[str], bool]],
    words: list[str],
    phrases: list[str],
    part: str,
    limit: int,
) -> None:
    batches = [lines(text, seed) for seed, (text, _) in enumerate(several)]
    text = " ".join([*words, *(f'"{phrase}"' for phrase in phrases)])

    with tempfile.TemporaryDirectory() as folder:
        table = CASES[0].open(Path(folder))
        spread(table, batches, [flush for _, flush in several])
        found = table.search(everything(text=parse_text(text, part), limit=limit))

    parts = [part] if part else []
    want = scan(batches, "time_ns", lambda b, i: fits(b.body[i], words, phrases, parts))
    assert rows(found.batch) == want[:limit]
    assert (found.cursor is None) == (len(want) <= limit)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=5),
    st.lists(matchers, max_size=2),
    st.tuples(st.integers(0, 4), st.integers(0, 4)) | st.none(),
    st.booleans(),
    st.data(),
)
def test_conditions_find_what_a_scan_finds(
    case: Case,
    several: list[tuple[int, bool]],
    asked: list[Matcher],
    trace: tuple[int, int] | None,
    is_range: bool,
    data: st.DataObject,
) -> None:
    batches = [case.batch(*range(NOON, NOON + n), seed=i) for i, (n, _) in enumerate(several)]
    column = data.draw(st.sampled_from(case.definition.ranged))
    values = [int(v) for batch in batches for v in getattr(batch, column).tolist()] or [0]
    low, high = sorted((data.draw(st.sampled_from(values)), data.draw(st.sampled_from(values))))

    with tempfile.TemporaryDirectory() as folder:
        table = case.open(Path(folder))
        spread(table, batches, [flush for _, flush in several])
        query = everything(
            matchers=tuple(asked),
            between={column: (low, high)} if is_range else {},
            among={} if is_range else {column: (high, low)},
            traces=() if trace is None else (trace,),
        )
        found = table.search(query)

    def keep(batch: RowBatch, i: int) -> bool:
        origin = batch.origins[batch.origin[i]]
        return (
            (low <= int(getattr(batch, column)[i]) <= high)
            and (is_range or int(getattr(batch, column)[i]) in (low, high))
            and (trace is None or tuple(batch.trace[i].tolist()) == trace)
            and all(
                holds(m, told(origin.entity, origin.labels, batch.attributes[i], m.name))
                for m in asked
            )
        )

    assert rows(found.batch) == scan(batches, case.definition.time, keep)


@given(st.lists(st.text(alphabet="abcXYZ019 -_.\u00e4", min_size=1, max_size=8), min_size=1))
def test_a_text_always_finds_the_line_that_it_is(pieces: list[str]) -> None:
    """Of what a line says, no word can be asked for that the line does not have."""
    line = " ".join(pieces)
    words = words_of(line.encode())

    again = [word for piece in pieces for word in words_of(piece.encode())]

    assert words == again
    assert all(word == word.lower() for word in words)


@pytest.mark.parametrize("text", ["!!!", "--", '"'])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="text"):
        parse_text(text)


def test_a_name_of_a_span_is_found_where_it_is_exactly_so() -> None:
    batch = make.spans((NOON, 1, b"GET /a"), (NOON, 1, b"GET /ab"), (NOON, 1, b"get /a"))

    with tempfile.TemporaryDirectory() as folder:
        table = CASES[1].open(Path(folder))
        table.append(batch, 1)
        table.maintain(NOON, everything=True)
        found = table.search(everything(equal={"name": b"GET /a"}))

    assert [found.batch.name[i] for i in range(len(found.batch))] == [b"GET /a"]


def test_texts_that_are_not_asked_for_are_empty() -> None:
    batch = CASES[1].batch(*range(NOON, NOON + 20), origins=ORIGINS)

    with tempfile.TemporaryDirectory() as folder:
        table = CASES[1].open(Path(folder))
        table.append(batch, 1)
        found = table.search(RowQuery("default", 0, 2**62, texts=("name",)))  # type: ignore[arg-type]

    assert found.batch.name.data.tobytes() != b""
    assert found.batch.events.data.tobytes() == b""
