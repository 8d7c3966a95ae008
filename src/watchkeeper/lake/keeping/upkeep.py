"""Upkeep of segments: write out, drop what is past retention, merge, remove; in this order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.lake.keeping.manifest import I, Info
from watchkeeper.lake.keeping.segments import Change, H, Segments, Why

_log: Final = telemetry.Log(__name__)
I_co = TypeVar("I_co", bound=Info, covariant=True)


class Pace(Protocol):
    """The settings that say when."""

    @property
    def head_age_s(self) -> float: ...

    @property
    def quiet_s(self) -> float: ...

    @property
    def compact_rows(self) -> int: ...


class Merge(Protocol[I_co]):
    """One merge under way: `step` until it says that all is merged, then `finish`; or `abort`."""

    @property
    def inputs(self) -> tuple[I_co, ...]: ...

    @property
    def n_read(self) -> int: ...

    def step(self) -> bool: ...

    def finish(self) -> I_co:
        """Synced files; what the manifest is to say instead of the inputs."""
        ...

    def abort(self) -> None: ...


class Handling(Protocol[I, H]):
    """What is done one way with samples and another way with rows."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def write(self, head: H, now_ns: int) -> tuple[I, ...]:
        """Synced segments of a head's rows; after a fault nothing of them is left behind."""
        ...

    def choose(self, quiet: frozenset[int], aside: frozenset[int]) -> tuple[I, ...]:
        """The next segments to merge, none where there is nothing to do. `quiet` windows are to be
        as few segments as may be; those `aside` could not be merged."""
        ...

    def merge(self, chosen: Sequence[I]) -> Merge[I]:
        """Raises Permanent where they cannot be read."""
        ...

    def expired(self, now_ns: int, aside: frozenset[int]) -> tuple[tuple[I, ...], tuple[I, ...]]:
        """Segments of which something is past retention, and what stays of them. Those `aside` wait
        for no merge."""
        ...

    def changed(self, change: Change[I, H]) -> None:
        """A change is true from now on."""
        ...


class Upkeep(Generic[I, H]):
    """What is done about segments as time goes by; by one thread at a time."""

    def __init__(
        self,
        segments: Segments[I, H],
        handling: Handling[I, H],
        pace: Pace,
        *,
        seals_empty: bool,
    ) -> None:
        """`seals_empty`: a head that is old is written out even if no row is in it, so that the
        manifest says of the positions it covers that they are stored."""
        self._segments = segments
        self._handling = handling
        self._pace = pace
        self._seals_empty = seals_empty
        self._busy = threading.Lock()
        self._touched_ns: dict[int, int] = {}
        """Window -> when something was last added to it, for those since the start."""
        self._started_ns: int | None = None
        self._merge: Merge[I] | None = None
        self._pending: Change[I, H] | None = None
        self._aside: frozenset[int] = frozenset()
        """Segments that could not be merged."""

    def run(self, now_ns: int, *, everything: bool = False) -> list[H]:
        """Bounded work; the former heads that nobody reads any more. Raises Retryable.

        `everything`: a head that is young is written out, too.
        """
        with self._busy:
            if self._started_ns is None:
                self._started_ns = now_ns
            try:
                if self._pending:
                    self._commit(self._pending)
                self._seal_aged(now_ns, everything=everything)
                while self._segments.state.sealed:
                    self._write_out(self._segments.state.sealed[0], now_ns)
                self._expire(now_ns)
                self._merge_some(now_ns)
                return self._segments.sweep()
            except OSError as error:
                self._drop_merge()
                raise Retryable(
                    f"{self._handling.name}: {self._segments.folder}: {error.strerror or error}; "
                    "what was not written stays in memory and in the log"
                ) from error

    def close(self) -> None:
        with self._busy:
            self._drop_merge()

    def _seal_aged(self, now_ns: int, *, everything: bool) -> None:
        with self._segments.lock:
            state = self._segments.state
            head = state.live
            is_behind = head.covered > state.manifest.stored
            if not head.n and not (is_behind and (everything or self._seals_empty)):
                return
            if head.seen_ns is None:
                head.seen_ns = now_ns
            if everything or now_ns - head.seen_ns >= self._pace.head_age_s * NS_PER_S:
                self._segments.seal()

    def _write_out(self, head: H, now_ns: int) -> None:
        """The oldest sealed head becomes segments; from then on they answer for it."""
        infos = self._handling.write(head, now_ns)
        self._touched_ns.update((info.window, now_ns) for info in infos)
        self._commit(Change(Why.WRITTEN, new=infos, head=head))

    def _expire(self, now_ns: int) -> None:
        gone, kept = self._handling.expired(now_ns, self._aside)
        if not gone:
            return
        if self._merge and set(self._merge.inputs) & set(gone):
            self._drop_merge()
        self._commit(Change(Why.EXPIRED, old=gone, new=kept))

    def _merge_some(self, now_ns: int) -> None:
        """Go on with the merge under way, or begin one; a bounded number of rows."""
        left = self._pace.compact_rows
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

    def _begin_merge(self, now_ns: int) -> Merge[I] | None:
        chosen = self._handling.choose(self._quiet(now_ns), self._aside)
        if chosen:
            try:
                self._merge = self._handling.merge(chosen)
            except Permanent as error:
                self._set_aside(chosen, error)
        return self._merge

    def _quiet(self, now_ns: int) -> frozenset[int]:
        """Windows that are over, and to which nothing was added lately."""
        quiet_ns = round(self._pace.quiet_s * NS_PER_S)
        manifest = self._segments.state.manifest
        return frozenset(
            info.window
            for info in manifest.segments
            if (info.window + 1) * manifest.window_ns + quiet_ns <= now_ns
            and self._touched_ns.get(info.window, self._started_ns or 0) + quiet_ns <= now_ns
        )

    def _set_aside(self, infos: Sequence[I], why: Permanent) -> None:
        """Segments that cannot be merged are left as they are, until the next start."""
        self._drop_merge()
        self._aside |= {info.id for info in infos}
        names = ", ".join(f"{info.id:08}" for info in infos)
        _log.error("segments not merged", segments=names, why=str(why))

    def _finish_merge(self, job: Merge[I]) -> None:
        info = job.finish()
        self._merge = None
        self._commit(Change(Why.MERGED, old=job.inputs, new=(info,)))

    def _drop_merge(self) -> None:
        if self._merge is not None:
            self._merge.abort()
            self._merge = None

    def _commit(self, change: Change[I, H]) -> None:
        self._pending = change
        self._segments.commit(change)
        self._pending = None
        self._handling.changed(change)
