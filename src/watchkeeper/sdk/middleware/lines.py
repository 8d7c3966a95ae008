"""Log lines of the process, told with the trace in which they were written.

Taken where records are made, not by a handler: one at the root would silence the handlers that
`logging` and Flask only add, and `basicConfig` only sets up, where there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from watchkeeper.patience import catching
from watchkeeper.sdk.middleware import otlp
from watchkeeper.sdk.middleware.work import CURRENT, exception, said
from watchkeeper.sdk.rows import Label

OURS: Final = "watchkeeper."
"""What the senders of telemetry say of themselves is not sent: it would follow itself."""
LONGEST: Final = 16_384


class Line(NamedTuple):
    time_ns: int
    level: int
    word: str
    message: str
    attributes: dict[str, Label]
    ids: bytes
    """Of the trace and the span in which it was written."""


class LineTap:
    """Hears of every record from a level on, until it is closed."""

    def __init__(self, keep: Callable[[Line], object], level: int | None) -> None:
        self._keep: Callable[[Line], object] | None = keep
        self._level = level or 0
        self._make = logging.getLogRecordFactory()
        if level is not None:
            logging.setLogRecordFactory(self._made)

    def close(self) -> None:
        """Whoever came later and calls us is still answered."""
        self._keep = None
        if logging.getLogRecordFactory() == self._made:
            logging.setLogRecordFactory(self._make)

    def _made(self, *words: Any, **named: Any) -> logging.LogRecord:
        record = self._make(*words, **named)
        if self._keep and record.levelno >= self._level and not record.name.startswith(OURS):
            with catching():  # arguments that do not fit are told by logging itself
                self._keep(line_of(record))
        return record


def line_of(record: logging.LogRecord) -> Line:
    work = CURRENT.get()
    attributes: dict[str, Label] = {"logger.name": record.name, "code.line.number": record.lineno}
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        attributes.update(exception(error, type(error).__qualname__, said(error)))
    return Line(
        round(record.created * 1e6) * 1_000,
        record.levelno,
        record.levelname,
        record.getMessage()[:LONGEST],
        attributes,
        work.ids if work else b"",
    )


def encoded_line(line: Line) -> bytes:
    """A log record as an item of a body."""
    severity = min(max(line.level // 10, 0), 5) * 4 + 1
    body = otlp.fixed(1, line.time_ns) + otlp.number(2, severity) + otlp.text(3, line.word)
    body += otlp.field(5, otlp.value_of(line.message)) + otlp.attributes(6, line.attributes)
    if line.ids:
        body += otlp.field(9, line.ids[:16]) + otlp.field(10, line.ids[16:])
    return otlp.framed(body)
