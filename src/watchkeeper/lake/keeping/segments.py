"""What is in files and what is in memory, as readers see it while it changes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from watchkeeper.lake.files import Files
from watchkeeper.lake.keeping.manifest import SEGMENTS, I, Manifest, remove_orphans, save


class Head(Protocol):
    """Rows in memory: appended to while it lives, written out when it is sealed."""

    seen_ns: int | None
    """When maintenance first met something in it."""

    @property
    def n(self) -> int:
        """Rows in it."""
        ...

    @property
    def number(self) -> int:
        """Of its first row."""
        ...

    @property
    def covered(self) -> int:
        """The log position up to which everything is in this head or in an earlier one."""
        ...


H = TypeVar("H", bound=Head)
T = TypeVar("T")
NewHead = Callable[[int, int], H]
"""(number of its first row, position that is covered already) -> an empty head."""


@dataclass(frozen=True, slots=True)
class State(Generic[I, H]):
    """What there is at one moment. Replaced whole."""

    manifest: Manifest[I]
    sealed: tuple[H, ...]
    live: H
    generation: int = 0

    @property
    def heads(self) -> tuple[H, ...]:
        return (*self.sealed, self.live)


class Why(Enum):
    WRITTEN = "what was in memory"
    MERGED = "several became one"
    EXPIRED = "retention is over"


@dataclass(frozen=True, slots=True)
class Change(Generic[I, H]):
    """What a manifest says anew."""

    why: Why
    old: tuple[I, ...] = ()
    new: tuple[I, ...] = ()
    head: H | None = None
    """The oldest sealed one, whose rows are in the new segments."""


class Segments(Generic[I, H]):
    """One folder, owned by one process. `state` may be read by any thread."""

    def __init__(
        self,
        files: Files,
        directory: Path,
        manifest: Manifest[I],
        new_head: NewHead[H],
    ) -> None:
        self.files = files
        self.folder = directory / SEGMENTS
        self._directory = directory
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(files, directory, manifest)
        self.opened_at = manifest.stored
        """What was stored before the start."""
        self._ids = itertools.count(manifest.next_id)
        self.lock = threading.Lock()
        """Around every replacement of the state, every append, and the list of readers."""
        self._new_head = new_head
        self.state = State(manifest, (), new_head(manifest.next_number, manifest.stored))
        self._readers: dict[object, int] = {}
        self._doomed: list[tuple[int, Path]] = []
        """Files that no manifest names since that generation."""
        self._retired: list[tuple[int, H]] = []
        """As with files: no reader of that generation or a later one needs them."""

    def next_id(self) -> int:
        return next(self._ids)

    def seal(self, new_head: NewHead[H] | None = None) -> None:
        """Begin a new head, which may be another than usual; the old one waits to be written. Hold
        the lock."""
        state = self.state
        fresh = (new_head or self._new_head)(state.live.number + state.live.n, state.live.covered)
        self.state = replace(state, sealed=state.heads, live=fresh)

    def commit(self, change: Change[I, H]) -> None:
        """Make a change that is in synced files durable, then true.

        When that fails, the manifest on disk may be the old one or the new one, so the change must
        be made before any other. By one thread at a time.
        """
        head = change.head
        manifest = self.state.manifest.changed(
            added=change.new, removed=frozenset(info.id for info in change.old)
        )
        if head is not None:
            manifest = manifest.up_to(head.covered, head.number + head.n)
        save(self.files, self._directory, manifest)
        with self.lock:
            state = self.state
            sealed = state.sealed if head is None else state.sealed[1:]
            generation = state.generation + 1
            self.state = replace(state, manifest=manifest, sealed=sealed, generation=generation)
        if head is not None:
            self._retired.append((generation, head))
        named = {name for info in change.new for name in info.names}
        gone = {name for info in change.old for name in info.names} - named
        self._doomed += [(generation, self.folder / name) for name in sorted(gone)]

    def sweep(self) -> list[H]:
        """Remove the files, and hand out the heads, that nobody reads any more."""
        with self.lock:
            oldest = min(self._readers.values(), default=self.state.generation)
        free = [head for generation, head in self._retired if generation <= oldest]
        self._retired = [retired for retired in self._retired if retired[0] > oldest]
        for generation, path in self._doomed:
            if generation <= oldest:
                self.files.remove(path)
        self._doomed = [doomed for doomed in self._doomed if doomed[0] > oldest]
        return free

    @contextmanager
    def reading(self, look: Callable[[H], T]) -> Iterator[tuple[State[I, H], list[T]]]:
        """The state, whose files stay for as long as it is read, and a look at each of its heads.

        Between batches: no reader sees half of one.
        """
        token = object()
        with self.lock:
            state = self.state
            seen = [look(head) for head in state.heads]
            self._readers[token] = state.generation
        try:
            yield state, seen
        finally:
            with self.lock:
                del self._readers[token]
