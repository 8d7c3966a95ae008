"""`watchkeeper logs` and `watchkeeper traces`: what is asked, and what people are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.traces import tree
from watchkeeper.sdk import FoundSpan

SEARCH, TRACES = "/api/v1/logs/search", "/api/v1/traces"
TEMPLATES = "/api/v1/logs/templates"
LINE: dict[str, Any] = {
    "time": "2026-01-05T10:00:00Z",
    "severity": "error",
    "service": "shop",
    "body": "payment refused",
}
SUMMARY: dict[str, Any] = {
    "trace_id": "7" * 32,
    "root": {"service": "web", "name": "GET /cart"},
    "start": "2026-01-05T10:00:00Z",
    "duration_ms": 1500.0,
    "n_spans": 2,
    "n_errors": 1,
    "services": ["db", "web"],
}
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
TEMPLATE: dict[str, Any] = {
    "id": "00000000000000ab",
    "service": "shop",
    "text": "user <*> came",
    "lines": 12,
    "patterns": 2,
    "first_seen": "2026-01-05T10:00:00Z",
    "last_seen": "2026-01-05T11:00:00Z",
    "succeeds": [],
}
Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving({}) as found:
        yield found


def ran(said: Said, stub: Stub, *argv: str) -> tuple[int, str, str]:
    """(status, output, errors)"""
    status = cli.main([*argv, "--url", stub.url])
    out, err = said.readouterr()
    return status, out, err


def span(name: str, own: str | None, parent: str | None, after_ms: int = 0) -> FoundSpan:
    return FoundSpan(name, START + timedelta(milliseconds=after_ms), 10.0, own, parent)


def test_every_flag_of_a_search_reaches_the_server(stub: Stub, capsys: Said) -> None:
    stub.routes[SEARCH] = Reply(200, {"items": [LINE], "cursor": None})

    status, _, _ = ran(
        capsys, stub, "logs", "payment", "refused", "--contains", "ref", "--level", "warn",
        "--query", '{service="shop"}', "--template", "ab", "--trace", "7", "--limit", "5",
        "--since", "1767571200", "--until", "1767607200",
    )  # fmt: skip

    assert status == Exit.OK
    assert stub.asked[0].params == {
        "text": "payment refused",
        "contains": "ref",
        "level": "warn",
        "query": '{service="shop"}',
        "template": "ab",
        "trace_id": "7",
        "limit": "5",
        "start": "1767571200.0",
        "end": "1767607200.0",
    }


def test_lines_are_shown_with_the_newest_last(stub: Stub, capsys: Said) -> None:
    older = {**LINE, "time": "2026-01-05T09:00:00Z", "severity": "", "service": ""}
    stub.routes[SEARCH] = Reply(200, {"items": [LINE, older], "cursor": None})

    _, out, _ = ran(capsys, stub, "logs")

    assert [line.split() for line in out.splitlines()] == [
        ["2026-01-05", "09:00:00", "-", "payment", "refused"],
        ["2026-01-05", "10:00:00", "error", "shop", "payment", "refused"],
    ]


def test_a_line_steers_no_terminal(stub: Stub, capsys: Said) -> None:
    body = "\x1b[2Jgone\nat main.py:1\tin f [red]no markup[/red]"
    stub.routes[SEARCH] = Reply(200, {"items": [{**LINE, "body": body}], "cursor": None})

    _, out, _ = ran(capsys, stub, "logs")

    assert "\x1b" not in out
    assert "\\u001b[2Jgone\n    at main.py:1  in f [red]no markup[/red]" in out


@pytest.mark.parametrize(
    ("answer", "remark"),
    [
        ({"items": [], "cursor": None}, "--since looks further back"),
        ({"items": [LINE], "cursor": "1-2"}, "--limit prints more"),
    ],
)
def test_what_is_missing_of_lines_is_said(
    stub: Stub, capsys: Said, answer: dict[str, Any], remark: str
) -> None:
    stub.routes[SEARCH] = Reply(200, answer)

    _, _, err = ran(capsys, stub, "logs")

    assert remark in err


def test_lines_are_json_for_programs(stub: Stub, capsys: Said) -> None:
    stub.routes[SEARCH] = Reply(200, {"items": [LINE], "cursor": "1-2"})

    _, out, err = ran(capsys, stub, "logs", "--json")

    assert json.loads(out)["cursor"] == "1-2"
    assert json.loads(out)["items"][0]["body"] == "payment refused"
    assert err == ""


def test_traces_are_listed_in_a_few_words(stub: Stub, capsys: Said) -> None:
    stub.routes[TRACES] = Reply(200, {"items": [SUMMARY]})

    status, out, _ = ran(
        capsys, stub, "traces", "--service", "db", "--min-duration", "1s", "--status", "error"
    )

    assert status == Exit.OK
    assert "GET /cart" in out
    assert "1.5s" in out
    assert "db, web" in out
    params = stub.asked[0].params
    assert (params["service"], params["min_duration"], params["status"]) == ("db", "1s", "error")


def test_no_traces_are_said_to_be_none(stub: Stub, capsys: Said) -> None:
    stub.routes[TRACES] = Reply(200, {"items": []})

    status, out, err = ran(capsys, stub, "traces")

    assert (status, out) == (Exit.OK, "")
    assert "no traces" in err


def test_one_trace_is_shown_as_a_tree(stub: Stub, capsys: Said) -> None:
    spans = [
        {"name": "GET /cart", "start": SUMMARY["start"], "duration_ms": 1500.0, "span_id": "a"},
        {
            "name": "SELECT",
            "start": "2026-01-05T10:00:00.25Z",
            "duration_ms": 5.0,
            "parent_id": "a",
            "status": "error",
            "message": "no table",
        },
    ]
    whole = {**SUMMARY, "spans": spans, "complete": False}
    stub.routes[f"{TRACES}/7"] = Reply(200, whole)

    _, out, err = ran(capsys, stub, "traces", "7")

    first, second = out.splitlines()[-2:]
    assert first.startswith("GET /cart")
    assert second.startswith("  SELECT")
    assert "250ms" in second
    assert "error no table" in second
    assert "it has more" in err


def test_a_trace_that_is_not_there_is_told(stub: Stub, capsys: Said) -> None:
    status, _, err = ran(capsys, stub, "traces", "9")

    assert status == Exit.NEVER
    assert "no /api/v1/traces/9" in err


def test_children_stand_behind_their_parent_in_order() -> None:
    spans = [
        span("root", "a", None),
        span("first", "b", "a", 1),
        span("second", "c", "a", 2),
        span("of first", "d", "b", 3),
        span("lost", "e", "gone", 4),
    ]

    told = [(depth, one.name) for depth, one in tree(spans)]

    assert told == [(0, "root"), (1, "first"), (2, "of first"), (1, "second"), (0, "lost")]


ids = st.sampled_from(["a", "b", "c", "d", None])


@given(st.lists(st.tuples(ids, ids), max_size=8))
def test_a_tree_has_every_span_once_whatever_its_parents(links: list[tuple[Any, Any]]) -> None:
    spans = [span(str(n), own, parent) for n, (own, parent) in enumerate(links)]

    told = [one.name for _, one in tree(spans)]

    assert sorted(told, key=int) == [one.name for one in spans]


def test_templates_are_listed_with_what_finds_their_lines(stub: Stub, capsys: Said) -> None:
    other = {**TEMPLATE, "id": None, "text": "<other>", "service": "", "last_seen": None}
    stub.routes[TEMPLATES] = Reply(200, {"items": [TEMPLATE, other], "more": True})

    status, out, err = ran(capsys, stub, "templates", "user", "--service", "shop", "--limit", "2")

    assert status == Exit.OK
    assert stub.asked[0].params == {"text": "user", "service": "shop", "limit": "2"}
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["12", "2026-01-05", "11:00:00", "shop", "user", "<*>", "came", "00000000000000ab"],
        ["12", "-", "-", "<other>", "-"],
    ]
    assert "--limit" in err


def test_no_templates_are_no_error(stub: Stub, capsys: Said) -> None:
    stub.routes[TEMPLATES] = Reply(200, {"items": [], "more": False})

    status, out, err = ran(capsys, stub, "templates")

    assert (status, out) == (Exit.OK, "")
    assert "no templates" in err


def test_programs_are_told_templates_in_json(stub: Stub, capsys: Said) -> None:
    stub.routes[TEMPLATES] = Reply(200, {"items": [TEMPLATE], "more": False})

    _, out, _ = ran(capsys, stub, "templates", "--json")

    assert json.loads(out) == {"items": [TEMPLATE], "more": False}
