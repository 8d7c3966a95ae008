"""Segments and cells that are open for reading: a bounded number of them, least used first out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.rollup import Rollup
from watchkeeper.lake.segment import Segment

T = TypeVar("T", Segment, Rollup)


class Library:
    """Hands out open files. Who holds one may read on after it was closed here, or removed."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._open: OrderedDict[tuple[str, bool], Segment | Rollup] = OrderedDict()
        self._lock = threading.Lock()

    def segment(self, info: SegmentInfo) -> Segment:
        return self._get(info.index_name, info, Segment)

    def rollup(self, info: SegmentInfo) -> Rollup:
        return self._get(info.cells_index_name, info, Rollup)

    def clear(self) -> None:
        with self._lock:
            self._open.clear()

    def forget(self, info: SegmentInfo) -> None:
        """Its files are about to be removed, or some of them."""
        with self._lock:
            for has_raw in (True, False):
                self._open.pop((info.index_name, has_raw), None)
                self._open.pop((info.cells_index_name, has_raw), None)

    def _get(self, name: str, info: SegmentInfo, kind: Callable[[Path, SegmentInfo], T]) -> T:
        key = (name, info.has_raw)
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = kind(self._folder, info)
                while len(self._open) > self._limit:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(key)
        return found  # type: ignore[return-value]  # the key names its kind
