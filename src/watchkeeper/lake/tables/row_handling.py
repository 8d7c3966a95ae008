"""What upkeep does to rows: written by source and time, merged, dropped with their segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.keeping.library import Library
from watchkeeper.lake.keeping.segments import Change, Segments, Why
from watchkeeper.lake.tables.base import B
from watchkeeper.lake.tables.config import TableConfig
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.lake.tables.flush import write_segments
from watchkeeper.lake.tables.head import Head
from watchkeeper.lake.tables.manifest import SegmentInfo
from watchkeeper.lake.tables.merge import Merge, choose
from watchkeeper.lake.tables.segment import Segment

_WRITTEN = telemetry.counter(
    "watchkeeper_lake_written_rows_total", "Rows written out, by what for.", ("table", "what")
)
_EXPIRED = telemetry.counter(
    "watchkeeper_lake_expired_rows_total", "Rows whose retention ended.", ("table",)
)

_BLOCK_ROWS: Final = 1 << 16
"""Of a merge: what is in memory at a time, give or take a row group of each input."""


class RowHandling(Generic[B]):
    """A `Handling`."""

    def __init__(
        self,
        config: TableConfig,
        definition: Definition[B],
        segments: Segments[SegmentInfo, Head[B]],
    ) -> None:
        self.name = definition.name
        self._config = config
        self._definition = definition
        self._segments = segments
        self._library: Library[int, Segment[B]] = Library(config.open_segments)

    def segment(self, info: SegmentInfo) -> Segment[B]:
        """Open for reading."""
        folder, definition = self._segments.folder, self._definition
        return self._library.get(info.id, lambda: Segment(folder, info, definition))

    def close(self) -> None:
        self._library.clear()

    def write(self, head: Head[B], now_ns: int) -> tuple[SegmentInfo, ...]:
        if not head.n:
            return ()
        return write_segments(
            self._segments.files,
            self._segments.folder,
            self._definition,
            rows=(head.rows(head.n), head.sources),
            window_ns=self._segments.state.manifest.window_ns,
            number=self._segments.next_id,
        )

    def choose(self, quiet: frozenset[int], aside: frozenset[int]) -> tuple[SegmentInfo, ...]:
        present = self._segments.state.manifest.segments
        return choose([one for one in present if one.id not in aside], quiet, self._config)

    def merge(self, chosen: Sequence[SegmentInfo]) -> Merge[B]:
        return Merge(
            self._segments.files,
            self._segments.folder,
            [self.segment(info) for info in chosen],
            self._segments.next_id(),
            block_rows=_BLOCK_ROWS,
        )

    def expired(
        self, now_ns: int, aside: frozenset[int]
    ) -> tuple[tuple[SegmentInfo, ...], tuple[SegmentInfo, ...]]:
        """Segments of which every row's time is over."""
        before = now_ns - round(self._config.retention_s * NS_PER_S)
        present = self._segments.state.manifest.segments
        return tuple(one for one in present if one.end_ns < before), ()

    def changed(self, change: Change[SegmentInfo, Head[B]]) -> None:
        n_rows = sum(info.n_rows for info in change.new)
        if change.why is Why.EXPIRED:
            _EXPIRED.add(sum(info.n_rows for info in change.old), self.name)
        else:
            _WRITTEN.add(n_rows, self.name, "head" if change.why is Why.WRITTEN else "merge")
        for info in change.old:
            self._library.forget(info.id)
        for info in change.new:  # so that no search waits for it
            self.segment(info)
