"""`watchkeeper query --promql`: any expression, printed as samples are."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit

PATH = "/prometheus/api/v1/query_range"
FOUND = [{"metric": {"job": "a"}, "values": [[60, "1"], [120, "3"]]}]


def reply(found: list[dict[str, Any]]) -> Reply:
    body = {"status": "success", "data": {"resultType": "matrix", "result": found}}
    return Reply(200, body)


def asked(stub: Stub) -> dict[str, str]:
    return {name: text for name, (text,) in parse_qs(stub.asked[-1].body.decode()).items()}


def test_an_expression_is_computed_over_the_range(capsys: pytest.CaptureFixture[str]) -> None:
    with serving({PATH: reply(FOUND)}) as stub:
        status = cli.main(
            ["query", "sum(rate(x[5m]))", "--promql", "--url", stub.url, "--from", "1h"]
        )

    said = capsys.readouterr().out
    assert status == Exit.OK
    assert said.splitlines()[1].split() == ['{job="a"}', "2", "1", "2", "3", "3", "▁█"]
    form = asked(stub)
    assert form["query"] == "sum(rate(x[5m]))"
    assert form["step"] == "60s"
    assert float(form["end"]) - float(form["start"]) == pytest.approx(3600)


@pytest.mark.parametrize(
    ("argv", "step"),
    [
        (["--step", "5m"], "300s"),
        (["--points"], "60s"),
        (["--from", "1d"], "3600s"),
        (["--from", "10s"], "1s"),
    ],
)
def test_an_expression_always_has_a_step(
    argv: list[str], step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({PATH: reply(FOUND)}) as stub:
        cli.main(["query", "up", "--promql", "--url", stub.url, *argv])

    assert asked(stub)["step"] == step
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["--agg", "sum"], ["--by", "a"], ["--over-time", "avg"], ["--step", "raw"]]
)
def test_what_is_for_selectors_does_not_go_with_an_expression(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["query", "up", "--promql", "--url", "http://127.0.0.1:9", *argv])

    assert status == Exit.USAGE
    assert "say it in the expression" in capsys.readouterr().err


def test_a_refused_expression_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"status": "error", "errorType": "bad_data", "error": "promql: 'sum(': unclosed"}
    with serving({PATH: Reply(400, said)}) as stub:
        status = cli.main(["query", "sum(", "--promql", "--url", stub.url])

    assert status != Exit.OK
    assert "promql: 'sum(': unclosed" in capsys.readouterr().err


def test_points_and_json_are_printed_as_of_samples(capsys: pytest.CaptureFixture[str]) -> None:
    with serving({PATH: reply(FOUND)}) as stub:
        cli.main(["query", "up", "--promql", "--url", stub.url, "--points"])
        points = capsys.readouterr().out
        cli.main(["query", "up", "--promql", "--url", stub.url, "--json"])
        told = json.loads(capsys.readouterr().out)

    assert points.splitlines()[1].split() == ["1970-01-01", "00:01:00", "1", '{job="a"}']
    assert told["series"][0]["labels"] == {"job": "a"}
