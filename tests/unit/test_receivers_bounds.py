"""What a body becomes in memory is bounded before it is made, whatever it consists of."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any, Final

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests import examples, make
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers import bounds, bounds_kernel
from watchkeeper.ingest.receivers.changes_json import ChangesJson
from watchkeeper.ingest.receivers.limits import Limits, RowLimits
from watchkeeper.ingest.receivers.logs_json import LogsJson
from watchkeeper.ingest.receivers.loki import Loki
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.ingest.receivers.otlp_logs import OtlpLogs
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.otlp_traces import OtlpTraces
from watchkeeper.ingest.receivers.telemetry_records import TelemetryRecords
from watchkeeper.ingest.receivers.zipkin import Zipkin

JSON: Final = {"content-type": "application/json"}
PROTOBUF: Final = {"content-type": "application/x-protobuf", "content-encoding": "identity"}
SIZE: Final = 2 << 20
ROWS: Final = RowLimits(rows=10_000)


def filled(before: str, one: str, after: str) -> bytes:
    """A body of SIZE that is a list of the smallest items."""
    items = ",".join([one] * (SIZE // (len(one) + 1)))
    return f"{before}{items}{after}".encode()


def sized(tag: int, raw: bytes) -> bytes:
    """A field of protobuf."""
    size, left = bytearray([tag]), len(raw)
    while left > 0x7F:
        size.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*size, left]) + raw


def nested(raw: bytes, *tags: int) -> bytes:
    """Within messages, of which the first is the outermost."""
    for tag in reversed(tags):
        raw = sized(tag, raw)
    return raw


def decoded(receiver: Any, body: bytes, headers: Mapping[str, str]) -> Any:
    return receiver.decode(body, headers, now_ns=make.START_NS)


HOSTILE: Final[list[tuple[Callable[[], Any], bytes, Mapping[str, str]]]] = [
    (lambda: LogsJson(ROWS), filled("[", "1", "]"), JSON),
    (lambda: LogsJson(ROWS), filled('{"logs":[', "1", "]}"), JSON),
    (lambda: LogsJson(ROWS), filled("{", '"":1', "}"), JSON),
    (lambda: LogsJson(ROWS), b"1\n" * (SIZE // 2), {"content-type": "application/x-ndjson"}),
    (lambda: ChangesJson(ROWS), filled("[", "1", "]"), JSON),
    (lambda: TelemetryRecords(ROWS), filled("[", "1", "]"), JSON),
    (lambda: MetricsJson(Limits(samples=10_000)), filled("[", "1", "]"), JSON),
    (lambda: Zipkin(ROWS), filled("[", "1", "]"), JSON),
    (lambda: Zipkin(ROWS), b"\x0a\x00" * (SIZE // 2), PROTOBUF),
    (lambda: Loki(ROWS), filled('{"streams":[', "{}", "]}"), JSON),
    (lambda: Loki(ROWS), filled('{"streams":[{"values":[', "1", "]}]}"), JSON),
    (lambda: Loki(ROWS), nested(b"\x12\x00" * (SIZE // 2), 0x0A), PROTOBUF),
    (lambda: OtlpLogs(ROWS), filled('{"resourceLogs":[', "{}", "]}"), JSON),
    (
        lambda: OtlpLogs(ROWS),
        filled('{"resourceLogs":[{"scopeLogs":[{"logRecords":[', "1", "]}]}]}"),
        JSON,
    ),
    (lambda: OtlpLogs(ROWS), b"\x0a\x00" * (SIZE // 2), PROTOBUF),
    (lambda: OtlpLogs(ROWS), nested(b"\x12\x00" * (SIZE // 2), 0x0A, 0x12), PROTOBUF),
    (
        lambda: OtlpTraces(ROWS),
        filled('{"resourceSpans":[{"scopeSpans":[{"spans":[', "1", "]}]}]}"),
        JSON,
    ),
    (lambda: OtlpTraces(ROWS), nested(b"\x12\x00" * (SIZE // 2), 0x0A, 0x12), PROTOBUF),
    (
        lambda: OtlpMetrics(Limits(samples=10_000)),
        filled(
            '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[',
            "1",
            "]}}]}]}]}",
        ),
        JSON,
    ),
]


@pytest.mark.parametrize(
    ("receiver", "body", "headers"),
    HOSTILE,
    ids=[f"{number}-{body[:12]!r}" for number, (_, body, _) in enumerate(HOSTILE)],
)
def test_countless_tiny_items_are_refused_before_they_take_memory(
    receiver: Callable[[], Any], body: bytes, headers: Mapping[str, str]
) -> None:
    opened = receiver()  # and what it compiles at first
    with pytest.raises(TooLarge):
        decoded(opened, body, headers)

    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="more than"):
            decoded(opened, body, headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 5 * len(body)


MANY: Final = b"\x0a\x00" * (bounds.SMALL_BYTES // 2 + 1)
"""Empty values of a list of AnyValue."""


@pytest.mark.parametrize(
    "record",
    [nested(MANY, 0x2A, 0x2A), sized(0x32, sized(0x0A, b"a") + nested(MANY, 0x12, 0x2A))],
    ids=["body", "attribute"],
)
def test_a_line_of_countless_values_costs_itself_only(record: bytes) -> None:
    lines = sized(0x12, record) + nested(b"told", 0x12, 0x2A, 0x0A)
    body = nested(lines, 0x0A, 0x12)

    rows = decoded(OtlpLogs(), body, PROTOBUF)

    assert [rows.records[0].body.text(row) for row in range(len(rows.records[0]))] == ["told"]
    assert [(one.reason, one.count) for one in rows.rejects] == [("bad_item", 1)]
    assert f"more than {bounds.MAX_VALUES} values" in rows.rejects[0].detail


def test_an_item_of_countless_values_costs_itself_only() -> None:
    labels = {f"l{n}": 1 for n in range(bounds.MAX_VALUES + 1)}
    items = [{"message": "hostile", "labels": labels}, {"message": "told"}]

    rows = decoded(LogsJson(), json.dumps(items).encode(), JSON)

    assert [rows.records[0].body.text(row) for row in range(len(rows.records[0]))] == ["told"]
    assert [(one.reason, one.count) for one in rows.rejects] == [("bad_item", 1)]


def test_a_stream_whose_labels_are_none_costs_itself_only() -> None:
    streams = [{"stream": stream, "values": [["1", "told"]]} for stream in ([1], {"a": "b"})]

    rows = decoded(Loki(), json.dumps({"streams": streams}).encode(), JSON)

    assert [rows.records[0].body.text(row) for row in range(len(rows.records[0]))] == ["told"]
    assert [(one.reason, one.count) for one in rows.rejects] == [("bad_labels", 1)]


def test_a_resource_of_countless_attributes_is_refused() -> None:
    resource = nested(MANY, 0x0A)
    body = nested(resource + nested(b"", 0x12), 0x0A)

    with pytest.raises(BadInput, match="a resource or its scope: it has more than"):
        decoded(OtlpLogs(), body, PROTOBUF)


def test_a_body_of_countless_values_is_refused_whole() -> None:
    body = nested(b"\x0a\x00" * (bounds.MAX_BODY_VALUES + 1), 0x0A, 0x12, 0x12, 0x2A, 0x2A)

    with pytest.raises(TooLarge, match=f"more than {bounds.MAX_BODY_VALUES} attributes and values"):
        decoded(OtlpLogs(), body, PROTOBUF)


values = st.recursive(
    st.none() | st.text('ab\\"[]{},é', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a[,"', max_size=3), inner),
    max_leaves=20,
)


@given(values)
def test_json_is_counted_as_it_is(value: Any) -> None:
    in_lists, in_objects = np.zeros((2, bounds_kernel.DEPTHS), np.int64)
    text = json.dumps(value).encode()

    bounds_kernel.count_json(np.frombuffer(text, np.uint8), in_lists, in_objects)

    assert (int(in_lists.sum()), int(in_objects.sum())) == counted(value)


def counted(value: Any) -> tuple[int, int]:
    """Elements of lists and members of objects; what is empty counts as one."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [counted(one) for one in (value if isinstance(value, list) else value.values())]
    lists, objects = (sum(one[k] for one in inner) for k in (0, 1))
    n = max(1, len(value))
    return (lists + n, objects) if isinstance(value, list) else (lists, objects + n)


@examples.MANY
@given(st.binary(max_size=60), st.sampled_from(["AnyValue", "ExportLogsServiceRequest", "Span"]))
def test_whatever_is_sent_can_be_counted(raw: bytes, name: str) -> None:
    counts = bounds._message_counts(raw, name)  # noqa: SLF001 - what is small is not counted

    assert all(0 <= n <= len(raw) for n in counts.values())
