"""Receivers of lines, case by case: forms of ids and labels, and bodies within bodies."""

from __future__ import annotations

import gzip
import json
from typing import Any

import cramjam
import numpy as np
import pytest

from tests.log_senders import Sent, facts_of, facts_sent, many, write_loki, write_loki_json
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers import ids
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.lines import utf8
from watchkeeper.ingest.receivers.logs_json import LogsJson
from watchkeeper.ingest.receivers.loki import Loki
from watchkeeper.ingest.receivers.loki_labels import labels_of
from watchkeeper.ingest.receivers.otlp_logs import OtlpLogs
from watchkeeper.model.signal import LogBatch, WireRows

NOW_NS = 1_767_607_200_000_000_000
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def snappy(plain: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(plain))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5b8efff798038103d269b633813fc60c", "5b8efff798038103d269b633813fc60c"),
        ("5B8EFFF798038103D269B633813FC60C", "5b8efff798038103d269b633813fc60c"),
        ("d269b633813fc60c", "0000000000000000d269b633813fc60c"),
        ("", "0" * 32),
    ],
)
def test_a_trace_id_is_read_from_hex(text: str, found: str) -> None:
    assert ids.trace_id(text).hex() == found


@pytest.mark.parametrize(
    "text", ["xyz", "5b8e", "0x" + "0" * 30, "5b 8e" * 6 + "5b", "é" * 32, " " + "5b" * 16]
)
def test_what_is_no_trace_id_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no trace id; write 32 hex digits"):
        ids.trace_id(text)


@pytest.mark.parametrize("text", ["0", "d269b633813fc60c" * 2])
def test_what_is_no_span_id_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no span id; write 16 hex digits"):
        ids.span_id(text)


def test_ids_become_columns_with_their_first_byte_in_front() -> None:
    trace = ids.column([bytes(range(16)), ids.NO_TRACE], ids.TRACE_BYTES)
    span = ids.column([bytes(range(8))], ids.SPAN_BYTES)

    assert trace.tolist() == [[0x0001020304050607, 0x08090A0B0C0D0E0F], [0, 0]]
    assert span.tolist() == [0x0001020304050607]
    assert ids.column([], ids.TRACE_BYTES).shape == (0, 2)
    assert (trace.dtype, span.dtype) == (np.dtype(np.uint64), np.dtype(np.uint64))


def test_lines_that_are_sound_only_side_by_side_are_not_taken_for_sound() -> None:
    """Two halves of one character, at the end of a line and at the start of the next."""
    column = utf8([b"a\xc3", b"\xa9b", "é".encode()])

    assert [column[row].decode() for row in range(3)] == ["a\ufffd", "\ufffdb", "é"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        (' { a = "b" , c="d", } ', {"a": "b", "c": "d"}),
        (r'{a="\"\\\n\t\x41\u00e9\U0001F600"}', {"a": '"\\\n\tAé😀'}),
        (r"{a=`b\n`}", {"a": r"b\n"}),
        ('{service.name="x"}', {"service.name": "x"}),
        ('{a="1", a="2"}', {"a": "2"}),
        ('{a="},{"}', {"a": "},{"}),
    ],
)
def test_labels_of_a_stream_are_read(text: str, labels: dict[str, str]) -> None:
    assert labels_of(text) == labels


@pytest.mark.parametrize(
    "text",
    ["", "a=b", "{a}", "{a=b}", '{a="b" c="d"}', '{a="b}', '{="b"}', r'{a="\q"}', r'{a="\ud800"}',
     r'{a="\U00110000"}', '{,}'],
)  # fmt: skip
def test_what_are_no_labels_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says depends on the fault
        labels_of(text)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (PROTOBUF, snappy(write_loki(many(3)))),
        ({**PROTOBUF, "content-encoding": "snappy"}, snappy(write_loki(many(3)))),
        ({**PROTOBUF, "content-encoding": "gzip"}, gzip.compress(snappy(write_loki(many(3))))),
        ({**PROTOBUF, "content-encoding": "gzip"}, gzip.compress(write_loki(many(3)))),
        ({**JSON, "content-encoding": "snappy"}, snappy(write_loki_json(many(3)))),
    ],
)
def test_loki_takes_what_its_clients_compress(headers: dict[str, str], body: bytes) -> None:
    wire = Loki().decode(body, headers, now_ns=NOW_NS)

    assert facts_of(wire) == facts_sent(many(3))


def test_loki_refuses_what_claims_to_be_more_than_it_can_be() -> None:
    with pytest.raises(BadInput, match="cannot become the 16777216 that they claim"):
        Loki().decode(b"\x80\x80\x80\x08" + bytes(9), PROTOBUF, now_ns=NOW_NS)


def test_loki_refuses_snappy_beyond_the_limit_before_it_is_unpacked() -> None:
    with pytest.raises(TooLarge):
        Loki(RowLimits(decompressed_bytes=1000)).decode(
            snappy(bytes(1001)), PROTOBUF, now_ns=NOW_NS
        )


def test_a_stream_whose_labels_cannot_be_read_costs_its_own_lines() -> None:
    streams: list[dict[str, Any]] = [
        {"labels": "{a=b}", "entries": [{"ts": "2026-01-05T10:00:00Z", "line": "x"}] * 3},
        {"stream": {"service": "shop"}, "values": [[str(NOW_NS), "y"]]},
    ]

    wire = Loki().decode(json.dumps({"streams": streams}).encode(), JSON, now_ns=NOW_NS)

    assert [(one.reason, one.count) for one in wire.rejects] == [("bad_labels", 3)]
    assert facts_of(wire) == [("shop", "y", 0, NOW_NS)]


def test_metadata_of_a_line_goes_before_the_level_of_its_stream() -> None:
    stream = {"stream": {"service": "s", "level": "info"}, "values": [
        [str(NOW_NS), "a", {"detected_level": "fatal"}], [str(NOW_NS), "b"],
    ]}  # fmt: skip

    wire = Loki().decode(json.dumps({"streams": [stream]}).encode(), JSON, now_ns=NOW_NS)

    assert [severity for _, _, severity, _ in facts_of(wire)] == [21, 9]


def test_lines_that_cannot_be_taken_count_towards_the_most_of_a_body() -> None:
    body = json.dumps({"logs": [{"level": "info"}] * 11}).encode()

    with pytest.raises(TooLarge, match="10 lines"):
        LogsJson(RowLimits(rows=10)).decode(body, JSON, now_ns=NOW_NS)


def test_what_is_wrong_with_a_line_is_told_in_few_words() -> None:
    """However long the text is that is no time."""
    body = json.dumps({"logs": [{"message": "x", "timestamp": "9" * 100_000}]}).encode()

    wire = LogsJson().decode(body, JSON, now_ns=NOW_NS)

    assert wire.rejects[0].count == 1
    assert len(wire.rejects[0].detail) <= 400


@pytest.mark.parametrize(
    "broken",
    [
        b"\x0a\x05\x12\x03\x12\x01\x32",  # an attribute that says no size
        b"\x0a\x08\x12\x06\x12\x04\x32\x02\x0a\x09",  # an attribute that ends beyond its end
    ],
)
def test_an_attribute_that_is_malformed_costs_the_body(broken: bytes) -> None:
    with pytest.raises(BadInput, match="its protobuf is malformed"):
        OtlpLogs().decode(broken, PROTOBUF, now_ns=NOW_NS)


def test_a_line_of_now_is_told_as_such() -> None:
    wire = LogsJson().decode(b'[{"message": "x"}]', JSON, now_ns=NOW_NS)

    (batch,) = wire.records
    assert isinstance(batch, LogBatch)
    assert batch.time_ns.tolist() == [NOW_NS]
    assert wire.is_of_now, "or the same bytes, sent later, were taken for a retry"


def test_lines_of_an_unknown_level_keep_its_word() -> None:
    wire = LogsJson().decode(
        b'[{"message": "x", "level": "AUDIT", "attributes": {"n": 1}}]', JSON, now_ns=NOW_NS
    )

    (batch,) = wire.records
    assert isinstance(batch, LogBatch)
    assert json.loads(batch.attributes.text(0)) == {"n": "1", "level": "AUDIT"}


def test_columns_of_no_lines_are_no_record() -> None:
    sent: list[Sent] = []

    assert Loki().decode(write_loki_json(sent), JSON, now_ns=NOW_NS) == WireRows(())
