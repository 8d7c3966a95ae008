"""OTLP over HTTP, logs: protobuf or JSON, plain or compressed.

JSON is brought into protobuf first, so that there is one reading of what a request means. A line's
resource and scope are its origin; its body is kept as it is where it is text, else as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from watchkeeper.ingest.receivers import ids
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.lines import Lines
from watchkeeper.ingest.receivers.otlp_json_logs import to_request
from watchkeeper.ingest.receivers.otlp_rows import (
    inflated,
    origin_of,
    parsed,
    raw_attributes_text,
    refusing,
    text_of,
)
from watchkeeper.model.severity import Severity, severity_of
from watchkeeper.model.signal import Reject, WireRows

_GRAVEST: Final = 24


class OtlpLogs:
    """The receiver of OTLP/HTTP logs. A body is refused whole only if it is malformed."""

    Config = RowLimits
    makes: ClassVar[Noun] = "lines"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        raw, is_json = inflated(body, headers, self._inflater)
        rejects: tuple[Reject, ...] = ()
        if is_json:
            request, rejects = to_request(raw)
        else:
            request = parsed(raw, "ExportLogsServiceRequest")
        lines = Lines(self._limits, rejects)
        with refusing("ExportLogsServiceRequest"):
            for resource_logs in request.resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    lines.come_from(origin_of(resource_logs.resource, scope_logs.scope))
                    for record in scope_logs.log_records:
                        _add(lines, record, now_ns)
        return lines.take()


def _add(lines: Lines, record: Any, now_ns: int) -> None:
    time_ns = record.time_unix_nano or record.observed_time_unix_nano
    if not time_ns:
        time_ns = now_ns
        lines.is_of_now = True
    more: dict[str, str] = {}
    severity = record.severity_number
    if not 1 <= severity <= _GRAVEST:
        word = record.severity_text.decode(errors="replace")
        severity = severity_of(word)
        if word and severity == Severity.UNKNOWN:
            more["severity_text"] = word
    event = record.event_name
    if event:
        more["event.name"] = event.decode(errors="replace")
    trace, span, said = record.trace_id, record.span_id, record.body
    lines.add(
        said.string_value or text_of(said).encode(),
        time_ns,
        severity=severity,
        attributes=raw_attributes_text(record.attributes, more),
        # An id of another length is none, says the specification.
        trace=trace if len(trace) == ids.TRACE_BYTES else ids.NO_TRACE,
        span=span if len(span) == ids.SPAN_BYTES else ids.NO_SPAN,
    )
