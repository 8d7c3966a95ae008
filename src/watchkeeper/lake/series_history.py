"""Series that have left memory, findable for as long as their samples are kept.

They leave in blocks: small indexes of labels, like the catalog's own. A block is written once, as
arrays that are mapped while they are searched. Blocks of like size are merged, so few are searched;
a block whose series were all seen too long ago is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.series_block import Block, Gone
from watchkeeper.lake.series_search import select
from watchkeeper.model.series import Matcher, SeriesId, TenantId

FAN: Final = 4
"""Blocks of like size that become one."""
LEAST: Final = 4096
"""Series of a block; smaller ones count as of this size."""
MOST: Final = 1 << 16
"""Series of a block that is merged no further: a merge holds all of it in memory."""


class History:
    """The blocks of one folder. `add` may be called by one thread, `flush` by another one at a
    time, `select` by any."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._waiting: list[Gone] = []
        self._blocks: list[Block] = []
        self._number = 0

    def open(self) -> None:
        """Find the blocks of the folder; leftovers of a crash are removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*.new"):
            self._files.remove(path)
        blocks = {path.name: Block.load(path) for path in sorted(self._folder.glob("*.series"))}
        for name in [name for block in blocks.values() for name in block.replaces]:
            if name in blocks:
                self._files.remove(self._folder / name)
        merged = {name for block in blocks.values() for name in block.replaces}
        self._blocks = [block for name, block in blocks.items() if name not in merged]
        self._number = 1 + max((int(Path(name).stem) for name in blocks), default=-1)

    def __len__(self) -> int:
        """Series in all blocks; one that came and went several times counts several times."""
        with self._lock:
            return sum(map(len, self._blocks)) + sum(map(len, self._waiting))

    @property
    def n_blocks(self) -> int:
        return len(self._blocks)

    def add(self, gone: Gone) -> None:
        """Take over series that have left. Cheap: the work is done by the next flush or search."""
        with self._lock:
            self._waiting.append(gone)

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], since_ns: int
    ) -> dict[SeriesId, dict[str, str]]:
        """Identity and labels of what fits and was seen at or after `since_ns`."""
        self._settle()
        while True:
            blocks = self._present()
            try:
                return _search(blocks, tenant, matchers, since_ns)
            except FileNotFoundError as error:
                # A merge removes what it replaces; then these series are in another block by now.
                if blocks == self._present():
                    raise Permanent(
                        f"catalog: {error.filename} is missing; restore it from a backup, or "
                        "restart: then queries do not find the series that left around its time"
                    ) from error

    def flush(self, oldest_ns: int) -> None:
        """Make all that was added durable; merge; forget what was last seen before `oldest_ns`.

        Raises Retryable if the disk refuses; nothing is lost then.
        """
        self._settle()
        for block in [block for block in self._blocks if block.path is None]:
            self._replace([block], [self._save(block)])
        self._replace([block for block in self._blocks if block.last_seen_ns < oldest_ns], [])
        while run := self._like_sized():
            self._replace(run, [self._save(Block.merged(run, oldest_ns))])

    def _present(self) -> list[Block]:
        with self._lock:
            return list(self._blocks)

    def _settle(self) -> None:
        """Make a block of what waits. Who searches meanwhile waits for it."""
        with self._settling:
            with self._lock:
                waiting = list(self._waiting)
            if waiting:
                block = Block.of(waiting)
                with self._lock:
                    self._blocks.append(block)
                    del self._waiting[: len(waiting)]

    def _save(self, block: Block) -> Block:
        path = self._folder / f"{self._number:010}.series"
        self._number += 1
        return block.save(path, self._files)

    def _like_sized(self) -> list[Block]:
        """FAN blocks of one size, if there are so many."""
        by_size: dict[int, list[Block]] = {}
        for block in self._blocks:
            n = max(len(block), LEAST)
            if n < MOST:
                by_size.setdefault((n // LEAST).bit_length() // 2, []).append(block)
        return next((run[:FAN] for run in by_size.values() if len(run) >= FAN), [])

    def _replace(self, former: Sequence[Block], fresh: Sequence[Block]) -> None:
        with self._lock:
            self._blocks = [block for block in self._blocks if block not in former]
            self._blocks.extend(fresh)
        for block in former:
            if block.path is not None:
                self._files.remove(block.path)


def _search(
    blocks: Sequence[Block], tenant: TenantId, matchers: Sequence[Matcher], since_ns: int
) -> dict[SeriesId, dict[str, str]]:
    found: dict[SeriesId, dict[str, str]] = {}
    for block in blocks:
        if block.last_seen_ns < since_ns or tenant not in block.tenants:
            continue
        index, seen_ns = block.opened()
        slots = select(index, block.tenants.index(tenant), matchers)
        slots = slots[seen_ns[slots] >= since_ns]
        run = index.columns.identity[slots].tobytes()
        for k, labels in enumerate(index.labels(slots)):
            found[SeriesId(run[16 * k : 16 * k + 16])] = labels
    return found
