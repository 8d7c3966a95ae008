"""All tables of an installation, opened together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watchkeeper.lake.tables.definition import LOGS, SPANS
from watchkeeper.lake.tables.table import DiskTable

if TYPE_CHECKING:
    from watchkeeper.lake.files import Files
    from watchkeeper.lake.tables.base import Table
    from watchkeeper.lake.tables.config import LogsConfig, SpansConfig
    from watchkeeper.model.signal import LogBatch, SpanBatch


@dataclass(frozen=True, slots=True)
class Tables:
    """What is kept beside samples."""

    logs: Table[LogBatch]
    spans: Table[SpanBatch]

    def close(self) -> None:
        self.logs.close()
        self.spans.close()


def open_tables(
    folder: Path, logs: LogsConfig, spans: SpansConfig, files: Files | None = None
) -> Tables:
    """Each has a folder of its own in this one."""
    return Tables(
        DiskTable(logs, LOGS, directory=folder / LOGS.name, files=files),
        DiskTable(spans, SPANS, directory=folder / SPANS.name, files=files),
    )
