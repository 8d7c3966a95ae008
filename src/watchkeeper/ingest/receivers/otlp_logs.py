"""OTLP over HTTP, logs: protobuf or JSON, plain or compressed.

JSON is brought into protobuf first, so that there is one reading of what a request means. A line's
resource and scope are its origin; its body is kept as it is where it is text, else as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from watchkeeper.ingest.receivers import ids
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.bounds import (
    SMALL_BYTES,
    check_lists,
    check_messages,
    check_request,
)
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.lines import Lines
from watchkeeper.ingest.receivers.otlp_json_logs import to_request
from watchkeeper.ingest.receivers.otlp_rows import (
    inflated,
    origin_of,
    parsed,
    refusing,
    text_of,
)
from watchkeeper.ingest.receivers.otlp_texts import attribute, attributes_column
from watchkeeper.model.severity import severity_of
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
            check_lists(raw, (2, 4, 6), self._limits)
            request, rejects = to_request(raw)
        else:
            check_request(raw, "ExportLogsServiceRequest", self._limits)
            request = parsed(raw, "ExportLogsServiceRequest")
        reading = _Reading(Lines(self._limits, rejects), now_ns, is_large=len(raw) > SMALL_BYTES)
        with refusing("ExportLogsServiceRequest"):
            for resource_logs in request.resource_logs:
                for scope_logs in resource_logs.scope_logs:
                    reading.lines.come_from(origin_of(resource_logs.resource, scope_logs.scope))
                    for record in scope_logs.log_records:
                        reading.add(record)
            return reading.take()


class _Reading:
    """Records of one body. Their attributes are kept as they came, and made into text at once."""

    def __init__(self, lines: Lines, now_ns: int, *, is_large: bool) -> None:
        self.lines = lines
        self._is_large = is_large
        self._now_ns = now_ns
        self._attributes: list[bytes] = []
        self._counts: list[int] = []

    def add(self, record: Any) -> None:
        """Count it where it has more values than an item may have."""
        try:
            self._add(record)
        except ValueError as error:
            self.lines.reject("bad_item", str(error))

    def _add(self, record: Any) -> None:
        given = [*record.attributes]
        if self._is_large:
            check_messages(given, "KeyValue")
        time_ns = record.time_unix_nano or record.observed_time_unix_nano
        if not time_ns:
            time_ns = self._now_ns
            self.lines.is_of_now = True
        severity = record.severity_number
        if not 1 <= severity <= _GRAVEST:
            severity = severity_of(record.severity_text.decode(errors="replace"))
        trace, span, said = record.trace_id, record.span_id, record.body
        is_added = self.lines.add(
            said.string_value or _text_of(said),
            time_ns,
            severity=severity,
            # An id of another length is none, says the specification.
            trace=trace if len(trace) == ids.TRACE_BYTES else ids.NO_TRACE,
            span=span if len(span) == ids.SPAN_BYTES else ids.NO_SPAN,
        )
        if is_added:
            own = [*given, *_more(record, severity)]
            self._attributes += own
            self._counts.append(len(own))

    def take(self) -> WireRows:
        """Raises DecodeError."""
        return self.lines.take(attributes_column(self._attributes, self._counts))


def _text_of(said: Any) -> bytes:
    check_messages([said.SerializeToString()], "AnyValue")
    return text_of(said).encode()


def _more(record: Any, severity: int) -> Iterator[bytes]:
    """What else a record says, as attributes."""
    if not severity and record.severity_text:
        yield attribute(b"severity_text", record.severity_text)
    if record.event_name:
        yield attribute(b"event.name", record.event_name)
