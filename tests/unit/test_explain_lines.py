"""What is said of anomalies of log lines, and where their lines are."""

from __future__ import annotations

from typing import Any

import pytest

from tests import make
from watchkeeper.analyze.explain import explanation
from watchkeeper.analyze.explain_lines import lines_of
from watchkeeper.api.anomalies import to_json
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import Entity

PATTERN = {"service": "shop", "template": "ab", "pattern": "user <*> came"}


def anomaly(detector: str, labels: dict[str, str], **fields: Any) -> Anomaly:
    usual: dict[str, Any] = {
        "series": "",
        "entity": Entity("shop"),
        "value": 9.0,
        "expected_low": 1.0,
        "expected_high": 2.0,
        "evidence": {},
    }
    return make.anomaly(detector=detector, labels=labels, **(usual | fields))


@pytest.mark.parametrize(
    ("detector", "labels", "evidence", "said"),
    [
        ("log_new", PATTERN, {}, "'user <*> came' of shop is new, 9 of a minute"),
        ("log_rare", PATTERN, {}, "'user <*> came' of shop is hardly ever said"),
        ("log_rate", PATTERN, {}, "'user <*> came' of shop 9 a minute, expected 1 to 2"),
        ("log_rate", {"template": "other"}, {}, "rarer lines of shop 9 a minute, expected 1 to 2"),
        ("log_errors", {}, {}, "errors of shop 9 a minute, expected 1 to 2"),
        ("log_stopped", {}, {}, "lines of shop stopped, where 2 were expected since"),
        ("log_session", {}, {"sessions": 10.0}, "9 of 10 sessions of shop are strange, expected 2"),
        (
            "log_session",
            PATTERN,
            {"sessions": 10.0, "lines": 3.0, "least": 1.0, "most": 2.0},
            "9 of 10 sessions of shop are strange, expected 2: in one 'user <*> came' 3 times, "
            "1 to 2 are usual",
        ),
    ],
)
def test_a_verdict_on_lines_is_a_sentence(
    detector: str, labels: dict[str, str], evidence: dict[str, float], said: str
) -> None:
    told = explanation(anomaly(detector, labels, evidence=evidence))

    assert told.startswith(f"{said}; ")


@pytest.mark.parametrize(
    ("detector", "labels", "asked"),
    [
        ("log_new", PATTERN, {"template": "ab"}),
        ("log_rate", {"template": "other"}, {}),
        ("log_stopped", {}, {}),
        ("log_errors", {}, {"level": "error"}),
        ("log_session", PATTERN | {"trace_id": "7"}, {"trace_id": "7"}),
    ],
)
def test_lines_are_found_by_what_an_anomaly_is_of(
    detector: str, labels: dict[str, str], asked: dict[str, str]
) -> None:
    found = dict(lines_of(anomaly(detector, labels)))

    times = {name: found.pop(name) for name in ("start", "end")}
    assert found == {"query": '{service="shop"}'} | asked
    assert times["start"] < make.anomaly().started_ns < times["end"]


def test_the_api_says_where_lines_are_and_nothing_of_other_anomalies() -> None:
    mine, other = anomaly("log_new", PATTERN), make.anomaly()

    assert to_json(mine)["lines"].startswith("/api/v1/logs/search?query=%7Bservice%3D%22shop%22%7D")
    assert to_json(other)["lines"] is None
