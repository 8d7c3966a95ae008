"""One row of state per slot, in memory that is taken only where it is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from watchkeeper.analyze.detectors.rows_kernel import admit
from watchkeeper.compiled.memory import reserve
from watchkeeper.errors import Permanent
from watchkeeper.model.series import I32

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Rows:
    """An array over slots that reads as zeros where nothing was written.

    `capacity` is room, not memory. It is meant to be the limit of series; if that limit is raised
    later, the rows move once to an array of twice the size.
    """

    def __init__(self, kind: Any, capacity: int, width: int = 1) -> None:
        self._kind = np.dtype(kind)
        self._width = width
        self.array = self._room(max(1, capacity))
        self._touched = 0
        """Rows from here on were never written: they need no clearing, and cost no page."""

    def _room(self, capacity: int) -> np.ndarray[Any, Any]:
        shape = capacity if self._width == 1 else (capacity, self._width)
        return reserve(shape, self._kind, huge=True)

    @property
    def bytes_per_row(self) -> int:
        return int(self._kind.itemsize) * self._width

    def hold(self, slot: I32) -> None:
        """Make sure that these slots have rows."""
        if len(slot) == 0:
            return
        top = int(slot.max()) + 1
        if top > self._touched:
            if top > len(self.array):
                larger = self._room(max(top, 2 * len(self.array)))
                larger[: self._touched] = self.array[: self._touched]
                self.array = larger
            self._touched = top

    def admit(self, slot: I32, donor: I32) -> None:
        """Zero these rows, or copy the donor's where there is one, in the order given."""
        self.hold(slot)
        self.hold(donor)
        admit(self.array.view(np.uint64).reshape(len(self.array), -1), slot, donor)

    def take(self, slot: I32) -> Bytes:
        """The rows of these slots as bytes, for a checkpoint."""
        self.hold(slot)
        rows = np.ascontiguousarray(self.array[slot])
        return rows.view(np.uint8).reshape(len(slot), self.bytes_per_row)

    def put(self, slot: I32, rows: Bytes) -> None:
        if rows.shape != (len(slot), self.bytes_per_row):
            raise Permanent(
                f"detector state: rows of shape {rows.shape} do not fit {len(slot)} slots of "
                f"{self.bytes_per_row} bytes; remove the checkpoints, the log is replayed instead"
            )
        self.hold(slot)
        flat = np.ascontiguousarray(rows).view(self._kind)
        self.array[slot] = flat.reshape(self.array[slot].shape)


def become_newcomers(rows: np.ndarray[Any, Any], slot: I32, personal: Sequence[str]) -> None:
    """Of rows copied from a donor, clear what is personal. A last value of nan marks a newcomer."""
    adopted = slot[rows["n"][slot] > 0]
    for name in personal:
        rows[name][adopted] = 0
    rows["last"][adopted] = np.nan
