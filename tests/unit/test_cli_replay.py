"""What `watchkeeper replay` says, to people and to programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.detection_config import DetectionConfig, Sensitivity
from watchkeeper.analyze.difference import Difference, Kind
from watchkeeper.cli import build_parser, main, words
from watchkeeper.cli import replay as command
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output
from watchkeeper.config.loading import section
from watchkeeper.errors import ConfigError
from watchkeeper.lake.recording.recording import Recording
from watchkeeper.lake.recording.snapshot import Snapshot
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity
from watchkeeper.parts.replay import Begin, Outcome, Run

MINUTE_NS = 60 * NS_PER_S


def at(minute: float, **fields: Any) -> Anomaly:
    return make.anomaly(started_ns=START_NS + round(minute * MINUTE_NS), **fields)


def outcome(*found: Difference, snapshot_ns: int | None = None, n_missing: int = 0) -> Outcome:
    run = Run(
        now_ns=START_NS,
        oldest_ns=START_NS,
        newest_ns=START_NS + 7 * 1440 * MINUTE_NS,
        position=99,
        n_records=98,
        n_samples=2_100_000,
        n_missing=n_missing,
        took_s=41.0,
    )
    taken = None if snapshot_ns is None else Snapshot(Path("a.snapshot"), 1, snapshot_ns)
    return Outcome(found, run, Begin(Recording(Path("none")), taken), snapshot_ns or 0)


def said(
    capsys: pytest.CaptureFixture[str], told: Outcome, limit: int | None = None
) -> tuple[str, str]:
    """(data, remarks)."""
    command.show(told, Output(as_json=False), limit)
    printed = capsys.readouterr()
    return printed.out, " ".join(printed.err.split())


def slow(anomaly: Anomaly | None) -> Anomaly | None:
    return None if anomaly is None else replace(anomaly, metric_class=MetricClass.LATENCY)


def columns(line: str) -> list[str]:
    return line.split()


SAME = Difference(Kind.SAME, at(0), at(0))
EARLIER = Difference(Kind.EARLIER, at(5), at(3.5))
LATER = Difference(Kind.LATER, at(5), at(6))
MORE = Difference(Kind.MORE, None, at(9, entity=Entity(service="cart")))
FEWER = Difference(Kind.FEWER, at(9), None)
CHECKOUT = (SAME, SAME, EARLIER, FEWER)
GRADED = Difference(Kind.SEVERITY, at(2, severity=Severity.INFO), at(2))


def test_the_speed_is_stated_and_where_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    _, fresh = said(capsys, outcome(SAME))
    _, known = said(capsys, outcome(SAME, snapshot_ns=START_NS))

    assert "replayed 2.1M samples of 7d in 41s" in fresh
    assert "from the beginning of the record, where nothing was known" in fresh
    assert f"with what was known at {words.moment_of(START_NS / NS_PER_S)}" in known


def test_a_table_counts_by_service_class_and_detector(capsys: pytest.CaptureFixture[str]) -> None:
    told = [replace(one, after=slow(one.after), before=slow(one.before)) for one in CHECKOUT]
    data, _ = said(capsys, outcome(*told, MORE))

    head, cart, checkout = data.splitlines()[:3]
    assert columns(head) == ["service", "class", "detector", *command.KINDS]
    assert columns(cart) == ["cart", "other", "fk", "1"]
    assert columns(checkout) == ["checkout", "latency", "fk", "2", "1", "1"]


@pytest.mark.parametrize(
    ("difference", "parts"),
    [
        (EARLIER, ["earlier", "-1m 30s"]),
        (LATER, ["later", "+1m"]),
        (MORE, ["more"]),
        (FEWER, ["fewer"]),
        (GRADED, ["severity", "info > evidence"]),
    ],
    ids=lambda one: one.kind.value if isinstance(one, Difference) else "",
)
def test_each_difference_has_a_line(
    capsys: pytest.CaptureFixture[str], difference: Difference, parts: Sequence[str]
) -> None:
    data, _ = said(capsys, outcome(SAME, difference))

    line = data.splitlines()[-1]
    assert line.startswith(parts[0])
    assert all(part in line for part in parts)
    assert 'latency_seconds{service="checkout"}' in line
    assert difference.anomaly.id in line


def test_what_is_equal_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = said(capsys, outcome(SAME, SAME))

    assert len(data.splitlines()) == 2


def test_many_differences_are_cut_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    data, remarks = said(capsys, outcome(MORE, FEWER, EARLIER), limit=2)

    assert len([line for line in data.splitlines() if "latency_seconds" in line]) == 2
    assert "the first 2 of 3; --all prints every one" in remarks


def test_nothing_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    data, remarks = said(capsys, outcome())

    assert data == ""
    assert "no anomalies, then or now" in remarks


def test_damaged_records_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    _, remarks = said(capsys, outcome(SAME, n_missing=3))

    assert "3 damaged records are missing" in remarks


def test_programs_are_told_all_of_it() -> None:
    told = json.loads(msgspec.json.encode(command.as_json(outcome(SAME, EARLIER, MORE))))

    assert told["counts"] == dict.fromkeys(command.KINDS, 0) | {
        "same": 1, "earlier": 1, "more": 1,
    }  # fmt: skip
    assert [one["service"] for one in told["services"]] == ["cart", "checkout"]
    assert [one["class"] for one in told["services"]] == ["other", "other"]
    assert [one["kind"] for one in told["differences"]] == ["earlier", "more"]
    assert (
        told["differences"][0]["before"]["started_at"]
        > (told["differences"][0]["after"]["started_at"])
    )
    assert told["differences"][1]["before"] is None
    assert (told["samples"], told["took_s"], told["position"]) == (2_100_000, 41.0, 99)
    assert (told["knew"], told["from"]) == (None, None)


@pytest.mark.parametrize(
    ("expected", "found", "status"),
    [
        (None, [MORE], Exit.OK),
        ("same", [SAME], Exit.OK),
        ("same", [], Exit.OK),
        ("same", [SAME, MORE], Exit.NO),
    ],
)
def test_the_exit_status_is_a_no_only_where_equality_is_expected(
    expected: str | None, found: Sequence[Difference], status: Exit
) -> None:
    given = argparse.Namespace(expect=expected)

    assert command.status(given, outcome(*found)) == status


def test_a_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--from", "soon"]) == Exit.USAGE
    assert "--from: 'soon' is no time" in capsys.readouterr().err


def test_its_flags_are_known_without_what_a_server_needs() -> None:
    given = build_parser("replay").parse_args(["replay", "--from", "6h", "--config", "a.yaml"])

    assert (given.since, given.until, given.config) == ("6h", None, Path("a.yaml"))


# The settings to try


def written(folder: Path, text: str) -> Path:
    file = folder / "tried.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "detection: {sensitivity: low}",
        "sensitivity: low",
        "server: {port: 1}\ndetection: {sensitivity: low}",
        '{"sensitivity": "low"}',
    ],
    ids=["the section", "what stands below it", "a configuration", "JSON"],
)
def test_settings_to_try_are_found_in_what_people_have(tmp_path: Path, text: str) -> None:
    found = section(written(tmp_path, text), "detection", environment={})

    assert isinstance(found, DetectionConfig)
    assert found.sensitivity is Sensitivity.LOW


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("server: {port: 1}", "detection: is missing; write `detection:`"),
        ("sensitivity_: low", "sensitivity_"),
        ("detection: {sensitivity: loud}", "sensitivity"),
        ("- 1", "detection"),
        ("a: [", "is no YAML"),
    ],
)
def test_settings_to_try_are_checked(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        section(written(tmp_path, text), "detection", environment={})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        section(tmp_path / "none.yaml", "detection", environment={})
