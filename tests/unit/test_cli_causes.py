"""`watchkeeper causes` and `watchkeeper topology`: what is asked, what is said."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.sdk import AsyncClient, Client

CAUSES = "/api/v3/aiops/analyze/rca"
TOPOLOGY = "/api/v1/topology"
SAID = "/api/v1/config/topology"
PAYMENT: dict[str, Any] = {
    "node": "payment",
    "kind": "service",
    "probability": 0.91,
    "evidence": [{"text": "payment takes 90 ms, usually 4", "node": "payment"}],
    "against": [{"text": "its CPU is as it was", "node": "payment"}],
}
FOUND: dict[str, Any] = {
    "root_cause": PAYMENT,
    "confidence": 0.91,
    "confidence_word": "high",
    "causes": [PAYMENT, {"node": "ord\x1b[31mer", "probability": 0.02}],
    "unknown": 0.07,
    "affected": ["gateway", "payment"],
    "onset": "2026-01-05T10:00:00Z",
    "ruled_out": [{"text": "stock answered", "node": "stock"}],
    "missing": ["error_lines: log lines of now"],
}
GRAPH: dict[str, Any] = {
    "version": 3,
    "nodes": [
        {"name": "order", "kind": "service", "owner": "checkout", "tier": 1},
        {"name": "shop-db", "kind": "database"},
    ],
    "edges": [{"source": "order", "target": "shop-db", "calls": 12.0, "errors": 1.0}],
}
VERSION: dict[str, Any] = {
    "version": 2,
    "since": "2026-01-05T10:00:00Z",
    "by": "user:ann",
    "document": {"nodes": [{"name": "order"}], "edges": []},
    "changed": [
        {"path": "nodes.order", "before": None, "after": {"name": "order"}},
        {"path": "edges.a > b", "before": "calls", "after": None},
    ],
}
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    routes: dict[str, Any] = {
        CAUSES: Reply(body=FOUND), TOPOLOGY: Reply(body=GRAPH), SAID: Reply(body=VERSION),
    }  # fmt: skip
    with serving(routes) as found:
        monkeypatch.setenv("WATCHKEEPER_URL", found.url)
        yield found


def ran(captured: Captured, *words: str) -> tuple[int, str, str]:
    status = cli.main(words)
    told = captured.readouterr()
    return status, told.out, told.err


def test_a_cause_is_told_first_with_a_line_for_each_that_was_seen(
    stub: Stub, capsys: Captured
) -> None:
    status, out, err = ran(capsys, "causes", "--service", "gateway", "--at", "1767607200")

    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == Exit.OK
    assert lines[0] == "cause: payment, 91% (high), since 2026-01-05 10:00:00 UTC"
    assert lines[1] == "affected: gateway, payment"
    assert "payment service 91% payment takes 90 ms, usually 4" in lines
    assert "against: its CPU is as it was" in lines
    assert "ruled out stock: stock answered" in err
    assert "missing for error_lines: log lines of now" in err
    assert json.loads(stub.asked[0].body) == {"services": ["gateway"], "at": "1767607200.0"}


def test_without_a_word_it_is_asked_of_all_and_of_now(stub: Stub, capsys: Captured) -> None:
    ran(capsys, "causes")

    assert json.loads(stub.asked[0].body) == {"services": []}


def test_a_name_that_would_steer_a_terminal_does_not(stub: Stub, capsys: Captured) -> None:
    _, out, _ = ran(capsys, "causes")

    assert "\x1b" not in out
    assert "ord\\u001b[31mer" in out


def test_where_nobody_is_named_that_is_said(stub: Stub, capsys: Captured) -> None:
    stub.routes[CAUSES] = Reply(body={**FOUND, "root_cause": None, "causes": [], "affected": []})

    status, out, _ = ran(capsys, "causes")

    assert status == Exit.OK
    assert out.splitlines() == ["cause: unknown, since 2026-01-05 10:00:00 UTC"]


def test_for_programs_it_is_the_whole_answer(stub: Stub, capsys: Captured) -> None:
    _, out, err = ran(capsys, "causes", "--json")

    told = json.loads(out)
    assert told["root_cause"]["evidence"][0]["text"] == "payment takes 90 ms, usually 4"
    assert err == ""


@pytest.mark.parametrize("flag", ["--at", "--until"])
def test_what_is_no_time_is_refused_with_examples(stub: Stub, capsys: Captured, flag: str) -> None:
    status, _, err = ran(capsys, "causes", flag, "yesteryear")

    assert status != Exit.OK
    assert f"{flag}: 'yesteryear' is no time" in " ".join(err.split())
    assert stub.asked == []


def test_the_graph_is_a_table_with_what_people_say_below_it(stub: Stub, capsys: Captured) -> None:
    status, out, _ = ran(capsys, "topology", "show", "--service", "order", "--hops", "2")

    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == Exit.OK
    assert "order calls shop-db database 12 1 traces" in lines
    assert "order: owner checkout, tier 1" in lines
    assert stub.asked[0].params == {"service": "order", "hops": "2"}


def test_an_empty_graph_says_what_would_fill_it(stub: Stub, capsys: Captured) -> None:
    stub.routes[TOPOLOGY] = Reply(body={"version": 0})

    _, out, err = ran(capsys, "topology", "show", "--at", "1h")

    assert out == ""
    assert "send spans" in err
    assert "at" in stub.asked[0].params


def test_what_people_say_is_printed_so_that_it_can_be_set_again(
    stub: Stub, capsys: Captured
) -> None:
    _, out, err = ran(capsys, "topology", "said")

    assert json.loads(out) == VERSION["document"]
    assert "version 2, since 2026-01-05 10:00:00 by user:ann" in err


def test_a_file_is_set_and_what_changed_is_told(
    stub: Stub, capsys: Captured, tmp_path: Path
) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text("nodes:\n- name: order\n")

    status, out, err = ran(capsys, "topology", "set", str(file), "--expected", "1")

    (asked,) = stub.asked
    assert status == Exit.OK
    assert (asked.method, asked.params) == ("PUT", {"expected": "1"})
    assert (asked.headers["content-type"], asked.body) == (
        "application/yaml",
        b"nodes:\n- name: order\n",
    )
    assert out.splitlines() == ["+ nodes.order", "- edges.a > b"]
    assert "changed; version 2" in err


def test_a_dry_run_says_what_would_change_and_what_stays(
    stub: Stub, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    stub.routes[SAID] = Reply(body={"dry_run": True, "version": 4, "changed": []})

    _, out, err = ran(capsys, "topology", "set", "-", "--dry-run")

    assert stub.asked[0].params == {"dry_run": "true"}
    assert (out, " ".join(err.split())) == ("", "nothing would change; version 4 stays in force")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("topology", "show", "--json"), "edges"),
        (("topology", "said", "--json"), "document"),
        (("topology", "set", "-", "--json"), "changed"),
    ],
)
def test_for_programs_there_is_json_alone(
    stub: Stub,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    path: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))

    _, out, err = ran(capsys, *words)

    assert path in json.loads(out)
    assert err == ""


def test_a_file_that_is_not_there_is_named(stub: Stub, capsys: Captured) -> None:
    status, _, err = ran(capsys, "topology", "set", "/nowhere/topology.yaml")

    assert status != Exit.OK
    assert "/nowhere/topology.yaml: cannot be read" in err


async def test_both_clients_ask_the_same_and_read_the_same(stub: Stub) -> None:
    with Client(stub.url) as client:
        told: list[Any] = [
            client.causes(["web"], at=5.0),
            client.topology("order"),
            client.topology_said(),
            client.set_topology({"nodes": []}, expected=3),
        ]
    asked = [(one.method, one.path, one.params, one.body) for one in stub.asked]
    stub.asked.clear()

    async with AsyncClient(stub.url) as other:
        again: list[Any] = [
            await other.causes(["web"], at=5.0),
            await other.topology("order"),
            await other.topology_said(),
            await other.set_topology({"nodes": []}, expected=3),
        ]

    assert again == told
    assert [(one.method, one.path, one.params, one.body) for one in stub.asked] == asked
    assert told[0].root_cause.node == "payment"


@pytest.mark.parametrize(
    ("words", "path"),
    [(("causes",), CAUSES), (("topology", "show"), TOPOLOGY), (("topology", "said"), SAID)],
)
def test_a_refusal_is_told_in_the_words_of_the_server(
    stub: Stub, capsys: Captured, words: tuple[str, ...], path: str
) -> None:
    stub.routes[path] = Reply(400, body={"detail": "at: 'x' is no time; write epoch seconds"})

    status, out, err = ran(capsys, *words)

    assert (status == Exit.OK, out) == (False, "")
    assert "write epoch seconds" in " ".join(err.split())


def test_several_services_are_asked_for_at_once_between_two_times(
    stub: Stub, capsys: Captured
) -> None:
    ran(capsys, "causes", "--service", "a", "--service", "b", "--at", "10", "--until", "20")

    assert json.loads(stub.asked[0].body) == {"services": ["a", "b"], "at": "10.0", "until": "20.0"}


@pytest.mark.parametrize("hops", ["0", "-1", "far"])
def test_so_many_hops_as_are_none_are_refused_before_anything_is_asked(
    stub: Stub, capsys: Captured, hops: str
) -> None:
    with pytest.raises(SystemExit):
        cli.main(("topology", "show", "--hops", hops))

    assert "--hops" in capsys.readouterr().err
    assert stub.asked == []
