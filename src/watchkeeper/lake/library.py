"""Segments and cells that are open for reading."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from watchkeeper.lake.keeping.library import Library as Opened
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.rollup import Rollup
from watchkeeper.lake.segment import Segment


class Library:
    """Hands out open files, a bounded number of both kinds together."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._opened: Opened[tuple[str, bool], Segment | Rollup] = Opened(limit)

    def segment(self, info: SegmentInfo) -> Segment:
        key = (info.index_name, info.has_raw)
        return cast(Segment, self._opened.get(key, lambda: Segment(self._folder, info)))

    def rollup(self, info: SegmentInfo) -> Rollup:
        key = (info.cells_index_name, info.has_raw)
        return cast(Rollup, self._opened.get(key, lambda: Rollup(self._folder, info)))

    def clear(self) -> None:
        self._opened.clear()

    def forget(self, info: SegmentInfo) -> None:
        """Its files are about to be removed, or some of them."""
        for has_raw in (True, False):
            self._opened.forget((info.index_name, has_raw))
            self._opened.forget((info.cells_index_name, has_raw))
