"""Log lines in plain JSON, one object each: what the receivers of such bodies share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers import ids
from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, as_texts, time_ns_of
from watchkeeper.ingest.receivers.lines import Lines
from watchkeeper.model.row import origin
from watchkeeper.model.severity import Severity, severity_of

_BAD: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
_encode: Final = msgspec.json.Encoder().encode


class LogItem(Struct):
    """One line. What has no timestamp is of now."""

    message: str
    timestamp: Time = None
    level: str | None = None
    service: str | None = None
    environment: str | None = None
    labels: dict[str, LabelValue] = field(default_factory=dict)
    """Where it comes from, besides."""
    attributes: dict[str, LabelValue] = field(default_factory=dict)
    """What the line alone says."""
    trace_id: str | None = None
    span_id: str | None = None


_decode = msgspec.json.Decoder(LogItem).decode


def add_log_items(items: Iterable[Raw], lines: Lines, *, now_ns: int) -> None:
    """Add each item that is sound; count the others."""
    for number, raw in enumerate(items):
        try:
            check_item(raw)
            item = _decode(raw)
            time_ns = time_ns_of(item.timestamp, now_ns)
            trace, span = ids.trace_id(item.trace_id or ""), ids.span_id(item.span_id or "")
        except _BAD as error:
            lines.reject("bad_item", f"item {number}: {error}")
            continue
        lines.is_of_now |= item.timestamp is None
        # What stands among the labels was put there on purpose, and wins.
        place = {"service": item.service, "environment": item.environment} | item.labels
        lines.come_from(origin(as_texts(place).items()))
        attributes = as_texts(item.attributes)
        severity = severity_of(item.level or "")
        if item.level and severity == Severity.UNKNOWN:
            attributes.setdefault("level", item.level)
        lines.add(
            item.message.encode(),
            time_ns,
            severity=severity,
            attributes=_encode(attributes) if attributes else b"",
            trace=trace,
            span=span,
        )
