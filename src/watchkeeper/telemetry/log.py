"""Our own log lines: events with fields, as text for people or JSON for machines."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TextIO

import msgspec
from msgspec import Meta

from watchkeeper.telemetry.metrics import number

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""Of the request that is being served; every log line written meanwhile has it."""


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to the log, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important lines that are written."),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        Meta(description="`text` is key=value for people, `json` one object per line."),
    ] = "text"
    trace_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of our own requests that are traced into our own spans; those that "
            "fail or are slow always are, and a sender's trace is gone on with.",
        ),
    ] = 0.01


class Log:
    """Events with fields: `log.info("segment removed", bytes=n)`. Per-item facts are metrics."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write(logging.ERROR, event, fields)

    def failure(self, event: str, cause: BaseException, **fields: object) -> None:
        """An error that nobody foresaw: with the place it came from."""
        self._write(logging.ERROR, event, fields, cause)

    def _write(
        self,
        level: int,
        event: str,
        fields: dict[str, object],
        cause: BaseException | None = None,
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={"fields": fields}, exc_info=cause)


def set_up_log(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send every log line, those of libraries too, to `stream` (else standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if config.format == "json" else _TextLines())
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(config.level.upper())
    # Each question to another process is a line of its own at "info".
    logging.getLogger("httpx").setLevel(max(logging.WARNING, root.level))


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_quoted(value)}" for name, value in _fields(record).items())
        head = f"{_time(record)} {record.levelname.lower():<7} {_short(record.name)}"
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{head}: {record.getMessage()}{fields}{trace}"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "from": _short(record.name),
            "event": record.getMessage(),
        }
        line |= {name: _plain(value) for name, value in _fields(record).items()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _json(line)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    served = request_id.get()
    return {**fields, "request_id": served} if served else fields


def _plain(value: object) -> object:
    """As JSON has it, which knows no infinity; a Secret is a str, so str() it must be."""
    if isinstance(value, float) and not math.isfinite(value):
        return number(value)
    return value if value is None or type(value) in (bool, int, float) else str(value)


def _quoted(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and not re.search(r'^$|[\s="]', text) else _json(text)


def _json(value: object) -> str:
    """Readable, unless it held what breaks a line, steers a terminal, or is no UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _short(name: str) -> str:
    return name.removeprefix("watchkeeper.")


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
