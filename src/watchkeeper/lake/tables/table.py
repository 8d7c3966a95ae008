"""A table on disk: a head in memory, sorted segments in files, merges, retention."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Generic

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.lake.files import Files
from watchkeeper.lake.tables import manifest as manifests
from watchkeeper.lake.tables.base import B, Found, RowQuery
from watchkeeper.lake.tables.config import TableConfig
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.lake.tables.flush import write_segments
from watchkeeper.lake.tables.head import Head, text_bytes
from watchkeeper.lake.tables.manifest import SEGMENTS, Manifest, SegmentInfo
from watchkeeper.lake.tables.merge import Merge, choose
from watchkeeper.lake.tables.search import HeadPlace, Place, Search, SegmentPlace
from watchkeeper.lake.tables.segment import Segment

_WRITTEN = telemetry.counter(
    "watchkeeper_lake_written_rows_total", "Rows written out, by what for.", ("table", "what")
)
_EXPIRED = telemetry.counter(
    "watchkeeper_lake_expired_rows_total", "Rows whose retention ended.", ("table",)
)
_BYTES = telemetry.gauge("watchkeeper_lake_table_bytes", "Of all files of a table.", ("table",))
_SEGMENTS = telemetry.gauge("watchkeeper_lake_table_segments", "Files of a table.", ("table",))
_HEAD_ROWS = telemetry.gauge(
    "watchkeeper_lake_table_head_rows", "Rows that are in memory only.", ("table",)
)
_SCANNED = telemetry.counter(
    "watchkeeper_lake_scanned_rows_total", "Rows that searches looked at.", ("table",)
)

_log: Final = telemetry.Log(__name__)
_BLOCK_ROWS: Final = 1 << 16
"""Of a merge: what is in memory at a time, give or take a row group of each input."""


@dataclass(frozen=True, slots=True)
class _State(Generic[B]):
    """What the table is made of at one moment. Replaced whole."""

    manifest: Manifest
    sealed: tuple[Head[B], ...]
    live: Head[B]
    generation: int = 0


@dataclass(frozen=True, slots=True)
class _Change(Generic[B]):
    """What a manifest says anew."""

    old: tuple[SegmentInfo, ...] = ()
    new: tuple[SegmentInfo, ...] = ()
    head: Head[B] | None = None
    """Whose rows are in the new segments."""


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
        self._directory = directory
        self._folder = directory / SEGMENTS
        self._files = files or Files()
        self._folder.mkdir(parents=True, exist_ok=True)
        manifest = manifests.load(directory, round(config.window_s * NS_PER_S))
        manifests.remove_orphans(self._files, directory, manifest)
        self._opened_at = manifest.stored
        self._ids = itertools.count(manifest.next_id)
        self._library = _Library(self._folder, definition, config.open_segments)
        self._lock = threading.Lock()
        """Around every replacement of the state, and the list of its readers."""
        self._maintenance = threading.Lock()
        head = self._new_head(manifest.next_number, manifest.stored)
        self._state = _State(manifest, (), head)
        self._readers: dict[object, int] = {}
        self._doomed: list[tuple[int, Path]] = []
        """Files of segments that were replaced in that generation."""
        self._touched_ns: dict[int, int] = {}
        """Window -> when something was last added to it, for those since the start."""
        self._started_ns: int | None = None
        self._merge: Merge[B] | None = None
        self._pending: _Change[B] | None = None
        self._aside: set[int] = set()
        """Segments that could not be merged."""

    def append(self, batch: B, position: int) -> None:
        if position <= self._opened_at:
            return
        with self._lock:
            if len(batch):
                if not self._state.live.fits(batch):
                    self._make_room(batch)
                self._state.live.append(batch, position)
            self._state.live.covered = position

    def search(self, query: RowQuery) -> Found[B]:
        with self._reading() as (state, places):
            segments = [
                info
                for info in state.manifest.segments
                if info.start_ns < query.end_ns and info.end_ns >= query.start_ns
            ]
            places += [
                SegmentPlace(info.end_ns, partial(self._library.segment, info)) for info in segments
            ]
            search = Search(self._definition, query, self._config.scan_rows)
            try:
                return search.run(places)
            finally:
                _SCANNED.add(search.n_scanned, self._definition.name)

    def stored(self) -> int:
        """Nothing that memory holds; what had no rows for us needs no file."""
        with self._lock:
            heads = (*self._state.sealed, self._state.live)
            waiting = next((head.first - 1 for head in heads if head.n), None)
            return heads[-1].covered if waiting is None else waiting

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
                self._merge_some(now_ns)
                self._remove_doomed()
            except OSError as error:
                self._drop_merge()
                raise Retryable(
                    f"{self._definition.name}: {self._folder}: {error.strerror or error}; what was "
                    "not written stays in memory and in the log"
                ) from error
            finally:
                self._report()

    def close(self) -> None:
        with self._maintenance:
            self._drop_merge()
            self._library.clear()

    # Memory

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
        if self._state.live.n and len(self._state.sealed) >= self._config.sealed_heads:
            raise Retryable(
                f"{self._definition.name}: {len(self._state.sealed)} heads wait to be written to "
                f"{self._folder}; is the disk full or slow?"
            )
        self._seal(batch)

    def _seal(self, batch: B | None = None) -> None:
        state = self._state
        fresh = self._new_head(state.live.number + state.live.n, state.live.covered, batch)
        sealed = (*state.sealed, state.live) if state.live.n or batch is None else state.sealed
        self._state = replace(state, sealed=sealed, live=fresh)

    def _seal_aged(self, now_ns: int, *, everything: bool) -> None:
        with self._lock:
            head = self._state.live
            is_behind = head.covered > self._state.manifest.stored
            if not head.n and not (everything and is_behind):
                return
            if head.seen_ns is None:
                head.seen_ns = now_ns
            if everything or now_ns - head.seen_ns >= self._config.head_age_s * NS_PER_S:
                self._seal()

    # Files

    def _write_out(self, head: Head[B], now_ns: int) -> None:
        """The oldest sealed head becomes segments; from then on they answer for it."""
        infos: tuple[SegmentInfo, ...] = ()
        if head.n:
            infos = write_segments(
                self._files,
                self._folder,
                self._definition,
                rows=(head.rows(head.n), head.sources),
                window_ns=self._state.manifest.window_ns,
                number=lambda: next(self._ids),
            )
        _WRITTEN.add(head.n, self._definition.name, "head")
        self._touched_ns.update((info.window, now_ns) for info in infos)
        self._commit(_Change(new=infos, head=head))

    def _merge_some(self, now_ns: int) -> None:
        """Go on with the merge under way, or begin one; a bounded number of rows."""
        left = self._config.compact_rows
        while left > 0:
            job = self._merge or self._begin_merge(now_ns)
            if job is None:
                return
            before = job.n_read
            try:
                goes_on = job.step()
            except Permanent as error:
                self._set_aside(job.inputs, error)
                return
            if not goes_on:
                self._finish_merge(job)
            left -= max(job.n_read - before, 1)

    def _begin_merge(self, now_ns: int) -> Merge[B] | None:
        sound = [one for one in self._state.manifest.segments if one.id not in self._aside]
        chosen = choose(sound, self._quiet(now_ns), self._config)
        if chosen:
            try:
                inputs = [self._library.segment(info) for info in chosen]
            except Permanent as error:
                self._set_aside(chosen, error)
                return None
            self._merge = Merge(
                self._files, self._folder, inputs, next(self._ids), block_rows=_BLOCK_ROWS
            )
        return self._merge

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

    def _set_aside(self, infos: Sequence[SegmentInfo], why: Permanent) -> None:
        """Segments that cannot be merged are left as they are, until the next start."""
        self._drop_merge()
        self._aside |= {info.id for info in infos}
        names = ", ".join(info.rows_name for info in infos)
        _log.error("segments not merged", segments=names, why=str(why))

    def _finish_merge(self, job: Merge[B]) -> None:
        info = job.finish()
        self._merge = None
        self._commit(_Change(old=job.inputs, new=(info,)))
        _WRITTEN.add(info.n_rows, self._definition.name, "merge")

    def _drop_merge(self) -> None:
        if self._merge is not None:
            self._merge.abort()
            self._merge = None

    def _expire(self, now_ns: int) -> None:
        """Drop segments of which every row's time is over."""
        before = now_ns - round(self._config.retention_s * NS_PER_S)
        gone = tuple(one for one in self._state.manifest.segments if one.end_ns < before)
        if not gone:
            return
        if self._merge and set(self._merge.inputs) & set(gone):
            self._drop_merge()
        self._commit(_Change(old=gone))
        _EXPIRED.add(sum(info.n_rows for info in gone), self._definition.name)

    def _commit(self, change: _Change[B]) -> None:
        """Make a change that is in synced files durable, then true.

        When that fails, the manifest on disk may be the old one or the new one, so the change must
        be made before any other: it stays pending.
        """
        self._pending = change
        manifest = self._state.manifest.changed(
            added=change.new, removed=frozenset(info.id for info in change.old)
        )
        if change.head is not None:
            manifest = manifest.up_to(change.head.covered, change.head.number + change.head.n)
        manifests.save(self._files, self._directory, manifest)
        self._pending = None
        with self._lock:
            state = self._state
            sealed = state.sealed[1:] if change.head is not None else state.sealed
            generation = state.generation + 1
            self._state = replace(state, manifest=manifest, sealed=sealed, generation=generation)
        for info in change.old:
            self._library.forget(info)
            self._doomed += [(generation, self._folder / name) for name in info.names]
        for info in change.new:  # so that no search waits for it
            self._library.segment(info)

    def _remove_doomed(self) -> None:
        with self._lock:
            oldest = min(self._readers.values(), default=self._state.generation)
        for generation, path in self._doomed:
            if generation <= oldest:
                self._files.remove(path)
        self._doomed = [doomed for doomed in self._doomed if doomed[0] > oldest]

    @contextmanager
    def _reading(self) -> Iterator[tuple[_State[B], list[Place]]]:
        """The state, whose files stay for as long as it is read, and its heads as they are now.

        Between batches: no reader sees half of one.
        """
        token = object()
        with self._lock:
            state = self._state
            heads: list[Place] = [
                HeadPlace(tuple(head.sources), head.newest_ns, head.rows(head.n))
                for head in (*state.sealed, state.live)
            ]
            self._readers[token] = state.generation
        try:
            yield state, heads
        finally:
            with self._lock:
                del self._readers[token]

    def _report(self) -> None:
        name, segments = self._definition.name, self._state.manifest.segments
        _SEGMENTS.set(len(segments), name)
        _BYTES.set(sum(info.n_bytes for info in segments), name)
        _HEAD_ROWS.set(sum(head.n for head in (*self._state.sealed, self._state.live)), name)


class _Library(Generic[B]):
    """Open segments: a bounded number of them, least used first out."""

    def __init__(self, folder: Path, definition: Definition[B], limit: int) -> None:
        self._folder = folder
        self._definition = definition
        self._limit = limit
        self._open: OrderedDict[int, Segment[B]] = OrderedDict()
        self._lock = threading.Lock()

    def segment(self, info: SegmentInfo) -> Segment[B]:
        with self._lock:
            found = self._open.get(info.id)
            if found is None:
                found = self._open[info.id] = Segment(self._folder, info, self._definition)
                while len(self._open) > self._limit:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(info.id)
        return found

    def forget(self, info: SegmentInfo) -> None:
        with self._lock:
            self._open.pop(info.id, None)

    def clear(self) -> None:
        with self._lock:
            self._open.clear()
