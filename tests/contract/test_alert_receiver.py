"""What every receiver of alerts promises: records of what was said, and answers to faults."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import Golden, golden_cases
from watchkeeper import plugins
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers.base import PATH_NAME
from watchkeeper.model import wire as log_wire
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.signal import WireRows

NOW_NS = 1_767_607_200 * 1_000_000_000
START = "2026-01-05T09:50:00Z"
START_NS = NOW_NS - 600 * 1_000_000_000
END = "2026-01-05T09:55:00Z"
END_NS = NOW_NS - 300 * 1_000_000_000
MAKERS_OF_ALERTS = sorted(
    name
    for name in plugins.BUILTIN["receiver"]
    if plugins.load("receiver", name).makes == "alerts" and name != "heartbeat"
)
"""Whose bodies are alerts; what is of heartbeats is in test_heartbeats."""
EVERY = pytest.mark.parametrize("name", MAKERS_OF_ALERTS)
LISTS = pytest.mark.parametrize("name", [one for one in MAKERS_OF_ALERTS if one != "pagerduty"])
"""Whose bodies may have several alerts."""
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Form:
    """How a protocol says that the shop's HighLatency fires, or has ended."""

    fires: Any
    ended: Any
    listed: Callable[[list[Any]], Any]
    """Several of its items as one body."""
    bad: Any = field(default_factory=lambda: {"labels": 7})
    """An item that cannot be read."""
    started_ns: int = START_NS
    """Of one whose protocol has no start: now."""
    ended_ns: int = END_NS
    settings: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


def under_alerts(items: list[Any]) -> Any:
    return {"alerts": items}


_LABELS: Mapping[str, str] = {"alertname": "HighLatency", "service": "shop"}
_NAMED: Mapping[str, Any] = {"name": "HighLatency", "service": "shop"}
_API: Mapping[str, Any] = {**_NAMED, "started_at": START}
_KEEP: Mapping[str, Any] = {**_NAMED, "startedAt": START}
_AM: Mapping[str, Any] = {"labels": _LABELS, "startsAt": START}
_WEBHOOK = Form(
    fires={**_AM, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"},
    ended={**_AM, "status": "resolved", "endsAt": END},
    listed=under_alerts,
)
_EVENT: Mapping[str, Any] = {
    "specversion": "1.0",
    "id": "a-1",
    "source": "/monitor",
    "type": "HighLatency",
    "subject": "shop",
    "time": START,
}
_TITLED: Mapping[str, Any] = {"title": "HighLatency", "labels": {"service": "shop"}}
_PAGED: Mapping[str, Any] = {
    "routing_key": "r",
    "event_action": "trigger",
    "dedup_key": "inc-42",
    "payload": {
        "summary": "p99 1.5 s",
        "source": "mon",
        "severity": "critical",
        "class": "HighLatency",
        "component": "shop",
        "timestamp": START,
    },
}
_PLACES = {
    "items": "alerts",
    "name": "what",
    "service": "about.0",
    "started": "at.from",
    "ended": "at.to",
    "resolved": ["calm"],
}
_MAPPED: Mapping[str, Any] = {"what": "HighLatency", "about": ["shop"], "at": {"from": START}}
FORMS: Mapping[str, Form] = {
    "alerts_json": Form(
        fires=_API, ended={**_API, "status": "resolved", "ended_at": END}, listed=under_alerts
    ),
    "alertmanager": Form(fires=_AM, ended={**_AM, "endsAt": END}, listed=list),
    "alertmanager_webhook": _WEBHOOK,
    "grafana": _WEBHOOK,
    "cloudevents_alerts": Form(
        fires=_EVENT,
        ended={**_EVENT, "data": {"status": "resolved", "ended_at": END}},
        listed=list,
        bad={"specversion": "1.0"},
        headers={"content-type": "application/cloudevents-batch+json"},
    ),
    "keep": Form(
        fires=_KEEP, ended={**_KEEP, "status": "resolved", "lastReceived": END}, listed=list
    ),
    "mapped_alerts": Form(
        fires=_MAPPED,
        ended={**_MAPPED, "at": {"from": START, "to": END}, "status": "Calm"},
        listed=under_alerts,
        settings={"mappings": {"mine": _PLACES}},
        headers={**JSON, PATH_NAME: "mine"},
    ),
    "oncall": Form(
        fires=_TITLED,
        ended={**_TITLED, "state": "ok"},
        listed=list,
        started_ns=NOW_NS,
        ended_ns=NOW_NS,
    ),
    "pagerduty": Form(fires=_PAGED, ended=None, listed=lambda items: items[0]),
}


def decode(
    name: str, sent: Any, headers: Mapping[str, str] | None = None, **limits: int
) -> WireRows:
    form = FORMS[name]
    receiver = plugins.build("receiver", {"use": name, **form.settings, **limits})
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    wire = receiver.decode(body, {**form.headers, **(headers or {})}, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def listed(name: str, *items: Any, **limits: int) -> WireRows:
    return decode(name, FORMS[name].listed(list(items)), **limits)


def alerts_of(wire: WireRows) -> list[Alert]:
    found = [record for record in wire.records if isinstance(record, Alert)]
    assert len(found) == len(wire.records)
    return found


@EVERY
def test_what_fires_is_told_with_its_name_and_when_it_began(name: str) -> None:
    wire = listed(name, FORMS[name].fires)

    (alert,) = alerts_of(wire)
    assert (alert.rule, alert.labels["service"]) == ("HighLatency", "shop")
    assert (alert.status, alert.started_ns) == (AlertStatus.FIRING, FORMS[name].started_ns)
    assert wire.rejects == ()


@LISTS
def test_what_has_ended_is_told_with_its_end_and_is_the_same_alert(name: str) -> None:
    (fires,) = alerts_of(listed(name, FORMS[name].fires))
    (ended,) = alerts_of(listed(name, FORMS[name].ended))

    assert (ended.status, ended.ended_ns) == (AlertStatus.RESOLVED, FORMS[name].ended_ns)
    assert (ended.fingerprint, ended.source) == (fires.fingerprint, fires.source)


@LISTS
def test_one_bad_item_among_good_ones_costs_itself(name: str) -> None:
    form = FORMS[name]

    wire = listed(name, form.fires, form.bad, form.ended)

    assert len(alerts_of(wire)) == 2
    assert [(reject.reason, reject.count) for reject in wire.rejects] == [("bad_item", 1)]
    assert wire.rejects[0].detail.startswith("item 1: ")


@LISTS
def test_every_bad_item_is_named_up_to_a_few(name: str) -> None:
    form = FORMS[name]

    wire = listed(name, *[form.bad] * 7)

    assert wire.rejects[0].count == 7
    assert "item 4: " in wire.rejects[0].detail
    assert wire.rejects[0].detail.endswith("; and 2 more")


@EVERY
@pytest.mark.parametrize("body", [b"", b"{", b"7", b'"x"', b"\xff" * 9, b'{"alerts": 1}'])
def test_what_holds_no_alerts_is_400(name: str, body: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        decode(name, body)

    assert refusal.value.status == 400


@EVERY
@pytest.mark.parametrize("header", [{"content-type": "text/plain"}, {"content-encoding": "br"}])
def test_an_unknown_form_of_body_is_415(name: str, header: dict[str, str]) -> None:
    with pytest.raises(BadInput) as refusal:
        decode(name, b"[]", header)

    assert refusal.value.status == 415


def test_a_name_that_no_mapping_has_is_read_by_the_usual_places() -> None:
    body = {"name": "Full", "service": "db", "status": "ok", "summary": "disk", "severity": "p1"}

    wire = decode("mapped_alerts", body, {PATH_NAME: "nobody"})

    (alert,) = alerts_of(wire)
    assert (alert.rule, alert.source, alert.status) == ("Full", "nobody", AlertStatus.RESOLVED)
    assert (alert.labels["service"], alert.summary) == ("db", "disk")


@EVERY
def test_a_compressed_body_is_read(name: str) -> None:
    form = FORMS[name]
    body = gzip.compress(json.dumps(form.listed([form.fires])).encode())

    wire = decode(name, body, {"content-encoding": "gzip"})

    assert alerts_of(wire) == alerts_of(listed(name, form.fires))


@LISTS
def test_more_alerts_than_allowed_are_413(name: str) -> None:
    fires = FORMS[name].fires

    assert len(listed(name, *[fires] * 3, rows=3).records) == 3
    with pytest.raises(TooLarge):
        listed(name, *[fires] * 4, rows=3)


@EVERY
def test_an_alert_survives_the_log_and_another_process(name: str) -> None:
    (alert,) = alerts_of(listed(name, FORMS[name].fires))

    assert pickle.loads(pickle.dumps(alert)) == alert
    assert log_wire.decode(log_wire.encode(alert)) == alert


@pytest.mark.parametrize(
    "case", [case for case in golden_cases(__file__) if case.startswith("alert_receivers/")]
)
def test_golden_bodies_are_read_as_reviewed(case: str, golden: Golden) -> None:
    _, name, _ = case.split("/")

    golden.check(case, rendered(decode(name, golden.given(case))))


def rendered(wire: WireRows) -> str:
    """A paragraph for each alert and a line for each reject."""
    lines = []
    for alert in alerts_of(wire):
        lines += [
            f"{alert.source} {alert.rule!r} {alert.status} {alert.urgency.name}",
            f"  from {alert.started_ns} to {alert.ended_ns}: {alert.summary!r}",
            f"  labels {json.dumps(dict(alert.labels))}",
            f"  annotations {json.dumps(dict(alert.annotations))}",
            f"  links {json.dumps(dict(alert.links))}",
        ]
    lines += [f"rejected {one.count}: {one.reason}: {one.detail}" for one in wire.rejects]
    lines += ["of now"] if wire.is_of_now else []
    return "\n".join([*lines, ""])


def test_golden_files_are_there_for_every_receiver() -> None:
    cases = [case for case in golden_cases(__file__) if case.startswith("alert_receivers/")]

    assert sorted({case.split("/")[1] for case in cases}) == MAKERS_OF_ALERTS
