"""The embedded lake: a head in memory, sorted Parquet segments on disk, compaction, retention."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.lake import manifest as manifests
from watchkeeper.lake.base import Frame, SampleQuery, SeriesQuery
from watchkeeper.lake.compact import Compaction, choose
from watchkeeper.lake.disk_config import DiskLakeConfig
from watchkeeper.lake.files import Files
from watchkeeper.lake.flush import write_segments
from watchkeeper.lake.head import Head
from watchkeeper.lake.library import Library
from watchkeeper.lake.manifest import SEGMENTS, Manifest, SegmentInfo
from watchkeeper.lake.query import Scan, Span, answer
from watchkeeper.lake.selection import KnownSeries, select
from watchkeeper.model.series import I64
from watchkeeper.model.signal import SampleBatch

_DUPLICATES = telemetry.counter(
    "watchkeeper_lake_duplicate_samples_total", "Samples left out: their time was there already."
)
_WRITTEN = telemetry.counter(
    "watchkeeper_lake_written_samples_total", "Samples written out, by what for.", ("what",)
)
_EXPIRED = telemetry.counter(
    "watchkeeper_lake_expired_samples_total", "Samples whose retention ended."
)
_BYTES = telemetry.gauge("watchkeeper_lake_segment_bytes", "Of all segments on disk.")
_SEGMENTS = telemetry.gauge("watchkeeper_lake_segments", "Segments on disk.")
_HEAD_ROWS = telemetry.gauge("watchkeeper_lake_head_rows", "Samples that are in memory only.")

_log: Final = telemetry.Log(__name__)
_BLOCK_ROWS: Final = 1 << 19
"""Of a compaction: what is in memory at a time, give or take one series."""


@dataclass(frozen=True, slots=True)
class _State:
    """What the lake is made of at one moment. Replaced whole."""

    manifest: Manifest
    sealed: tuple[Head, ...]
    live: Head
    generation: int = 0


@dataclass(frozen=True, slots=True)
class _Change:
    """What a manifest says anew."""

    old: tuple[SegmentInfo, ...] = ()
    new: tuple[SegmentInfo, ...] = ()
    head: Head | None = None
    """Whose samples are in the new segments."""


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
        self._directory = directory
        self._folder = directory / SEGMENTS
        self._catalog = catalog
        self._files = files or Files()
        self._folder.mkdir(parents=True, exist_ok=True)
        manifest = manifests.load(directory, round(config.window_s * NS_PER_S))
        manifests.remove_orphans(self._files, directory, manifest)
        self._opened_at = manifest.stored
        self._numbers = itertools.count(manifest.next_id)
        self._library = Library(self._folder, config.open_segments)
        self._lock = threading.Lock()
        """Around every replacement of the state, and the list of its readers."""
        self._maintenance = threading.Lock()
        self._spare: list[I64] = []
        """The memory of at most one former head."""
        self._state = _State(manifest, (), self._new_head(1, manifest.stored))
        self._sorting: I64 = np.empty((2, 0), np.int64)
        """Where heads are sorted. Kept, for pages that the system must find anew cost a twentieth
        of all that a sample does (measured)."""
        self._readers: dict[object, int] = {}
        self._doomed: list[tuple[int, Path]] = []
        self._retired: list[tuple[int, Head]] = []
        """As with files: no reader of that generation or a later one needs them."""
        self._touched_ns: dict[int, int] = {}
        """Window -> when something was last added to it, for those since the start."""
        self._started_ns: int | None = None
        self._compaction: Compaction | None = None
        self._pending: _Change | None = None
        self._aside: set[int] = set()
        """Segments that could not be merged."""

    def room(self) -> int:
        """Samples that `append` surely takes now."""
        state = self._state
        spare = self._config.sealed_heads - len(state.sealed)
        return state.live.room + max(0, spare) * self._config.head_rows

    def append(self, batch: SampleBatch, position: int) -> None:
        """Positions grow from batch to batch. What was stored before the start is passed over.

        An empty batch only says that nothing up to its position is missing.
        """
        if position <= self._opened_at:
            return
        with self._lock:
            if len(batch) > self.room():
                raise Retryable(
                    f"lake: {len(self._state.sealed)} heads wait to be written to {self._folder}; "
                    "is the disk full or slow?"
                )
            done = 0
            while done < len(batch):
                head = self._state.live
                went_on = head.append(batch, done, self._catalog.identity)
                if went_on < len(batch) and not head.n:
                    raise Permanent(f"lake: slot {batch.slot[went_on]} is none of the catalog's")
                done = went_on
                if done < len(batch):
                    self._seal()
            self._state.live.covered = position

    def query(self, query: SampleQuery) -> Frame:
        wanted = select(self._catalog, query.tenant, query.matchers, query.start_ns)
        with self._reading() as (state, heads):
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
        with self._reading() as (state, heads):
            library, segments = self._library, state.manifest.segments
            way = Scan(wanted, span, segments=segments, heads=heads, library=library)
            return wanted.labels(way.held())

    def stored(self) -> int:
        return self._state.manifest.stored

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        with self._maintenance:
            if self._started_ns is None:
                self._started_ns = now_ns
            try:
                if self._pending:
                    self._commit(self._pending)
                self._seal_aged(now_ns, everything=everything)
                while self._state.sealed:
                    self._write_out(self._state.sealed[0], now_ns)
                self._expire(now_ns)
                self._compact(now_ns)
                self._remove_doomed()
            except OSError as error:
                self._drop_compaction()
                raise Retryable(
                    f"lake: {self._folder}: {error.strerror or error}; what was not written stays "
                    "in memory and in the log"
                ) from error
            finally:
                self._report()

    def close(self) -> None:
        with self._maintenance:
            self._drop_compaction()
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

    def _seal(self) -> None:
        """Begin a new head; the old one waits to be written. The lock is held."""
        state = self._state
        fresh = self._new_head(state.live.number + 1, state.live.covered)
        self._state = replace(state, sealed=(*state.sealed, state.live), live=fresh)

    def _seal_aged(self, now_ns: int, *, everything: bool) -> None:
        with self._lock:
            head = self._state.live
            if not head.n and head.covered == self._state.manifest.stored:
                return
            if head.seen_ns is None:
                head.seen_ns = now_ns
            if everything or now_ns - head.seen_ns >= self._config.head_age_s * NS_PER_S:
                self._seal()

    def _write_out(self, head: Head, now_ns: int) -> None:
        """The oldest sealed head becomes segments; from then on they answer for it."""
        self._catalog.persist(now_ns)
        infos: tuple[SegmentInfo, ...] = ()
        if head.n:
            if self._sorting.shape[1] < head.n:
                self._sorting = np.empty((2, head.n), np.int64)
            rows = head.sorted_rows(self._sorting)
            infos = write_segments(
                self._files,
                self._folder,
                rows,
                window_ns=self._state.manifest.window_ns,
                number=lambda: next(self._numbers),
            )
            _WRITTEN.add(len(rows.time_ns), "head")
            _DUPLICATES.add(rows.n_duplicates)
        self._touched_ns.update((info.window, now_ns) for info in infos)
        self._commit(_Change(new=infos, head=head))

    def _compact(self, now_ns: int) -> None:
        """Go on with the compaction under way, or begin one; a bounded number of samples."""
        left = self._config.compact_rows
        while left > 0:
            job = self._compaction or self._begin_compaction(now_ns)
            if job is None:
                return
            before = job.n_read
            try:
                goes_on = job.step()
            except Permanent as error:
                self._set_aside(job, error)
                return
            if not goes_on:
                self._finish_compaction(job)
            left -= max(job.n_read - before, 1)

    def _begin_compaction(self, now_ns: int) -> Compaction | None:
        full = self._config.compact_into_rows
        chosen = choose(
            [
                # Neighbours must not be merged around it, so it stays in the row, too large to fit.
                msgspec.structs.replace(info, n_rows=full + 1, considered=True)
                if info.id in self._aside
                else info
                for info in self._state.manifest.segments
            ],
            self._quiet(now_ns),
            fan_in=self._config.compact_fan_in,
            max_rows=full,
        )
        if chosen:
            self._compaction = Compaction(
                self._files,
                self._folder,
                [self._library.segment(info) for info in chosen],
                next(self._numbers),
                block_rows=_BLOCK_ROWS,
            )
        return self._compaction

    def _quiet(self, now_ns: int) -> frozenset[int]:
        """Windows that are over, and to which nothing was added lately."""
        quiet_ns = round(self._config.quiet_s * NS_PER_S)
        window_ns = self._state.manifest.window_ns
        return frozenset(
            info.window
            for info in self._state.manifest.segments
            if (info.window + 1) * window_ns + quiet_ns <= now_ns
            and self._touched_ns.get(info.window, self._started_ns or 0) + quiet_ns <= now_ns
        )

    def _set_aside(self, job: Compaction, why: Permanent) -> None:
        """Segments that cannot be merged are left as they are, until the next start."""
        self._drop_compaction()
        self._aside |= {info.id for info in job.inputs}
        names = ", ".join(info.raw_name for info in job.inputs)
        _log.error("segments not merged", segments=names, why=str(why))

    def _finish_compaction(self, job: Compaction) -> None:
        info = job.finish()
        self._compaction = None
        self._commit(_Change(old=job.inputs, new=(info,)))
        _WRITTEN.add(info.n_rows, "compaction")
        _DUPLICATES.add(job.n_duplicates)

    def _drop_compaction(self) -> None:
        if self._compaction is not None:
            self._compaction.abort()
            self._compaction = None

    def _expire(self, now_ns: int) -> None:
        """Drop samples, and later cells, whose time is over."""
        raw_before = now_ns - round(self._config.raw_retention_s * NS_PER_S)
        cells_before = now_ns - round(self._config.rollup_retention_s * NS_PER_S)
        gone, kept = [], []
        for info in self._state.manifest.segments:
            if info.end_ns >= raw_before or (not info.has_raw and info.end_ns >= cells_before):
                continue
            gone.append(info)
            if info.has_cells and info.end_ns >= cells_before:
                raw_bytes = (self._folder / info.raw_name).stat().st_size
                kept.append(
                    msgspec.structs.replace(info, has_raw=False, n_bytes=info.n_bytes - raw_bytes)
                )
        if not gone:
            return
        if self._compaction and set(self._compaction.inputs) & set(gone):
            self._drop_compaction()
        self._commit(_Change(old=tuple(gone), new=tuple(kept)))
        _EXPIRED.add(sum(info.n_rows for info in gone if info.has_raw))

    def _commit(self, change: _Change) -> None:
        """Make a change that is in synced files durable, then true.

        When that fails, the manifest on disk may be the old one or the new one, so the change must
        be made before any other: it stays pending.
        """
        self._pending = change
        removed = frozenset(info.id for info in change.old)
        stored = change.head.covered if change.head else None
        manifest = self._state.manifest.changed(added=change.new, removed=removed, stored=stored)
        manifests.save(self._files, self._directory, manifest)
        self._pending = None
        with self._lock:
            state = self._state
            sealed = state.sealed[1:] if change.head else state.sealed
            generation = state.generation + 1
            self._state = replace(state, manifest=manifest, sealed=sealed, generation=generation)
        if change.head:
            self._retired.append((generation, change.head))
        named = {name for info in change.new for name in info.names}
        for info in change.old:
            self._library.forget(info)
            self._doomed += [
                (generation, self._folder / name) for name in info.names if name not in named
            ]

    def _remove_doomed(self) -> None:
        with self._lock:
            oldest = min(self._readers.values(), default=self._state.generation)
            free = [head.memory for generation, head in self._retired if generation <= oldest]
            self._retired = [one for one in self._retired if one[0] > oldest]
            self._spare = (self._spare + free)[-1:]
        for generation, path in self._doomed:
            if generation <= oldest:
                self._files.remove(path)
        self._doomed = [doomed for doomed in self._doomed if doomed[0] > oldest]

    @contextmanager
    def _reading(self) -> Iterator[tuple[_State, list[tuple[Head, int]]]]:
        """The state, whose files stay for as long as it is read, and how far each head goes.

        Between batches: no reader sees half of one.
        """
        token = object()
        with self._lock:
            state = self._state
            heads = [(head, head.n) for head in (*state.sealed, state.live)]
            self._readers[token] = state.generation
        try:
            yield state, heads
        finally:
            with self._lock:
                del self._readers[token]

    def _report(self) -> None:
        segments = self._state.manifest.segments
        _SEGMENTS.set(len(segments))
        _BYTES.set(sum(info.n_bytes for info in segments))
        _HEAD_ROWS.set(sum(head.n for head in (*self._state.sealed, self._state.live)))
