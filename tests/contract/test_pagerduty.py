"""PagerDuty Events v2: what an event must have, and the key that it is known by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watchkeeper import plugins
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.signal import WireRows

NOW_NS = 1_767_607_200 * 1_000_000_000
PAYLOAD = {"summary": "error spike", "source": "mon", "severity": "error", "component": "shop"}
TRIGGER: dict[str, Any] = {"routing_key": "r", "event_action": "trigger", "payload": PAYLOAD}


def decode(sent: Any) -> WireRows:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    wire = plugins.load("receiver", "pagerduty")().decode(body, {}, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def test_an_event_without_a_key_is_given_the_same_one_each_time() -> None:
    first, again = decode(TRIGGER), decode({**TRIGGER, "client": "another"})

    assert first.told
    assert first.told == again.told
    assert decode({**TRIGGER, "routing_key": "other"}).told != first.told


def test_a_resolve_names_the_key_alone() -> None:
    wire = decode({"routing_key": "r", "event_action": "resolve", "dedup_key": "k"})

    (alert,) = wire.records
    assert isinstance(alert, Alert)
    assert (alert.status, alert.key, wire.told) == (AlertStatus.RESOLVED, "k", "k")


def test_an_acknowledgement_is_taken_and_no_alert() -> None:
    wire = decode({"routing_key": "r", "event_action": "acknowledge", "dedup_key": "k"})

    assert wire == WireRows((), told="k")


@pytest.mark.parametrize(
    "sent",
    [
        {**TRIGGER, "routing_key": ""},
        {**TRIGGER, "event_action": "shout"},
        {**TRIGGER, "dedup_key": "k" * 256},
        {**TRIGGER, "payload": None},
        {**TRIGGER, "payload": {**PAYLOAD, "summary": ""}},
        {**TRIGGER, "payload": {**PAYLOAD, "severity": "loud"}},
        {**TRIGGER, "payload": {**PAYLOAD, "timestamp": "yesterday"}},
        {"routing_key": "r", "event_action": "resolve"},
        [TRIGGER, TRIGGER],
        [],
    ],
)
def test_an_event_that_is_not_whole_is_400(sent: Any) -> None:
    with pytest.raises(BadInput, match="Event object is invalid") as refusal:
        decode(sent)

    assert refusal.value.status == 400


def test_an_event_of_more_than_512_kib_is_413() -> None:
    with pytest.raises(TooLarge):
        decode({**TRIGGER, "payload": {**PAYLOAD, "custom_details": "x" * (512 << 10)}})
