"""Log lines as plain JSON: `{"logs": [{"message", "timestamp", "level", ...}]}`, a list, or one a
line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from msgspec import Raw

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.json_items import LINE_TYPES, read_items, read_lines
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.lines import Lines
from watchkeeper.ingest.receivers.log_items import add_log_items
from watchkeeper.model.signal import WireRows


class LogsJson:
    """The receiver of `POST /api/v1/logs/write`. A bad item costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "lines"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items: Iterable[Raw]
        if content_type(headers)[0] in LINE_TYPES:
            items = read_lines(body, headers, self._inflater)
        else:
            items = read_items(
                body, headers, self._inflater, is_single_allowed=False, listed_under="logs"
            )
        lines = Lines(self._limits)
        add_log_items(items, lines, now_ns=now_ns)
        return lines.take()
