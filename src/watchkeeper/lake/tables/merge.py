"""Merging: neighbouring segments of a window become one, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Generic

import numpy as np

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.tables.base import B
from watchkeeper.lake.tables.config import TableConfig
from watchkeeper.lake.tables.flush import in_order
from watchkeeper.lake.tables.manifest import SegmentInfo
from watchkeeper.lake.tables.rows import Rows, concat, part, ranks, sort_key, take
from watchkeeper.lake.tables.segment import Segment, SegmentWriter
from watchkeeper.model.series import I64

_MOST_INPUTS = 32
"""Of one merge: each has a row group in memory, at least."""


def choose(
    segments: Sequence[SegmentInfo], quiet: frozenset[int], config: TableConfig
) -> tuple[SegmentInfo, ...]:
    """The next segments to merge; none when there is nothing to do.

    `compact_fan_in` neighbours of one tier make one of the next, so that a row is rewritten a
    logarithmic number of times. A quiet window is made as few segments as may be.
    """
    for window, group in groupby(segments, lambda one: one.window):
        present = list(group)
        candidates = [
            part_[: config.compact_fan_in]
            for tier in sorted({one.tier for one in present})
            for part_ in _parts([one for one in present if one.tier == tier], config)
            if len(part_) >= config.compact_fan_in
        ]
        if window in quiet:
            candidates += [part_ for part_ in _parts(present, config) if len(part_) > 1]
        if candidates:
            return tuple(candidates[0])
    return ()


def _parts(segments: Sequence[SegmentInfo], config: TableConfig) -> list[list[SegmentInfo]]:
    """Neighbours that are together within the limits of one."""
    parts: list[list[SegmentInfo]] = []
    n_rows = n_bytes = 0
    for one in segments:
        n_rows, n_bytes = n_rows + one.n_rows, n_bytes + one.n_bytes
        if (
            not parts
            or n_rows > config.compact_into_rows
            or n_bytes > config.compact_into_bytes
            or len(parts[-1]) == _MOST_INPUTS
        ):
            parts.append([])
            n_rows, n_bytes = one.n_rows, one.n_bytes
        parts[-1].append(one)
    return parts


class Merge(Generic[B]):
    """One merge under way: `step` until it says that all is merged, then `finish`; or `abort`."""

    def __init__(
        self,
        files: Files,
        folder: Path,
        inputs: Sequence[Segment[B]],
        number: int,
        *,
        block_rows: int,
    ) -> None:
        self.inputs = tuple(one.info for one in inputs)
        self._segments = inputs
        self._definition = inputs[0].definition
        sources, moved = in_order([source for one in inputs for source in one.sources])
        ends = np.cumsum([len(one.sources) for one in inputs])
        self._moved = np.split(moved, ends[:-1])
        self._rank = ranks(sources)
        info = SegmentInfo(
            id=number,
            window=self.inputs[0].window,
            tier=max(one.tier for one in self.inputs) + 1,
            n_rows=0,
            start_ns=0,
            end_ns=0,
            n_bytes=0,
        )
        self._writer = SegmentWriter(files, folder, info, self._definition, sources)
        self._next = [0] * len(inputs)
        self._loaded: list[Rows | None] = [None] * len(inputs)
        self._ahead = max(1, block_rows // len(inputs) // self._definition.group_rows)
        self._is_halfway = False
        self.n_read = 0

    def step(self) -> bool:
        """Merge one block; False when there is none left."""
        if self._is_halfway:
            raise Permanent("lake: a merge cannot go on behind a step that failed")
        self._is_halfway = True
        for i in range(len(self._segments)):
            self._load(i)
        held = [i for i, rows in enumerate(self._loaded) if rows is not None]
        if held:
            self._merge(held)
        self._is_halfway = False
        return bool(held)

    def finish(self) -> SegmentInfo:
        """A synced file; what the manifest is to say instead of the inputs."""
        return self._writer.finish()

    def abort(self) -> None:
        self._writer.abort()

    def _load(self, i: int) -> None:
        """The next row groups of an input of which nothing is left in memory."""
        segment, first = self._segments[i], self._next[i]
        if self._loaded[i] is not None or first == segment.n_groups:
            return
        last = min(first + self._ahead, segment.n_groups)
        rows = segment.rows(first, last)
        origin = self._moved[i][rows.columns["origin"]].astype(np.int32)
        self._loaded[i] = Rows({**rows.columns, "origin": origin}, rows.texts)
        self._next[i] = last
        self.n_read += rows.n_rows

    def _merge(self, held: Sequence[int]) -> None:
        """Write all that comes before the end of what is loaded of any input that goes on."""
        parts = [rows for rows in self._loaded if rows is not None]
        ends = np.cumsum([rows.n_rows for rows in parts])
        joined = concat(parts)
        order = np.lexsort(sort_key(joined, self._definition, self._rank))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        goes_on = [
            int(place[end - 1])
            for i, end in zip(held, ends.tolist(), strict=True)
            if self._next[i] < self._segments[i].n_groups
        ]
        written = order[: min(goes_on, default=len(order) - 1) + 1]
        self._writer.add(take(joined, self._definition, written))
        self._keep_rest(held, ends, written)

    def _keep_rest(self, held: Sequence[int], ends: I64, written: I64) -> None:
        """What was written of an input is what came first in it."""
        n_written = np.bincount(np.searchsorted(ends, written, "right"), minlength=len(held))
        for i, done in zip(held, n_written.tolist(), strict=True):
            rows = self._loaded[i]
            if rows is not None:
                left = rows.n_rows - done
                self._loaded[i] = part(rows, done, rows.n_rows) if left else None
