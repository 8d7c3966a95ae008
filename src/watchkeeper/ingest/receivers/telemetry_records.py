"""Records of handled requests as plain JSON, one or a list: `{"service_name", "endpoint", ...}`.

A record is written when its request is done, so that `timestamp` is where its span ends. A trace id
may be any text: 16 or 32 hexadecimal digits are one, all else is hashed to one, always the same,
and kept as `telemetry.trace_id`. A record without one is a trace of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec
import xxhash
from msgspec import Raw, Struct

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.ids import trace_id
from watchkeeper.ingest.receivers.json_items import Time, read_items, time_ns_of
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.spans import Event, Span, Spans, json_text
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import WireRows

_NS_PER_MS: Final = 1_000_000
_SERVER_ERROR: Final = 500
_BAD: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)


class _Record(Struct):
    service_name: str
    endpoint: str
    method: str | None = None
    status_code: int | None = None
    latency_ms: int | float | None = None
    error_message: str | None = None
    trace_id: str | None = None
    timestamp: Time = None


_decode = msgspec.json.Decoder(_Record).decode


class TelemetryRecords:
    """The receiver of `POST /api/v1/telemetry`. A bad record costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "spans"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_items(body, headers, self._inflater, is_single_allowed=True)
        spans = Spans(self._limits)
        for number, raw in enumerate(items):
            try:
                check_item(raw)
                record = _decode(raw)
                end_ns = time_ns_of(record.timestamp, now_ns)
                # Of its bytes and place, so that equal records of one body are two spans.
                own = xxhash.xxh3_128(bytes(raw) + end_ns.to_bytes(16, signed=True), seed=number)
                span = _span(record, end_ns, own.digest(), spans)
            except _BAD as error:
                spans.reject("bad_item", f"record {number}: {error}")
            else:
                spans.is_of_now |= record.timestamp is None
                spans.add(span)
        return spans.take()


def _span(record: _Record, end_ns: int, own: bytes, spans: Spans) -> Span:
    if not record.service_name or not record.endpoint:
        raise ValueError("service_name and endpoint are required")
    latency_ns = max(0, round((record.latency_ms or 0) * _NS_PER_MS))
    status = record.status_code
    error = (record.error_message or "").strip()
    trace, attributes = _trace(record.trace_id or "", own)
    attributes |= {
        "http.request.method": record.method or "",
        "http.response.status_code": "" if status is None else str(status),
        "url.path": record.endpoint,
    }
    is_error = bool(error) or (status is not None and status >= _SERVER_ERROR)
    return Span(
        origin=spans.origin({"service.name": record.service_name}),
        trace=trace,
        span=own[:8],
        start_ns=end_ns - latency_ns,
        duration_ns=latency_ns,
        name=record.endpoint,
        kind=SpanKind.SERVER,
        status=SpanStatus.ERROR if is_error else SpanStatus.UNSET,
        message=_telling_line(error),
        attributes=json_text({name: value for name, value in attributes.items() if value}),
        events=[_exception(end_ns, error)] if "\n" in error else [],
    )


def _trace(given: str, own: bytes) -> tuple[bytes, dict[str, str]]:
    """A trace id, and as an attribute what was given where that is none."""
    if not given:
        return own, {}
    try:
        found = trace_id(given)
    except ValueError:
        found = b""
    if any(found):
        return found, {}
    return xxhash.xxh3_128_digest(given.encode()), {"telemetry.trace_id": given}


def _telling_line(error: str) -> str:
    """Of a stack trace in Python's form the last line, of anything else the first."""
    lines = error.splitlines()
    if not lines:
        return ""
    return lines[-1 if lines[0].startswith("Traceback") else 0].strip()


def _exception(time_ns: int, error: str) -> Event:
    return Event(time_ns, "exception", Raw(json_text({"exception.stacktrace": error})))
