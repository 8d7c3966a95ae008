"""What `watchkeeper replay` prints, as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.conftest import Golden
from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.difference import Difference, Kind
from watchkeeper.cli import replay as command
from watchkeeper.cli.output import Output
from watchkeeper.lake.recording.recording import Recording
from watchkeeper.lake.recording.snapshot import Snapshot
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity
from watchkeeper.parts.replay import Begin, Outcome, Run

MINUTE_NS = 60 * NS_PER_S


def at(minute: float, service: str = "checkout", **fields: Any) -> Anomaly:
    usual: dict[str, Any] = {
        "id": f"{service}-{minute}",
        "started_ns": START_NS + round(minute * MINUTE_NS),
        "entity": Entity(service=service),
        "labels": {"__name__": "latency_seconds", "service": service},
    }
    return make.anomaly(**{**usual, **fields})


def outcome(found: Sequence[Difference], *, snapshot_ns: int | None = None, **run: Any) -> Outcome:
    usual = {"oldest_ns": START_NS, "newest_ns": START_NS + 90 * MINUTE_NS, "took_s": 0.75}
    taken = None if snapshot_ns is None else Snapshot(Path("a.snapshot"), 1, snapshot_ns)
    begin = Begin(Recording(Path("none")), taken)
    return Outcome(found, Run(**{**usual, "n_samples": 12_345, **run}), begin, snapshot_ns or 0)


PAGED = at(30, severity=Severity.PAGE)
CASES = {
    "nothing": outcome([]),
    "no samples": outcome([], n_samples=0, oldest_ns=2**63 - 1, newest_ns=0, took_s=0.0),
    "all the same": outcome([Difference(Kind.SAME, at(1), at(1))] * 3),
    "every kind": outcome(
        [
            Difference(Kind.SAME, at(0), at(0)),
            Difference(Kind.EARLIER, at(5), at(3.5)),
            Difference(Kind.LATER, at(9), at(75)),
            Difference(Kind.MORE, None, at(20, "cart")),
            Difference(Kind.FEWER, at(25, "search"), None),
            Difference(Kind.SEVERITY, replace(PAGED, severity=Severity.INFO), PAGED),
            Difference(Kind.CHANGED, at(40), at(40, value=9.5)),
        ],
        snapshot_ns=START_NS,
    ),
    "classes and detectors": outcome(
        [
            Difference(Kind.MORE, None, at(1, metric_class=MetricClass.LATENCY)),
            Difference(Kind.MORE, None, at(2, metric_class=MetricClass.ERRORS)),
            Difference(Kind.MORE, None, at(3, metric_class=MetricClass.ERRORS, detector="rex")),
            Difference(Kind.FEWER, at(4, ""), None),
        ]
    ),
    "damaged": outcome([Difference(Kind.SAME, at(1), at(1))], n_missing=17),
    "a steering sender": outcome(
        [
            Difference(
                Kind.MORE,
                None,
                at(1, "\x1b[2Jshop", id="a1", labels={"__name__": "x", "a": "\x1b[2J[red]"}),
            )
        ]
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_people_read_it_as_it_is_written_down(
    case: str, golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    command.show(CASES[case], Output(as_json=False), limit=None)
    printed = capsys.readouterr()

    remarks = " ".join(printed.err.split())
    assert all(one.isprintable() or one == "\n" for one in printed.out)
    data = "\n".join(line.rstrip() for line in printed.out.splitlines())
    golden.check(f"replay_words/{case.replace(' ', '_')}", f"{remarks}\n\n{data}\n")


@pytest.mark.parametrize("case", CASES)
def test_programs_are_told_the_same_counts(case: str) -> None:
    found = CASES[case].differences

    said = command.as_json(CASES[case])

    assert sum(said["counts"].values()) == len(found)
    for kind in command.KINDS:
        assert said["counts"][kind] == sum(one.kind == kind for one in found)
        assert said["counts"][kind] == sum(row[kind] for row in said["services"])
    assert len(said["differences"]) == sum(one.kind != "same" for one in found)
    assert all(one["before"] or one["after"] for one in said["differences"])


@pytest.mark.parametrize(("limit", "n"), [(0, 0), (1, 1), (6, 6), (7, 6), (None, 6)])
def test_as_many_differences_are_printed_as_are_wanted(
    capsys: pytest.CaptureFixture[str], limit: int | None, n: int
) -> None:
    told = CASES["every kind"]

    command.show(told, Output(as_json=False), limit)

    printed = capsys.readouterr()
    assert sum("latency_seconds" in line for line in printed.out.splitlines()) == n
    assert ("--all prints every one" in printed.err) is (n < 6)
