"""The embedded lake: a head in memory, sorted Parquet segments on disk, compaction, retention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.lake.base import Frame, SampleQuery, SeriesQuery
from watchkeeper.lake.disk_config import DiskLakeConfig
from watchkeeper.lake.files import Files
from watchkeeper.lake.head import Head
from watchkeeper.lake.keeping.segments import Segments
from watchkeeper.lake.keeping.upkeep import Upkeep
from watchkeeper.lake.library import Library
from watchkeeper.lake.manifest import load
from watchkeeper.lake.query import Scan, Span, answer
from watchkeeper.lake.sample_handling import SampleHandling
from watchkeeper.lake.selection import KnownSeries, select
from watchkeeper.model.series import I64
from watchkeeper.model.signal import SampleBatch

_BYTES = telemetry.gauge("watchkeeper_lake_segment_bytes", "Of all segments on disk.")
_SEGMENTS = telemetry.gauge("watchkeeper_lake_segments", "Segments on disk.")
_HEAD_ROWS = telemetry.gauge("watchkeeper_lake_head_rows", "Samples that are in memory only.")


class DiskLake:
    """A `Lake` in one directory, owned by one process.

    `append` is called by one thread, `maintain` by another one at a time, `query` by any. The
    catalog is `persist`ed before the manifest says that a position is stored.
    """

    Config = DiskLakeConfig

    def __init__(
        self,
        config: DiskLakeConfig,
        *,
        directory: Path,
        catalog: KnownSeries,
        files: Files | None = None,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._spare: list[I64] = []
        """The memory of at most one former head."""
        manifest = load(directory, round(config.window_s * NS_PER_S))
        self._segments = Segments(files or Files(), directory, manifest, self._new_head)
        self._library = Library(self._segments.folder, config.open_segments)
        handling = SampleHandling(config, catalog, self._segments, self._library)
        self._upkeep = Upkeep(self._segments, handling, config, seals_empty=True)

    def room(self) -> int:
        """Samples that `append` surely takes now."""
        state = self._segments.state
        spare = self._config.sealed_heads - len(state.sealed)
        return state.live.room + max(0, spare) * self._config.head_rows

    def append(self, batch: SampleBatch, position: int) -> None:
        """Positions grow from batch to batch. What was stored before the start is passed over.

        An empty batch only says that nothing up to its position is missing.
        """
        if position <= self._segments.opened_at:
            return
        with self._segments.lock:
            if len(batch) > self.room():
                raise Retryable(
                    f"lake: {len(self._segments.state.sealed)} heads wait to be written to "
                    f"{self._segments.folder}; is the disk full or slow?"
                )
            done = 0
            while done < len(batch):
                head = self._segments.state.live
                went_on = head.append(batch, done, self._catalog.identity)
                if went_on < len(batch) and not head.n:
                    raise Permanent(f"lake: slot {batch.slot[went_on]} is none of the catalog's")
                done = went_on
                if done < len(batch):
                    self._segments.seal()
            self._segments.state.live.covered = position

    def query(self, query: SampleQuery) -> Frame:
        wanted = select(self._catalog, query.tenant, query.matchers, query.start_ns)
        with self._segments.reading(_so_far) as (state, heads):
            library, segments = self._library, state.manifest.segments

            def scan(span: Span) -> Scan:
                way = Scan(wanted, span, segments=segments, heads=heads, library=library)
                if way.n_rows > self._config.scan_rows:
                    raise BadInput(
                        f"query: would look at {way.n_rows} samples, more than lake.scan_rows "
                        f"({self._config.scan_rows}); narrow the range or the selector"
                    )
                return way

            return answer(query, wanted, scan)

    def series(self, query: SeriesQuery) -> Sequence[Mapping[str, str]]:
        wanted = select(self._catalog, query.tenant, query.matchers, query.start_ns)
        span = Span(query.start_ns, query.end_ns, query.start_ns, by_cells=True)
        with self._segments.reading(_so_far) as (state, heads):
            library, segments = self._library, state.manifest.segments
            way = Scan(wanted, span, segments=segments, heads=heads, library=library)
            return wanted.labels(way.held())

    def stored(self) -> int:
        return self._segments.state.manifest.stored

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        try:
            free = self._upkeep.run(now_ns, everything=everything)
            with self._segments.lock:
                self._spare = [*self._spare, *(head.memory for head in free)][-1:]
        finally:
            self._report()

    def close(self) -> None:
        self._upkeep.close()
        self._library.clear()

    def _new_head(self, number: int, covered: int) -> Head:
        head = Head(
            number,
            rows=self._config.head_rows,
            slots=len(self._catalog.identity),
            memory=self._spare.pop() if self._spare else None,
        )
        head.covered = covered
        return head

    def _report(self) -> None:
        state = self._segments.state
        _SEGMENTS.set(len(state.manifest.segments))
        _BYTES.set(sum(info.n_bytes for info in state.manifest.segments))
        _HEAD_ROWS.set(sum(head.n for head in state.heads))


def _so_far(head: Head) -> tuple[Head, int]:
    """A head and how far it goes."""
    return head, head.n
