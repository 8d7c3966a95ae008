"""`watchkeeper evaluate`: flags, what it prints and writes, and its status."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluating import attempt, page, run
from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.evaluate import status
from watchkeeper.cli.exits import Exit
from watchkeeper.evaluate.records import Outcome
from watchkeeper.evaluate.report import as_json

SCENARIOS = """
scenarios:
  - name: broken
    truth: {service: payment, kind: file}
    start: touch {home}/broken
    check: test -e {home}/broken
    stop: rm {home}/broken
    hold_s: 0.02
"""


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def stub() -> Iterator[Stub]:
    routes: Any = {
        "/health": Reply(body={"status": "ok"}),
        "/metrics": Reply(body=b"up 1\n"),
        "/api/v1/anomalies": Reply(body={"items": [], "cursor": None}),
        "/api/v1/traces": Reply(body={"items": []}),
    }
    with serving(routes) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> str:
    listed = tmp_path / "scenarios.yaml"
    listed.write_text(SCENARIOS)
    return str(listed)


@pytest.fixture
def earlier(tmp_path: Path) -> str:
    kept = tmp_path / "earlier.json"
    kept.write_text(json.dumps(as_json([run(attempt(), pages=[page(112.0)])])))
    return str(kept)


Said = pytest.CaptureFixture[str]


def test_a_system_is_broken_scored_and_reported(
    stub: Stub, file: str, earlier: str, tmp_path: Path, capsys: Said
) -> None:
    done = cli.main(["evaluate", file, "--server", stub.url, "--home", str(tmp_path), "--warm-up",
                     "0", "--cool-down", "0.02", "--runs", "2", "--report", "out",
                     "--merge", earlier])  # fmt: skip

    out, err = capsys.readouterr()
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert done == Exit.OK, err
    assert "1 of 1: broken, intensity 1" in err
    assert "written: out/report.md" in err.replace("\n", "")
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("runs")] == ["3"]
    assert kept["figures"]["scenarios"] == 3
    assert not (tmp_path / "broken").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "detection-times.svg", "report.json", "report.md",
        "timeline-1.svg", "timeline-2.svg", "timeline-3.svg",
        "usage-1.svg", "usage-2.svg", "usage-3.svg",
    ]  # fmt: skip


def test_a_sitting_goes_on_where_the_last_one_ended(
    stub: Stub, file: str, tmp_path: Path, capsys: Said
) -> None:
    """What that had no time for comes first."""
    more = SCENARIOS + SCENARIOS.split("scenarios:")[1].replace("broken", "other")
    Path(file).write_text(more)
    kept = tmp_path / "kept.json"
    words = ["evaluate", file, "--server", stub.url, "--home", str(tmp_path), "--warm-up", "0",
             "--cool-down", "0", "--merge", str(kept), "--json"]  # fmt: skip
    first = []
    for name in ("broken", "other"):
        kept.write_text(json.dumps(as_json([run(attempt(), left_out=(name,))])))

        cli.main(words)

        told = json.loads(capsys.readouterr().out)
        assert [one["number"] for one in told["runs"]] == [1, 2]
        first.append(told["runs"][1]["attempts"][0]["scenario"])
    assert first == ["broken", "other"]


def test_earlier_runs_alone_are_counted_again(earlier: str, capsys: Said) -> None:
    done = cli.main(["evaluate", "--merge", earlier, earlier, "--json", "--report", "out"])

    told = json.loads(capsys.readouterr().out)
    assert done == Exit.OK
    assert told["figures"]["detected"] == 1.0
    assert told["figures"]["detect_p50_s"] == 10.0
    assert len(told["runs"]) == 2
    assert Path("out/timeline-2.svg").exists()


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        ([], "nothing to evaluate; name SCENARIOS.yaml, or --merge report.json"),
        (["no.yaml"], "no.yaml: No such file or directory; name a file that can be read"),
        (["--merge", "no.json"], "no.json: No such file or directory"),
        (["scenarios.yaml"], "commands name {home}; say --home DIR"),
        (["scenarios.yaml", "--only", "brokn"], "--only: no scenario 'brokn'; known: broken"),
        (["--merge", "earlier.json", "--report", "earlier.json"], "--report: earlier.json: File"),
    ],
)
def test_what_is_asked_wrongly_is_told_before_anything_is_broken(
    argv: list[str], fault: str, file: str, earlier: str, capsys: Said
) -> None:
    done = cli.main(["evaluate", *argv])

    assert done == Exit.USAGE
    assert fault in capsys.readouterr().err


def test_without_a_server_nothing_is_broken(file: str, tmp_path: Path, capsys: Said) -> None:
    done = cli.main(["evaluate", file, "--home", str(tmp_path), "--url", "http://127.0.0.1:1"])

    assert done == Exit.LATER
    assert "cannot reach http://127.0.0.1:1" in capsys.readouterr().err
    assert not (tmp_path / "broken").exists()


def test_the_status_says_whether_anything_counted_and_whether_it_came_to_its_end() -> None:
    felt, unfelt = run(attempt()), run(attempt(outcome=Outcome.UNFELT))

    assert status([felt]) == Exit.OK
    assert status([unfelt, felt]) == Exit.OK
    assert status([unfelt]) == Exit.NO
    assert status([felt, run(interrupted=True)]) == Exit.STOPPED
