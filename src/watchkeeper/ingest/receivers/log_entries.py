"""Log entries, one or a list: `{"timestamp", "level", "message", "service", "labels"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import read_items
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.lines import Lines
from watchkeeper.ingest.receivers.log_items import add_log_items
from watchkeeper.model.signal import WireRows


class LogEntries:
    """The receiver of `POST /ingest/logs`. A bad entry costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "lines"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_items(
            body, headers, self._inflater, is_single_allowed=True, listed_under="logs"
        )
        lines = Lines(self._limits)
        add_log_items(items, lines, now_ns=now_ns)
        return lines.take()
