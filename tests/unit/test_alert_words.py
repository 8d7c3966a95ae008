"""What senders of alerts are answered, each in its own protocol's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watchkeeper.api.alert_words import WebhookWords
from watchkeeper.api.door_table import DOORS, door_at, route_of
from watchkeeper.api.doors import Answer
from watchkeeper.errors import BadInput, OverLimit, Retryable, TooLarge, WatchkeeperError
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.signal import Reject

GOOD = Accepted(2, told="inc-42")
PARTLY = Accepted(1, (Reject("bad_item", 1, "item 1: the alert has no labels"),))
WEBHOOKS = [path for path, door in DOORS.items() if isinstance(door.words, WebhookWords)]
BUSY = Retryable("too much is waiting", after_s=2.0)
OVER = OverLimit("the key's limit is reached", after_s=2.0)


def accepted(path: str, what: Accepted) -> Answer:
    return DOORS[path].words.accepted(what, {})


def refused(path: str, error: WatchkeeperError) -> Answer:
    return DOORS[path].words.refused(error, {})


def body(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_prometheus_is_answered_with_nothing() -> None:
    answer = accepted("/api/v2/alerts", GOOD)

    assert (answer.status, answer.body) == (200, b"")


def test_an_alertmanager_says_what_was_bad_as_a_json_string() -> None:
    answer = accepted("/api/v2/alerts", PARTLY)

    assert answer.status == 400
    assert isinstance(body(answer), str)
    assert "item 1: the alert has no labels" in body(answer)


@pytest.mark.parametrize("path", ["/api/v2/alerts", *WEBHOOKS])
@pytest.mark.parametrize("error", [BUSY, OVER])
def test_no_alert_is_lost_by_an_answer_that_its_sender_takes_for_final(
    path: str, error: WatchkeeperError
) -> None:
    answer = refused(path, error)

    assert answer.status == 503
    assert (b"retry-after", b"2") in answer.headers


@pytest.mark.parametrize("path", WEBHOOKS)
def test_a_webhook_is_answered_at_once(path: str) -> None:
    assert accepted(path, GOOD).status in (200, 202)


def test_pagerduty_tells_the_key() -> None:
    answer = accepted("/v2/enqueue", GOOD)

    assert answer.status == 202
    assert body(answer) == {
        "status": "success",
        "message": "Event processed",
        "dedup_key": "inc-42",
    }


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (BadInput("Event object is invalid: no payload"), 400, "invalid event"),
        (TooLarge("larger than 512 KiB"), 413, "error"),
        (OVER, 429, "throttle exceeded"),
        (BUSY, 503, "error"),
    ],
)
def test_pagerduty_says_why_not(error: WatchkeeperError, status: int, word: str) -> None:
    answer = refused("/v2/enqueue", error)

    assert (answer.status, body(answer)["status"]) == (status, word)
    assert body(answer)["errors"] == [str(error)]


def test_keep_is_told_the_name_of_a_task() -> None:
    answer = accepted("/alerts/event/{name}", GOOD)

    assert answer.status == 202
    assert body(answer)["task_name"]


@pytest.mark.parametrize("path", ["/events", "/webhooks/cloudevents"])
@pytest.mark.parametrize(("what", "status"), [(GOOD, 202), (PARTLY, 400)])
def test_an_event_is_taken_or_refused(path: str, what: Accepted, status: int) -> None:
    assert accepted(path, what).status == status


def test_a_door_with_a_name_in_its_path_is_found_with_it() -> None:
    found = door_at("/integrations/v1/grafana/k3y/", "PUT")

    assert found == (DOORS["/integrations/v1/grafana/{name}/"], "k3y")
    assert route_of("/integrations/v1/grafana/k3y/") == "/integrations/v1/grafana/{name}/"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/integrations/v1/grafana/a/b/", "POST"),
        ("/integrations/v1/alertmanager/k/", "PUT"),
        ("/nowhere", "POST"),
        ("/api/v2/alerts", "GET"),
    ],
)
def test_no_other_path_or_method_is_a_door(path: str, method: str) -> None:
    assert door_at(path, method) is None
