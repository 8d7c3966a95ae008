"""What the tags of older tracers mean, those that OpenTelemetry writes for them included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchkeeper.model.severity import SpanStatus

_SAID: Final = {"OK": SpanStatus.OK, "ERROR": SpanStatus.ERROR}
_HTTP: Final = ("http.status_code", "http.response.status_code")


def status_of(tags: Mapping[str, str]) -> tuple[SpanStatus, str]:
    """How a span went, and what went wrong.

    The tag `error` says so by being there, unless it says `false`; OpenTelemetry's exporters say it
    in words; of all others an HTTP status from 500 on is an error.
    """
    told = tags.get("otel.status_description", "")
    error = tags.get("error")
    if error is not None and error.lower() != "false":
        return SpanStatus.ERROR, told or ("" if error.lower() == "true" else error)
    said = _SAID.get(tags.get("otel.status_code", "").upper())
    if said is not None:
        return said, told
    if any(tags.get(name, "").startswith("5") and len(tags[name]) == 3 for name in _HTTP):
        return SpanStatus.ERROR, told
    return SpanStatus.UNSET, told
