"""Lines that are hard on whoever groups and watches them: what becomes of each."""

from __future__ import annotations

import resource
from dataclasses import replace

import numpy as np
import pytest

from tests.line_watching import Watched, lines_of
from tests.templating import SHOP, S, batch, shown, templates
from watchkeeper.model.row import Texts, texts
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.template import fingerprints, pattern

TRACE = "boom\n  at a.b(C.java:{})\n  at d.e(F.java:{})\nCaused by: Sad\n  ... {} more"
MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param(["", "  \t "], {"": 2}, id="empty"),
        pytest.param(["user 7 " + "x" * MEGABYTE], None, id="a megabyte"),
        pytest.param(["\x00\x01\ufffd\x7f 7", "\x00\x01\ufffd\x7f 8"], None, id="binary"),
        pytest.param(
            ["用户 7 登录", "用户 8 登录", "用户 9 登录"], {"用户 <*> 登录": 3}, id="unicode"
        ),
        pytest.param(["🚀 7 up", "🚀 8 up"], {"🚀 <*> up": 2}, id="astral"),
        pytest.param([TRACE.format(1, 2, 3), TRACE.format(4, 5, 66)], None, id="trace"),
        pytest.param(
            ['{"level":"info","msg":"user 7 came","id":1}', '{"level":"warn","msg":"user 8 came"}'],
            None,
            id="json",
        ),
        pytest.param(
            ["\x1b[31mERROR\x1b[0m disk 7", "\x1b[31mERROR\x1b[0m disk 8"], None, id="ansi"
        ),
    ],
)
def test_hard_lines_are_counted_and_those_of_one_statement_are_one_template(
    lines: list[str], found: dict[str, int] | None
) -> None:
    made = templates()

    made.take(batch(lines))
    made.tick(60 * S)

    told = shown(made)
    assert sum(told.values()) == len(lines)
    assert found is None or told == found
    assert all(len(text) <= 3100 for text in told)


@pytest.mark.parametrize(
    "lines",
    [
        [TRACE.format(1, 2, 3), TRACE.format(4, 5, 66)],
        ["\x1b[31mERROR\x1b[0m disk 7", "\x1b[31mERROR\x1b[0m disk 8"],
        ["\x00\x01\ufffd\x7f 7", "\x00\x01\ufffd\x7f 8"],
        ['{"level":"info","msg":"user 7 came"}', '{"level":"info","msg":"user 8 came"}'],
        ["a " * 400_000 + "7", "a " * 400_000 + "8"],
    ],
    ids=["trace", "ansi", "binary", "json", "megabyte"],
)
def test_hard_lines_that_differ_in_numbers_alone_have_one_template(lines: list[str]) -> None:
    made = templates()

    made.take(batch(lines))

    assert list(shown(made).values()) == [2]


def test_bytes_that_are_no_text_are_lines_as_others_are() -> None:
    watched = Watched(learning_s=0.0)
    body = texts([b"\xff\xfe\x00 7", b"\xc3(", bytes(range(256)), b"\xed\xa0\x80"])
    lines = lines_of(["a", "b", "c", "d"], watched.now_ns)

    watched.take(replace(lines, body=body, template=fingerprints(body)))
    watched.minutes(3)

    assert sum(one.n_lines for one in watched.templates.templates(DEFAULT_TENANT)) == 4


def test_a_million_distinct_ids_are_one_pattern() -> None:
    number = np.arange(1_000_000)
    line = np.tile(np.frombuffer(b"order 000000 is done", np.uint8), (len(number), 1))
    for place in range(6):
        line[:, 11 - place] += (number // 10**place % 10).astype(np.uint8)
    offset = np.arange(len(number) + 1, dtype=np.int32) * line.shape[1]

    made = fingerprints(Texts(line.reshape(-1), offset))

    assert len(np.unique(made)) == 1
    assert pattern("order 000000 is done") == pattern("order 999999 is done")


def test_of_distinct_patterns_no_more_are_kept_than_there_is_room() -> None:
    """Where another parser's leaf grows without end: what is too much is counted as other."""
    n, watched = 50_000, Watched(patterns=100, learning_s=0.0)
    watched.take(lines_of(["begin"], watched.now_ns))
    watched.minutes(2)
    distinct = np.arange(1, n + 1, dtype=np.uint64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    made = lines_of(["word"] * n, watched.now_ns, traces=range(1, n + 1))
    watched.take(replace(made, template=distinct))
    watched.minutes(3)

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    known = watched.templates.templates(DEFAULT_TENANT, SHOP)
    assert len(known) <= 101
    assert sum(one.n_lines for one in known) == n + 1
    assert len(watched.watch.dump(3)) < 500_000
    assert grown_kib < 200 * 1024
