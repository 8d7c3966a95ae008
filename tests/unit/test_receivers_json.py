"""Plain JSON beyond the contract: its shapes, times, values and labels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.metric_points import MetricPoints
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.model.series import Kind
from watchkeeper.model.signal import WireSamples

NOW_NS = 1_767_607_200_123_456_789


def decode(body: Any) -> WireSamples:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return MetricsJson(seed=1).decode(raw, {}, now_ns=NOW_NS)


def metric(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "value": 1, **fields}


@pytest.mark.parametrize(
    ("timestamp", "time_ns"),
    [
        (1767607200, 1767607200_000_000_000),
        (1767607200.25, 1767607200_250_000_000),
        (1767607200.123, 1767607200_123_000_000),
        (1767607200123, 1767607200_123_000_000),
        (1767607200123.5, 1767607200_123_500_000),
        (1767607200123456, 1767607200_123_456_000),
        (1767607200123456789, 1767607200_123_456_789),
        (0, 0),
        (-1, -1_000_000_000),
        ("2026-01-05T10:00:00Z", 1767607200_000_000_000),
        ("2026-01-05T10:00:00.123456789Z", 1767607200_123_456_000),
        ("2026-01-05T12:00:00+02:00", 1767607200_000_000_000),
        ("2026-01-05T10:00:00", 1767607200_000_000_000),
        ("2026-01-05 10:00:00", 1767607200_000_000_000),
        (None, NOW_NS),
    ],
)
def test_a_time_is_read_in_any_usual_form(timestamp: Any, time_ns: int) -> None:
    assert decode([metric(timestamp=timestamp)]).time_ns.tolist() == [time_ns]


@pytest.mark.parametrize(
    "name",
    [
        "metrics_json",
        "metric_points",
        "logs_json",
        "log_entries",
        "telemetry_records",
        "deployment",
        "changes_json",
    ],
)
def test_a_name_that_is_not_utf8_is_the_senders_fault(name: str) -> None:
    """It was answered as a fault of the server, which a sender would try again for ever."""
    receiver = plugins.load("receiver", name)()

    with pytest.raises(BadInput, match="utf-8") as refusal:
        receiver.decode(b'{"\xff": 1}', {}, now_ns=NOW_NS)

    assert refusal.value.status == 400


@pytest.mark.parametrize("timestamp", ["", "yesterday", "2026-13-01T00:00:00Z", True, [], {}])
def test_what_is_no_time_costs_its_item(timestamp: Any) -> None:
    wire = decode([metric(timestamp=timestamp), metric()])

    assert len(wire) == 1
    assert [(reject.reason, reject.count) for reject in wire.rejects] == [("bad_item", 1)]
    assert wire.rejects[0].detail.startswith("item 0: ")


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 10**25])
def test_a_time_that_no_integer_holds_costs_its_item(timestamp: Any) -> None:
    wire = decode([metric(timestamp=timestamp), metric()])

    assert len(wire) == 1
    assert sum(reject.count for reject in wire.rejects) == 1


@pytest.mark.parametrize(
    ("value", "read"),
    [(3, "3.0"), (-0.5, "-0.5"), ("NaN", "nan"), ("+Inf", "inf"), ("-Inf", "-inf"), ("2.5", "2.5")],
)
def test_a_value_is_a_number_or_the_word_for_one(value: Any, read: str) -> None:
    assert repr(decode([metric(value=value)]).value.tolist()[0]) == read


@pytest.mark.parametrize("value", [None, True, "", "many", [], {}, "1e"])
def test_what_is_no_value_costs_its_item(value: Any) -> None:
    wire = decode([metric(value=value), metric()])

    assert len(wire) == 1
    assert wire.rejects[0].reason == "bad_item"


def test_a_number_beyond_doubles_costs_its_item() -> None:
    wire = decode(b'[{"name":"m","value":1e999},{"name":"m","value":1}]')

    assert wire.value.tolist() == [1.0]
    assert wire.rejects[0].count == 1


def test_labels_are_scalars_as_json_writes_them() -> None:
    labels = {"text": "a", "int": 3, "float": 0.5, "bool": True, "null": None}

    assert samples_of(decode([metric(labels=labels)]))[0][0] == {
        "__name__": "m",
        "text": "a",
        "int": "3",
        "float": "0.5",
        "bool": "true",
    }


def test_service_and_environment_are_labels_unless_they_are_given_as_such() -> None:
    item = metric(service="a", environment="prod", labels={"service": "b"})

    assert samples_of(decode([item]))[0][0] == {
        "__name__": "m",
        "service": "b",
        "environment": "prod",
    }


def test_the_name_of_the_metric_is_its_name() -> None:
    item = metric(labels={"__name__": "other"})

    assert samples_of(decode([item]))[0][0] == {"__name__": "m"}


def test_the_sender_may_say_what_sort_of_metric_it_is() -> None:
    wire = decode([metric(type="gauge"), metric(type="counter"), metric()])

    assert wire.kind.tolist() == [Kind.GAUGE, Kind.COUNTER, Kind.BY_NAME]


@pytest.mark.parametrize("text", ['"\\u0000"', '"🙂"', '""'])
def test_odd_text_harms_nobody_else(text: str) -> None:
    body = f'[{{"name":"m","value":1,"labels":{{"a":{text}}}}},{{"name":"n","value":2}}]'

    wire = decode(body.encode())

    assert len(wire) + sum(reject.count for reject in wire.rejects) == 2
    assert samples_of(wire)[-1][0] == {"__name__": "n"}


@pytest.mark.parametrize(
    "body", [b'"text"', b"7", b"null", b"{}", b'{"metrics": 7}', b"[1", b"{]", rb'["\ud800"]']
)
def test_what_is_no_list_of_metrics_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        decode(body)
    assert refusal.value.status == 400


def test_nesting_beyond_reason_is_refused() -> None:
    with pytest.raises(BadInput):
        decode(b"[" * 200_000)
    wire = decode(b'[{"name":"m","value":1,"labels":' + b"[" * 900 + b"]" * 900 + b"}]")
    assert len(wire) == 0


def test_a_metric_point_may_come_alone_in_a_list_or_under_metrics() -> None:
    point = {"metric_name": "up", "value": 1.0, "timestamp": 1767607200, "labels": {"service": "a"}}
    wanted = ({"__name__": "up", "service": "a"}, 1767607200_000_000_000, 1.0)
    receiver = MetricPoints(seed=1)

    for body in (point, [point], {"metrics": [point]}):
        wire = receiver.decode(json.dumps(body).encode(), {}, now_ns=NOW_NS)
        assert samples_of(wire) == [wanted]


def test_a_lone_point_that_is_none_says_what_it_lacks() -> None:
    wire = MetricPoints().decode(b'{"value": 1}', {}, now_ns=NOW_NS)

    assert len(wire) == 0
    assert "metric_name" in wire.rejects[0].detail
