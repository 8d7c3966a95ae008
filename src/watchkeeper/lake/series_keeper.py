"""Keeps the catalog on the disk: what changed since the last time, and what has left for good.

The log is what makes registrations durable; this is what lets the log be cut. Ingest never waits
for it longer than it takes to copy some thousand rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from watchkeeper.lake.files import Files
from watchkeeper.lake.series_block import Gone
from watchkeeper.lake.series_file import Entry, SeriesFile
from watchkeeper.lake.series_history import History
from watchkeeper.lake.series_register import Register
from watchkeeper.model.series import I32


class Keeper:
    """What the register is on disk, in one folder. `persist` and `close` exclude each other."""

    def __init__(self, register: Register, folder: Path, files: Files) -> None:
        self.history = History(folder / "history", files)
        self._register = register
        self._file = SeriesFile(folder, files)
        self._entered: list[I32] = []
        self._left: list[I32] = []
        self._busy = threading.Lock()
        self._is_closed = False

    def read(self) -> Iterator[Entry]:
        """Everything that was kept, in the order in which it is to be applied."""
        self.history.open()
        return self._file.read()

    def entered(self, slots: I32) -> None:
        """These were registered. Hold the register's lock."""
        self._entered.append(slots)

    def left(self, slots: I32, gone: Gone) -> None:
        """These were retired. Hold the register's lock."""
        self._left.append(slots)
        self.history.add(gone)

    def persist(self, oldest_ns: int) -> None:
        """Make durable what happened since the last time. Raises Retryable; then nothing is lost.

        Who has left is durable in the history first: only then may the file say that they left.
        """
        with self._busy:
            if self._is_closed:
                return
            lock = self._register.index.lock
            with lock:
                entered, self._entered = self._entered, []
                left, self._left = self._left, []
                n_living = self._register.index.n_used
            try:
                self.history.flush(oldest_ns)
                if self._file.is_bloated(n_living):
                    self._file.rewrite(self._living())
                elif entered or left:
                    self._file.append(self._changes(entered, left))
            except BaseException:
                with lock:
                    self._entered = entered + self._entered
                    self._left = left + self._left
                raise

    def close(self) -> None:
        with self._busy:
            self._is_closed = True
            self._file.close()

    def _changes(self, entered: list[I32], left: list[I32]) -> Iterator[Entry]:
        if left:
            yield np.unique(np.concatenate(left))  # a slot may have been left by several
        if entered:
            # A slot may have been given twice meanwhile; its place is that of its last owner.
            slots, last = np.unique(np.concatenate(entered)[::-1], return_index=True)
            yield from self._register.copied(slots[np.argsort(-last)])

    def _living(self) -> Iterator[Entry]:
        """All, in the order of registration, so that rings of roles come out as they are."""
        register = self._register
        with register.index.lock:
            high = register.index.high_slot
            slots = np.flatnonzero(register.index.columns.n_labels[:high]).astype(np.int32)
            order = register.order[slots]
        by_age = np.argsort(order)
        yield from register.copied(slots[by_age], order[by_age])
