"""What all receivers of alerts check and complete alike: times, status, urgency, summary."""

from __future__ import annotations

from typing import Any

import pytest

from watchkeeper.ingest.receivers.alerts import MAX_KEY_BYTES, Told, alert_of, filled, is_over
from watchkeeper.model.alert import Alert, AlertStatus, Urgency

S = 1_000_000_000
NOW_NS = 1_767_607_200 * S
NOW = "2026-01-05T10:00:00Z"
BEFORE = "2026-01-05T09:50:00Z"
AFTER = "2026-01-05T10:10:00Z"
TEN_MIN_NS = 600 * S


def told(**fields: Any) -> tuple[Alert, bool]:
    given: dict[str, Any] = {"source": "test", "labels": {"alertname": "Slow"}, **fields}
    return alert_of(Told(**given), NOW_NS)


def alert(**fields: Any) -> Alert:
    return told(**fields)[0]


@pytest.mark.parametrize(
    ("starts", "ends", "status", "start_s", "end_s"),
    [
        (BEFORE, None, AlertStatus.FIRING, -600, None),
        (BEFORE, AFTER, AlertStatus.FIRING, -600, 600),
        (BEFORE, NOW, AlertStatus.RESOLVED, -600, 0),
        (BEFORE, BEFORE, AlertStatus.RESOLVED, -600, -600),
        (None, None, AlertStatus.FIRING, 0, None),
        (None, AFTER, AlertStatus.FIRING, 0, 600),
        (None, BEFORE, AlertStatus.RESOLVED, -600, -600),
        (BEFORE, "0001-01-01T00:00:00Z", AlertStatus.FIRING, -600, None),
        ("", "", AlertStatus.FIRING, 0, None),
        (1_767_606_600, None, AlertStatus.FIRING, -600, None),
        (1_767_606_600_000, None, AlertStatus.FIRING, -600, None),
    ],
)
def test_without_a_word_the_times_say_whether_it_fires(
    starts: Any, ends: Any, status: AlertStatus, start_s: int, end_s: int | None
) -> None:
    found = alert(starts=starts, ends=ends)

    assert found.status is status
    assert found.started_ns == NOW_NS + start_s * S
    assert found.ended_ns == (None if end_s is None else NOW_NS + end_s * S)


@pytest.mark.parametrize(
    ("starts", "ends", "ended_s"),
    [(BEFORE, None, 0), (None, None, 0), (AFTER, None, 600), (BEFORE, AFTER, 600)],
)
def test_what_is_said_to_be_over_has_an_end_and_never_before_its_start(
    starts: Any, ends: Any, ended_s: int
) -> None:
    found = alert(starts=starts, ends=ends, status="resolved")

    assert (found.status, found.ended_ns) == (AlertStatus.RESOLVED, NOW_NS + ended_s * S)
    assert found.started_ns <= NOW_NS + ended_s * S


def test_a_word_counts_for_more_than_an_end_that_is_over() -> None:
    assert alert(starts=BEFORE, ends=NOW, status="firing").status is AlertStatus.FIRING


def test_what_lasts_for_a_while_is_taken_for_ended_after_it() -> None:
    found, is_of_now = told(starts=BEFORE, lasts_ns=TEN_MIN_NS)

    assert (found.status, found.ended_ns) == (AlertStatus.FIRING, NOW_NS + TEN_MIN_NS)
    assert is_of_now


@pytest.mark.parametrize(
    ("fields", "is_of_now"),
    [
        ({"starts": BEFORE}, False),
        ({}, True),
        ({"ends": BEFORE}, True),
        ({"starts": BEFORE, "status": "resolved"}, True),
        ({"starts": BEFORE, "ends": NOW, "status": "resolved"}, False),
        ({"starts": BEFORE, "ends": AFTER, "lasts_ns": TEN_MIN_NS}, False),
    ],
)
def test_what_leaves_out_a_time_is_of_now(fields: dict[str, Any], is_of_now: bool) -> None:
    assert told(**fields)[1] is is_of_now


@pytest.mark.parametrize(("starts", "is_told"), [(BEFORE, True), (None, False), ("", False)])
def test_a_start_that_nobody_told_is_known_for_one(starts: Any, is_told: bool) -> None:
    assert alert(starts=starts).is_start_told is is_told


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"labels": {}}, "no labels"),
        ({"labels": {"alertname": "", "service": None}}, "no labels"),
        ({"starts": NOW, "ends": BEFORE}, "ends before it starts"),
        ({"starts": 10**19}, "1678 to 2262"),
        ({"starts": "9999-01-01T00:00:00Z"}, "1678 to 2262"),
        ({"starts": "soon"}, "soon"),
        ({"key": "k" * (MAX_KEY_BYTES + 1)}, "255 bytes"),
        ({"key": "ö" * MAX_KEY_BYTES}, "255 bytes"),
    ],
)
def test_what_is_no_alert_is_refused_in_words(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        alert(**fields)


@pytest.mark.parametrize("word", ["resolved", "OK", " Closed ", "normal", "recovered", "inactive"])
def test_words_for_an_end_are_known_in_any_case(word: str) -> None:
    assert is_over(word)
    assert alert(status=word).status is AlertStatus.RESOLVED


@pytest.mark.parametrize("word", ["firing", "alerting", "pending", "unresolved", "not ok", "?"])
def test_any_other_word_fires(word: str) -> None:
    assert not is_over(word)
    assert alert(status=word).status is AlertStatus.FIRING


@pytest.mark.parametrize(
    ("labels", "word", "urgency"),
    [
        ({}, "", Urgency.WARNING),
        ({"severity": "critical"}, "", Urgency.CRITICAL),
        ({"priority": "P2"}, "", Urgency.ERROR),
        ({"level": "info"}, "", Urgency.INFO),
        ({"severity": "info", "priority": "p1", "level": "error"}, "", Urgency.INFO),
        ({"severity": "critical"}, "info", Urgency.INFO),
        ({"severity": "purple"}, "", Urgency.WARNING),
    ],
)
def test_how_grave_it_is_a_word_says_before_a_label(
    labels: dict[str, str], word: str, urgency: Urgency
) -> None:
    assert alert(labels={"alertname": "Slow", **labels}, urgency=word).urgency is urgency


@pytest.mark.parametrize(
    ("annotations", "summary", "found"),
    [
        ({}, "", ""),
        ({"description": "long", "summary": "short"}, "", "short"),
        ({"message": "said", "title": "named"}, "", "named"),
        ({"description": "long"}, "", "long"),
        ({"summary": "", "description": "long"}, "", "long"),
        ({"summary": "short"}, "told", "told"),
    ],
)
def test_what_it_is_about_is_told_by_the_best_annotation(
    annotations: dict[str, str], summary: str, found: str
) -> None:
    assert alert(annotations=annotations, summary=summary).summary == found


def test_labels_become_texts_and_empty_ones_are_none() -> None:
    given = {"n": 7, "share": 0.5, "is": True, "none": None, "empty": "", "text": "x"}

    assert filled(given) == {"n": "7", "share": "0.5", "is": "true", "text": "x"}


def test_links_that_lead_nowhere_are_left_out() -> None:
    found = alert(links={"rule": "http://prom/graph", "silence": ""})

    assert found.links == {"rule": "http://prom/graph"}
