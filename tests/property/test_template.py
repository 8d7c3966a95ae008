"""Patterns of log lines: the compiled scanner against its definition, word by word."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.compiled.template_kernel import MAX_BYTES, P0, P1, P2
from watchkeeper.model.row import texts
from watchkeeper.model.template import fingerprints, pattern

WILD: Final = b"<*>"
WORD: Final = rb"[^\s=:,;()\[\]{}<>@&?/\\\"'|]+"
WORD_AND_HANGING: Final = re.compile(WORD + rb"(?::(?=:|" + WORD + rb")(?:" + WORD + rb")?)*")
PLAIN_WORD: Final = re.compile(WORD)
VALUE: Final = re.compile(rb"[^\s,;&)\]}|\\\"']+")
QUOTED: Final = {
    quote: re.compile(quote + rb"((?:\\.|[^\\" + quote + rb"])*)" + quote, re.DOTALL)
    for quote in (b'"', b"'")
}
MESSAGE: Final = (b"msg", b"message", b"event", b"err", b"error")
MASK: Final = (1 << 64) - 1


def reference(line: bytes) -> bytes:
    """The definition in template_kernel, rule by rule."""
    out = bytearray()
    read(line[:MAX_BYTES], out, within=False)
    return bytes(out).removesuffix(b" ")


def read(text: bytes, out: bytearray, *, within: bool) -> None:
    at, expected = 0, ""
    while at < len(text):
        byte = text[at : at + 1]
        if byte.isspace():
            out += b"" if not out or out.endswith(b" ") else b" "
            at += 1
        elif word := PLAIN_WORD.match(text, at):
            at, expected = read_word(text, word, out, expected)
        elif found := opened(text, at, out):
            at, expected = read_quoted(text, found, out, expected == "text" and not within)
        else:
            out += byte
            at += 1
            if byte == b"=" and expected != "text":
                value = VALUE.match(text, at)
                out += WILD if value else b""
                at = value.end() if value else at
            if byte not in b":=" or (byte == b"=" and expected != "text"):
                expected = ""


def read_word(text: bytes, word: re.Match[bytes], out: bytearray, expected: str) -> tuple[int, str]:
    shown, end = word[0], word.end()
    if re.search(rb"[0-9]", shown):
        hanging = WORD_AND_HANGING.match(text, word.start())
        assert hanging
        shown, end = WILD, hanging.end()
    elif expected == "value":
        shown = WILD
    out += shown
    is_message = shown in MESSAGE and text[end : end + 1] == b"="
    return end, "text" if is_message else ""


def opened(text: bytes, at: int, out: bytearray) -> re.Match[bytes] | None:
    quote = text[at : at + 1]
    if quote not in QUOTED or (out and PLAIN_WORD.match(out[-1:])) or out.endswith(b"\\"):
        return None
    return QUOTED[quote].match(text, at)


def read_quoted(
    text: bytes, found: re.Match[bytes], out: bytearray, is_text: bool
) -> tuple[int, str]:
    quote, inside, end = text[found.start() : found.start() + 1], found[1], found.end()
    out += quote
    if quote == b'"' and text[end : end + 1] == b":":
        out += (WILD if re.search(rb"[0-9]", inside) else inside) + quote
        return end, "text" if inside in MESSAGE else "value"
    if is_text:
        read(inside, out, within=True)
    else:
        out += WILD
    out += quote
    return end, ""


def reference_hash(shown: bytes) -> int:
    if not shown:
        return 0

    def folded(left: int, right: int) -> int:
        product = left * right
        return (product >> 64) ^ (product & MASK)

    h = len(shown) * int(P0) & MASK
    for at in range(0, len(shown), 8):
        h = folded(h ^ int.from_bytes(shown[at : at + 8], "little"), int(P1))
    return folded(h ^ int(P2), int(P0))


WORDS = ["user", "msg", "error", "a1", "7", "é", "<*>"]
MARKS = [*" \t\n=:,/\\\"'{}[](<>|&", "  ", "::", '\\"']
NAMES = ['"k":', '"msg":"', 'msg="', "event='", '" ', "' "]
PIECES = st.sampled_from([*WORDS, *MARKS, *NAMES])
LINES = st.one_of(
    st.lists(PIECES, max_size=30).map("".join),
    st.text(max_size=60),
)


@given(st.lists(LINES, min_size=1, max_size=8))
def test_every_fingerprint_is_the_hash_of_the_pattern_by_definition(lines: list[str]) -> None:
    runs = [line.encode(errors="replace") for line in lines]

    found = fingerprints(texts(runs))

    assert found.tolist() == [reference_hash(reference(run)) for run in runs]


@settings(max_examples=20)
@given(st.lists(PIECES, min_size=3, max_size=20).map(lambda pieces: "".join(pieces) * 60))
def test_long_lines_are_cut_where_the_definition_cuts_them(line: str) -> None:
    run = line.encode()

    assert fingerprints(texts([run])).tolist() == [reference_hash(reference(run))]


@given(LINES)
def test_a_pattern_is_shown_as_it_is_defined(line: str) -> None:
    shown = reference(line.encode(errors="replace")).decode(errors="replace")

    assert pattern(line) == shown


@given(st.lists(PIECES, max_size=30).map("".join))
def test_the_pattern_of_a_pattern_is_itself(line: str) -> None:
    once = pattern(line)

    assert pattern(once) == once


@given(st.binary(max_size=200))
def test_any_bytes_have_a_fingerprint(line: bytes) -> None:
    assert fingerprints(texts([line])).tolist() == [reference_hash(reference(line))]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("user 7 logged in from 10.0.0.1", "user <*> logged in from <*>"),
        ("took -12.5ms at 10:20:30,123", "took <*> at <*>,<*>"),
        ("peer fe80::1 port 0x1F", "peer <*> port <*>"),
        ("id 8f14e45f-ceea-467f-a0e6-1b1b1b1b1b1b", "id <*>"),
        ("worker-3: can't open 'my file'", "<*>: can't open '<*>'"),
        ("/api/users/42/orders?page=two&x=y", "/api/users/<*>/orders?page=<*>&x=<*>"),
        ('level=info msg="user 7 is in" dur=5', 'level=<*> msg="user <*> is in" dur=<*>'),
        ("level=info msg=started peer=bob", "level=<*> msg=started peer=<*>"),
        ('{"level":"info","msg":"user 7"}', '{"level":"<*>","msg":"user <*>"}'),
        ('{"ok": true, "n": null, "k1": []}', '{"ok": <*>, "n": <*>, "<*>": []}'),
        ('10.1.2.3 - - "GET /a HTTP/1.0" 200', '<*> - - "<*>" <*>'),
        ("Error\n  at f (a.js:10:5)\n", "Error at f (a.js:<*>)"),
        ("  \t ", ""),
        ('say "hi', 'say "hi'),
    ],
)
def test_what_stays_of_a_line(line: str, shown: str) -> None:
    assert pattern(line) == shown


@pytest.mark.parametrize(
    ("line", "stored"),
    [
        ("", 0),
        ("user 7 logged in", 1013671881946463636),
        ("connection refused", 1673933381892508574),
    ],
)
def test_fingerprints_that_are_stored_never_change(line: str, stored: int) -> None:
    assert fingerprints(texts([line.encode()])).tolist() == [stored]


def test_what_lies_behind_the_first_bytes_of_a_line_is_not_looked_at() -> None:
    head = b"x" * (MAX_BYTES - 1)

    found = fingerprints(texts([head + b" tail", head + b" other end", head[:-1] + b" y"]))

    assert found[0] == found[1] != found[2]


def test_no_lines_have_no_fingerprints() -> None:
    found = fingerprints(texts([]))

    assert found.dtype == np.uint64
    assert len(found) == 0
