"""CloudEvents 1.0 over HTTP, in their three forms, as changes and as alerts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.signal import WireRows

NOW_NS = 1_767_607_200 * 1_000_000_000
ONE = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "d-77",
    "source": "/ci/payment",
    "type": "dev.deploy.finished",
    "time": "2026-01-05T09:55:00Z",
    "data": {"service": "payment", "version": "v2", "metadata": {"deployed_by": "ci"}},
}
BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "d-77",
    "ce-source": "/ci/payment",
    "ce-type": "dev.deploy.finished",
    "ce-time": "2026-01-05T09:55:00Z",
}


def decode(sent: Any, headers: dict[str, str], name: str = "cloudevents") -> WireRows:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    wire = plugins.load("receiver", name)().decode(body, headers, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def change(sent: Any, headers: dict[str, str]) -> Change:
    (found,) = decode(sent, headers).records
    assert isinstance(found, Change)
    return found


def test_all_three_forms_say_the_same() -> None:
    structured = change(EVENT, ONE)

    assert change([EVENT], BATCH) == structured
    assert change(EVENT["data"], BINARY) == structured
    assert (structured.kind, structured.service) == ("deployment", "payment")
    assert (structured.version, structured.actor, structured.status) == ("v2", "ci", "finished")


def test_an_event_that_comes_again_is_the_same_change_and_another_one_is_not() -> None:
    again = change({**EVENT, "time": "2026-01-05T09:56:00Z"}, ONE)

    assert again.id == change(EVENT, ONE).id
    assert change({**EVENT, "id": "d-78"}, ONE).id != again.id
    assert change({**EVENT, "source": "/ci/other"}, ONE).id != again.id


@pytest.mark.parametrize(
    ("fields", "kind", "service"),
    [
        ({"type": "com.acme.flag.set", "data": {}}, "com.acme.flag.set", "payment"),
        ({"data": {"kind": "config"}, "subject": "shop"}, "config", "shop"),
        ({"data": None}, "deployment", "payment"),
    ],
)
def test_what_the_data_leave_out_the_event_says(
    fields: dict[str, Any], kind: str, service: str
) -> None:
    sent = {name: value for name, value in {**EVENT, **fields}.items() if value is not None}

    found = change(sent, ONE)

    assert (found.kind, found.service) == (kind, service)


def test_headers_are_percent_decoded_once() -> None:
    found = change({}, {**BINARY, "ce-subject": "M%C3%BCnchen%2520x"})

    assert found.service == "M\u00fcnchen%20x"


@pytest.mark.parametrize("missing", ["id", "source", "specversion", "type"])
@pytest.mark.parametrize("form", ["structured", "binary"])
def test_an_event_without_what_each_must_have_is_refused_by_its_name(
    missing: str, form: str
) -> None:
    sent = {name: value for name, value in EVENT.items() if name != missing}
    headers = {name: value for name, value in BINARY.items() if name != f"ce-{missing}"}

    wire = decode(sent, ONE) if form == "structured" else decode(EVENT["data"], headers)

    assert wire.records == ()
    assert f"has no {missing}" in wire.rejects[0].detail


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({"content-type": "application/cloudevents+avro"}, 415),
        ({**BINARY, "content-type": "application/octet-stream"}, 415),
        ({**BINARY, "ce-datacontenttype": "application/json"}, 400),
        ({**BINARY, "ce-subject": "%FF"}, 400),
    ],
)
def test_a_form_that_is_none_of_the_three_is_refused(headers: dict[str, str], status: int) -> None:
    with pytest.raises(BadInput) as refusal:
        decode({}, headers)

    assert refusal.value.status == status


def test_an_alert_comes_in_all_three_forms_too() -> None:
    data = {"severity": "critical", "service": "shop"}
    event = {**EVENT, "type": "HighLatency", "data": data}
    binary = {**BINARY, "ce-type": "HighLatency"}

    found = [
        decode(sent, headers, "cloudevents_alerts").records[0]
        for sent, headers in ((event, ONE), ([event], BATCH), (data, binary))
    ]

    assert found == [found[0]] * 3
    assert isinstance(found[0], Alert)
    assert (found[0].rule, found[0].source) == ("HighLatency", "/ci/payment")
