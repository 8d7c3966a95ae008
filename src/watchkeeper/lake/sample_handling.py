"""What upkeep does to samples: written by series, merged with their cells, dropped before those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.compact import Compaction, choose
from watchkeeper.lake.disk_config import DiskLakeConfig
from watchkeeper.lake.flush import write_segments
from watchkeeper.lake.head import Head
from watchkeeper.lake.keeping.segments import Change, Segments, Why
from watchkeeper.lake.library import Library
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.selection import KnownSeries
from watchkeeper.model.series import I64

_DUPLICATES = telemetry.counter(
    "watchkeeper_lake_duplicate_samples_total", "Samples left out: their time was there already."
)
_WRITTEN = telemetry.counter(
    "watchkeeper_lake_written_samples_total", "Samples written out, by what for.", ("what",)
)
_EXPIRED = telemetry.counter(
    "watchkeeper_lake_expired_samples_total", "Samples whose retention ended."
)

_BLOCK_ROWS: Final = 1 << 19
"""Of a compaction: what is in memory at a time, give or take one series."""


class SampleHandling:
    """A `Handling`. The catalog is persisted before a manifest says that a position is stored."""

    name = "lake"

    def __init__(
        self,
        config: DiskLakeConfig,
        catalog: KnownSeries,
        segments: Segments[SegmentInfo, Head],
        library: Library,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._segments = segments
        self._library = library
        self._sorting: I64 = np.empty((2, 0), np.int64)
        """Where heads are sorted. Kept, for pages that the system must find anew cost a twentieth
        of all that a sample does (measured)."""

    def write(self, head: Head, now_ns: int) -> tuple[SegmentInfo, ...]:
        self._catalog.persist(now_ns)
        if not head.n:
            return ()
        if self._sorting.shape[1] < head.n:
            self._sorting = np.empty((2, head.n), np.int64)
        return write_segments(
            self._segments.files,
            self._segments.folder,
            head.sorted_rows(self._sorting),
            window_ns=self._segments.state.manifest.window_ns,
            number=self._segments.next_id,
        )

    def choose(self, quiet: frozenset[int], aside: frozenset[int]) -> tuple[SegmentInfo, ...]:
        full = self._config.compact_into_rows
        present = [
            # Neighbours must not be merged around it, so it stays in the row, too large to fit.
            msgspec.structs.replace(info, n_rows=full + 1, considered=True)
            if info.id in aside
            else info
            for info in self._segments.state.manifest.segments
        ]
        return choose(present, quiet, fan_in=self._config.compact_fan_in, max_rows=full)

    def merge(self, chosen: Sequence[SegmentInfo]) -> Compaction:
        return Compaction(
            self._segments.files,
            self._segments.folder,
            [self._library.segment(info) for info in chosen],
            self._segments.next_id(),
            block_rows=_BLOCK_ROWS,
        )

    def expired(
        self, now_ns: int, aside: frozenset[int]
    ) -> tuple[tuple[SegmentInfo, ...], tuple[SegmentInfo, ...]]:
        """Samples go when their time is over, and not before their cells were made; cells later."""
        raw_before = now_ns - round(self._config.raw_retention_s * NS_PER_S)
        cells_before = now_ns - round(self._config.rollup_retention_s * NS_PER_S)
        gone, kept = [], []
        for info in self._segments.state.manifest.segments:
            if info.end_ns >= raw_before:
                continue
            if info.end_ns >= cells_before:
                are_cells_to_come = not info.considered and info.id not in aside
                if are_cells_to_come or not info.has_raw:
                    continue
                if info.has_cells:
                    kept.append(self._without_raw(info))
            gone.append(info)
        return tuple(gone), tuple(kept)

    def changed(self, change: Change[SegmentInfo, Head]) -> None:
        for info in change.old:
            self._library.forget(info)
        n_rows = sum(info.n_rows for info in change.new)
        if change.why is Why.EXPIRED:
            _EXPIRED.add(sum(info.n_rows for info in change.old if info.has_raw))
        elif change.head is not None:
            _WRITTEN.add(n_rows, "head")
            _DUPLICATES.add(change.head.n - n_rows)
        else:
            _WRITTEN.add(n_rows, "compaction")
            _DUPLICATES.add(sum(info.n_rows for info in change.old) - n_rows)

    def _without_raw(self, info: SegmentInfo) -> SegmentInfo:
        raw_bytes = (self._segments.folder / info.raw_name).stat().st_size
        return msgspec.structs.replace(info, has_raw=False, n_bytes=info.n_bytes - raw_bytes)
