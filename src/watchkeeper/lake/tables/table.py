"""A table on disk: a head in memory, sorted segments in files, merges, retention."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Generic

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import Retryable
from watchkeeper.lake.files import Files
from watchkeeper.lake.keeping.segments import Segments
from watchkeeper.lake.keeping.upkeep import Upkeep
from watchkeeper.lake.tables.base import B, Found, RowQuery
from watchkeeper.lake.tables.config import TableConfig
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.lake.tables.head import Head, text_bytes
from watchkeeper.lake.tables.manifest import load
from watchkeeper.lake.tables.row_handling import RowHandling
from watchkeeper.lake.tables.search import HeadPlace, Place, Search, SegmentPlace

_BYTES = telemetry.gauge("watchkeeper_lake_table_bytes", "Of all files of a table.", ("table",))
_SEGMENTS = telemetry.gauge("watchkeeper_lake_table_segments", "Files of a table.", ("table",))
_HEAD_ROWS = telemetry.gauge(
    "watchkeeper_lake_table_head_rows", "Rows that are in memory only.", ("table",)
)
_SCANNED = telemetry.counter(
    "watchkeeper_lake_scanned_rows_total", "Rows that searches looked at.", ("table",)
)


class DiskTable(Generic[B]):
    """A `Table` in one directory, owned by one process.

    `append` is called by one thread, `maintain` by another one at a time, `search` by any.
    """

    def __init__(
        self,
        config: TableConfig,
        definition: Definition[B],
        *,
        directory: Path,
        files: Files | None = None,
    ) -> None:
        self._config = config
        self._definition = definition
        manifest = load(directory, round(config.window_s * NS_PER_S))
        self._segments = Segments(files or Files(), directory, manifest, self._new_head)
        self._handling = RowHandling(config, definition, self._segments)
        self._upkeep = Upkeep(self._segments, self._handling, config, seals_empty=False)

    def append(self, batch: B, position: int) -> None:
        if position <= self._segments.opened_at:
            return
        with self._segments.lock:
            if len(batch):
                if not self._segments.state.live.fits(batch):
                    self._make_room(batch)
                self._segments.state.live.append(batch, position)
            self._segments.state.live.covered = position

    def search(self, query: RowQuery) -> Found[B]:
        with self._segments.reading(_as_it_is) as (state, heads):
            segments = [
                info
                for info in state.manifest.segments
                if info.start_ns < query.end_ns and info.end_ns >= query.start_ns
            ]
            places: list[Place] = [
                *heads,
                *(
                    SegmentPlace(info.end_ns, partial(self._handling.segment, info))
                    for info in segments
                ),
            ]
            search = Search(self._definition, query, self._config.scan_rows)
            try:
                return search.run(places)
            finally:
                _SCANNED.add(search.n_scanned, self._definition.name)

    def stored(self) -> int:
        """Nothing that memory holds; what had no rows for us needs no file."""
        with self._segments.lock:
            heads = self._segments.state.heads
            waiting = next((head.first - 1 for head in heads if head.n), None)
            return heads[-1].covered if waiting is None else waiting

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        try:
            self._upkeep.run(now_ns, everything=everything)
        finally:
            self._report()

    def close(self) -> None:
        self._upkeep.close()
        self._handling.close()

    def _new_head(self, number: int, covered: int, batch: B | None = None) -> Head[B]:
        """Large enough for a batch that is larger than others."""
        head = Head(
            self._definition,
            n_rows=max(self._config.head_rows, 0 if batch is None else len(batch)),
            size_bytes=max(self._config.head_bytes, 0 if batch is None else text_bytes(batch)),
            number=number,
        )
        head.covered = covered
        return head

    def _make_room(self, batch: B) -> None:
        """Begin a new head; the old one waits to be written. The lock is held."""
        state = self._segments.state
        if state.live.n and len(state.sealed) >= self._config.sealed_heads:
            raise Retryable(
                f"{self._definition.name}: {len(state.sealed)} heads wait to be written to "
                f"{self._segments.folder}; is the disk full or slow?"
            )
        self._segments.seal(partial(self._new_head, batch=batch))

    def _report(self) -> None:
        name, state = self._definition.name, self._segments.state
        _SEGMENTS.set(len(state.manifest.segments), name)
        _BYTES.set(sum(info.n_bytes for info in state.manifest.segments), name)
        _HEAD_ROWS.set(sum(head.n for head in state.heads), name)


def _as_it_is(head: Head[B]) -> HeadPlace:
    return HeadPlace(tuple(head.sources), head.newest_ns, head.rows(head.n))
