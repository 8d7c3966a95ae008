"""OTLP's logs in JSON brought into their protobuf form, so that one decoder reads both.

Ids are hex. A record that breaks the rules is counted and left out; only what is no JSON at all
costs the body.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from watchkeeper.ingest.receivers import ids, schema
from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.ingest.receivers.otlp_json_values import (
    NONE,
    AnyValue,
    Integer,
    KeyValue,
    encoded,
    fill_resource,
    fill_scope,
    integer,
    reading,
    rejected,
    sound,
    value_of,
)
from watchkeeper.model.signal import Reject


class _Record(Struct, rename="camel"):
    time_unix_nano: Integer | None = None
    observed_time_unix_nano: Integer | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class _ScopeLogs(Struct, rename="camel"):
    scope: Raw = NONE
    log_records: list[Raw] | None = None


class _ResourceLogs(Struct, rename="camel"):
    resource: Raw = NONE
    scope_logs: list[_ScopeLogs] | None = None


class _Request(Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_record = msgspec.json.Decoder(_Record).decode


def to_request(body: bytes) -> tuple[Any, tuple[Reject, ...]]:
    """The same request as a message, and what had to be left out."""
    out = schema.otlp()["ExportLogsServiceRequest"]()
    faults: list[str] = []
    with reading("ExportLogsServiceRequest"):
        for given in _decode_request(body).resource_logs or ():
            to = out.resource_logs.add()
            fill_resource(to.resource, given.resource)
            for scope_logs in given.scope_logs or ():
                to_scope = to.scope_logs.add()
                fill_scope(to_scope.scope, scope_logs.scope)
                to_scope.log_records.extend(sound(_record, scope_logs.log_records, faults))
    return out, rejected(faults)


def _record(item: Raw, _: list[str]) -> Any:
    check_item(item)
    given = _decode_record(item)
    return schema.otlp()["LogRecord"](
        time_unix_nano=integer(given.time_unix_nano),
        observed_time_unix_nano=integer(given.observed_time_unix_nano),
        severity_number=given.severity_number,
        severity_text=(given.severity_text or "").encode(),
        body=value_of(given.body, 0) if given.body is not None else None,
        attributes=encoded(given.attributes),
        trace_id=ids.trace_id(given.trace_id or ""),
        span_id=ids.span_id(given.span_id or ""),
        event_name=(given.event_name or "").encode(),
    )
