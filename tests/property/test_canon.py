"""What label bytes come to is what a slow and plain reading of them comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.examples import MANY
from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.lake import series_canon_kernel as canon
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_rules import Canon, Rules, Scope
from watchkeeper.model.series import DEFAULT_TENANT, Kind, LabelBlock

CONFIG: Final = CatalogConfig(
    max_labels=4,
    max_name_bytes=12,
    max_value_bytes=140,
    max_series_bytes=320,
    replica_labels=("rep",),
    instance_labels=("pod", "rep_of"),
    counter_suffixes=("_total", "_count"),
    unscored_suffixes=("_info", "_x_total"),
)
RULES: Final = Rules(CONFIG, bytes(range(16)), ("svc",))
SCOPE: Final[Scope] = RULES.scope(0, DEFAULT_TENANT)

NAMES = st.sampled_from(
    [b"__name__", b"pod", b"rep", b"rep_of", b"svc", b"a", b"ab", b"b", b"\xc3\xa9", b"\xff", b"",
     b"n" * 12, b"n" * 13]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"m", b"m_total", b"m_x_total", b"_info", b"info", b"", b"x", b"\xc3\xa9", b"\x80", b"y" * 127,
     b"y" * 128, b"y" * 140, b"y" * 141, b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf"]
)  # fmt: skip
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=7)
METRICS = st.sampled_from([b"m", b"m_total", b"m_x_total", b"_info", b"info", b"a_count"])
NAMED = st.tuples(METRICS, PAIRS).map(lambda drawn: [(b"__name__", drawn[0]), *drawn[1]])
KINDS = st.sampled_from(list(Kind))


@dataclass(frozen=True)
class Plain:
    """What a row comes to."""

    verdict: int
    labels: bytes = b""
    role: bytes = b""
    kind: int = 0


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def sized(run: bytes) -> bytes:
    return varint(len(run)) + run


def label(name: bytes, value: bytes) -> bytes:
    return b"\x0a" + sized(b"\x0a" + sized(name) + b"\x12" + sized(value))


def run_of(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join(label(name, value) for name, value in pairs)


def parsed(run: bytes) -> list[tuple[bytes, bytes]] | None:
    """The pairs of a run in its shortest form, as far as it can be read; None behind the fault."""
    found: list[tuple[bytes, bytes]] = []
    while run:
        taken = field(run, 0x0A)
        if taken is None:
            return None
        name = field(taken[0], 0x0A)
        value = field(name[1], 0x12) if name else None
        if name is None or value is None or value[1]:
            return None
        if label(name[0], value[0]) != run[: len(run) - len(taken[1])]:
            return None  # not in its shortest form
        found.append((name[0], value[0]))
        run = taken[1]
    return found


def field(run: bytes, tag: int) -> tuple[bytes, bytes] | None:
    """The content of the field at the front, and what follows it."""
    if not run or run[0] != tag:
        return None
    size = shift = 0
    for at, byte in enumerate(run[1:6], 1):
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = at + 1 + size
            return (run[at + 1 : end], run[end:]) if end <= len(run) else None
    return None


def judged(pairs: Sequence[tuple[bytes, bytes]], said: Kind) -> Plain:
    """Sound bytes: the first fault in the order of the labels, then what concerns all of them."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in pairs:
        if not value:
            continue
        if not name:
            return Plain(canon.MALFORMED)
        if len(kept) == CONFIG.max_labels:
            return Plain(canon.TOO_MANY_LABELS)
        if len(name) > CONFIG.max_name_bytes or len(value) > CONFIG.max_value_bytes:
            return Plain(canon.TOO_LONG)
        if not (is_utf8(name) and is_utf8(value)):
            return Plain(canon.NOT_UTF8)
        kept.append((name, value))
    metric = dict(kept).get(b"__name__")
    kept = sorted((name, value) for name, value in kept if name != b"rep")
    if len({name for name, _ in kept}) < len(kept):
        return Plain(canon.DUPLICATE)
    if metric is None:
        return Plain(canon.UNNAMED)
    role = [(name, value) for name, value in kept if name not in (b"pod", b"rep_of")]
    return Plain(canon.SOUND, run_of(kept), run_of(role), kind_of(metric, said))


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def kind_of(metric: bytes, said: Kind) -> int:
    name = metric.decode()
    if name.endswith(CONFIG.unscored_suffixes):
        return Kind.UNSCORED
    if said is not Kind.BY_NAME:
        return said
    return Kind.COUNTER if name.endswith(CONFIG.counter_suffixes) else Kind.GAUGE


def canonicalised(*runs: bytes, said: Kind = Kind.BY_NAME) -> Canon:
    end = np.cumsum([len(run) for run in runs], dtype=np.int64)
    start = end - np.array([len(run) for run in runs], np.int64)
    buffer = np.frombuffer(bytearray(b"".join(runs) + b"\xff" * READ_SLACK), np.uint8)
    kind = np.full(len(runs), said, np.uint8)
    return RULES.canonicalise(SCOPE, LabelBlock(buffer, start, end), kind)


def text(found: Canon, row: int) -> bytes:
    return found.labels.buffer[found.labels.start[row] : found.labels.end[row]].tobytes()


@given(st.lists(st.one_of(PAIRS, NAMED), min_size=1, max_size=5), KINDS)
@MANY
def test_every_row_comes_to_what_a_plain_reading_comes_to(
    rows: list[list[tuple[bytes, bytes]]], said: Kind
) -> None:
    found = canonicalised(*map(run_of, rows), said=said)

    for number, row in enumerate(rows):
        want = judged(row, said)
        if len(run_of(row)) > CONFIG.max_series_bytes:
            want = Plain(canon.TOO_LONG)
        assert found.verdict[number] == want.verdict
        assert text(found, number) == want.labels
        if want.verdict == canon.SOUND:
            assert found.kind[number] == want.kind


@given(NAMED, NAMED)
@MANY
def test_roles_and_identities_are_equal_where_what_they_are_made_of_is(
    left: list[tuple[bytes, bytes]], right: list[tuple[bytes, bytes]]
) -> None:
    mine, other = judged(left, Kind.GAUGE), judged(right, Kind.GAUGE)
    found = canonicalised(run_of(left), run_of(right))
    if found.verdict.any():
        return

    assert (found.role[0] == found.role[1]) == (mine.role == other.role)
    is_same = bool((found.identity[0] == found.identity[1]).all())
    assert is_same == (mine.labels == other.labels)


@given(NAMED, st.data())
@MANY
def test_changed_bytes_are_read_as_they_stand_or_refused(
    pairs: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    """And never as more than they are: the row behind is what it was."""
    run = bytearray(run_of(pairs))
    for _ in range(data.draw(st.integers(1, 3))):
        run[data.draw(st.integers(0, len(run) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(run[: data.draw(st.integers(1, len(run)))])
    neighbour = run_of([(b"__name__", b"next")])

    found = canonicalised(cut, neighbour)

    pairs_there = parsed(cut)
    if len(cut) > CONFIG.max_series_bytes:
        assert found.verdict[0] == canon.TOO_LONG
    elif pairs_there is None:
        assert found.verdict[0] != canon.SOUND
    else:
        want = judged(pairs_there, Kind.BY_NAME)
        assert (int(found.verdict[0]), text(found, 0)) == (want.verdict, want.labels)
    assert found.verdict[1] == canon.SOUND
    assert text(found, 1) == neighbour


@given(st.binary(max_size=60))
def test_junk_is_never_a_series(junk: bytes) -> None:
    found = canonicalised(junk)

    pairs = parsed(junk)
    want = canon.MALFORMED if pairs is None else judged(pairs, Kind.BY_NAME).verdict
    assert found.verdict[0] != canon.SOUND or want == canon.SOUND


@given(NAMED)
def test_canonical_labels_are_their_own_canonical_form(pairs: list[tuple[bytes, bytes]]) -> None:
    once = canonicalised(run_of(pairs))
    if once.verdict[0] != canon.SOUND:
        return

    twice = canonicalised(text(once, 0))

    assert text(twice, 0) == text(once, 0)
    assert twice.identity.tolist() == once.identity.tolist()
    assert twice.role.tolist() == once.role.tolist()
    read = make.read_labels(twice.labels, 0)
    assert read == sorted(read, key=lambda pair: pair[0].encode())
    assert dict(read) == twice.pairs(0)


@given(METRICS, st.integers(1, 3), st.sampled_from(["label", "name", "value"]))
def test_sizes_in_a_longer_form_than_need_be_are_refused(
    metric: bytes, n_more: int, where: str
) -> None:
    """Else one series had many identities, as its bytes are hashed."""

    def padded(run: bytes, part: str) -> bytes:
        if part != where:
            return sized(run)
        assert len(run) < 128
        return bytes([len(run) | 0x80]) + b"\x80" * (n_more - 1) + b"\x00" + run

    inner = b"\x0a" + padded(b"__name__", "name") + b"\x12" + padded(metric, "value")

    found = canonicalised(b"\x0a" + padded(inner, "label"))

    assert found.verdict.tolist() == [canon.MALFORMED]
