"""Compaction: neighbouring segments of a window become one, a block of series at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path

import msgspec
import numpy as np

from watchkeeper.errors import Permanent
from watchkeeper.lake import segment_kernel
from watchkeeper.lake.files import Files
from watchkeeper.lake.head import sort_identities
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.rollup import RollupWriter, worth_keeping
from watchkeeper.lake.runs import merge_columns, offsets
from watchkeeper.lake.segment import Block, Segment, SegmentWriter
from watchkeeper.model.series import I64


def choose(
    segments: Sequence[SegmentInfo], quiet: frozenset[int], *, fan_in: int, max_rows: int
) -> tuple[SegmentInfo, ...]:
    """The next segments to merge; none when there is nothing to do.

    Only neighbours in the order of arrival are merged, or "the first wins" could not be told any
    more. `fan_in` of one tier make one of the next, so a sample is rewritten a logarithmic number
    of times. A quiet window, to which nothing is added any more, is made as few segments as may be.
    """
    for window, group in groupby(segments, lambda segment: segment.window):
        present = [segment for segment in group if segment.has_raw]
        candidates = [
            part
            for part, full in _parts_of_one_tier(present, max_rows)
            if len(part) >= fan_in or (full and len(part) > 1)
        ]
        if window in quiet:
            candidates += [
                part
                for part, _ in _parts(present, max_rows)
                if len(part) > 1 or not part[0].considered
            ]
        if candidates:
            return candidates[0]
    return ()


def _parts_of_one_tier(
    segments: Sequence[SegmentInfo], max_rows: int
) -> Iterator[tuple[tuple[SegmentInfo, ...], bool]]:
    for _, same_tier in groupby(segments, lambda segment: segment.tier):
        yield from _parts(list(same_tier), max_rows)


def _parts(
    segments: Sequence[SegmentInfo], max_rows: int
) -> Iterator[tuple[tuple[SegmentInfo, ...], bool]]:
    """Neighbours with at most `max_rows` together, and whether the next one did not fit in."""
    part: list[SegmentInfo] = []
    for segment in segments:
        if part and sum(one.n_rows for one in part) + segment.n_rows > max_rows:
            yield tuple(part), True
            part = []
        part.append(segment)
    if part:
        yield tuple(part), False


class Compaction:
    """One merge under way: `step` until it says that all is merged, then `finish`; or `abort`.

    Identities are hashes, so blocks of series are stretches of the hash's range, about
    `block_rows` rows each, whatever the segments' size.
    """

    def __init__(
        self, files: Files, folder: Path, inputs: Sequence[Segment], number: int, *, block_rows: int
    ) -> None:
        first = inputs[0].info
        self.inputs = tuple(segment.info for segment in inputs)
        self._segments = inputs
        self._info = SegmentInfo(
            id=number,
            window=first.window,
            order=first.order,
            tier=max(segment.info.tier for segment in inputs) + 1,
            n_rows=0,
            n_series=0,
            start_ns=0,
            end_ns=0,
            n_bytes=0,
            considered=True,
        )
        unit_ns = min(segment.unit_ns for segment in inputs)
        n_blocks = max(1, -(-sum(info.n_rows for info in self.inputs) // block_rows))
        edges = [(i << 64) // n_blocks for i in range(n_blocks)]
        self._places = [
            np.append(np.searchsorted(segment.low, np.array(edges, np.uint64)), len(segment.low))
            for segment in inputs
        ]
        self._blocks = pairwise(range(n_blocks + 1))
        self._writer = SegmentWriter(files, folder, self._info, unit_ns)
        try:
            self._rollup = RollupWriter(files, folder, self._info, unit_ns)
        except OSError:
            self._writer.abort()
            raise
        self._memory: I64 = np.empty((4, 0), np.int64)
        """Where blocks are merged. Kept, for pages that the system must find anew for each block
        cost a fifth of all that merging does (measured)."""
        self._is_halfway = False
        self.n_read = 0
        self.n_duplicates = 0

    def step(self) -> bool:
        """Merge one block; False when there is none left."""
        if self._is_halfway:
            raise Permanent("lake: a merge cannot go on behind a step that failed")
        self._is_halfway = True
        edge = next(self._blocks, None)
        if edge is None:
            self._is_halfway = False
            return False
        blocks = [
            segment.read_block(int(place[edge[0]]), int(place[edge[1]]))
            for segment, place in zip(self._segments, self._places, strict=True)
            if place[edge[1]] > place[edge[0]]
        ]
        if blocks:
            n_rows = sum(len(block.time_ns) for block in blocks)
            if n_rows > self._memory.shape[1]:
                self._memory = np.empty((4, n_rows + n_rows // 8), np.int64)
            merged = merge_blocks(blocks, self._memory)
            self.n_read += n_rows
            self.n_duplicates += n_rows - len(merged.time_ns)
            self._writer.add(merged)
            self._rollup.add(merged)
        self._is_halfway = False
        return True

    def finish(self) -> SegmentInfo:
        """Synced files; what the manifest is to say instead of the inputs."""
        info = self._writer.finish()
        if not worth_keeping(info.n_rows, self._rollup.n_cells):
            self._rollup.abort()
            return info
        n_bytes = info.n_bytes + self._rollup.finish()
        return msgspec.structs.replace(info, has_cells=True, n_bytes=n_bytes)

    def abort(self) -> None:
        self._writer.abort()
        self._rollup.abort()


def merge_blocks(blocks: Sequence[Block], memory: I64 | None = None) -> Block:
    """The same stretch of series from several segments, in the order of arrival, as one.

    `memory` has four words for each row, and the outcome lies in it.
    """
    if len(blocks) == 1:
        return blocks[0]
    every = np.concatenate([block.identity for block in blocks])
    order = sort_identities(every)
    is_new = np.append(True, (every[order[1:]] != every[order[:-1]]).any(axis=1))
    identity = every[order[is_new]]
    place = np.empty(len(every), np.int64)
    place[order] = np.cumsum(is_new) - 1
    shape = (len(blocks), len(identity))
    begin, stop = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    code = np.zeros(shape, np.uint8)
    rows_before: I64 = offsets(np.array([len(block.time_ns) for block in blocks], np.int64))
    series_before = offsets(np.array([len(block.identity) for block in blocks], np.int64))
    for k, block in enumerate(blocks):
        at = place[series_before[k] : series_before[k + 1]]
        begin[k, at] = block.offset[:-1] + rows_before[k]
        stop[k, at] = block.offset[1:] + rows_before[k]
        code[k, at] = block.code
    n_rows = int(rows_before[-1])
    time_ns, number, *into = (
        np.empty((4, n_rows), np.int64) if memory is None else memory[:, :n_rows]
    )
    np.concatenate([block.time_ns for block in blocks], out=time_ns)
    np.concatenate([block.number for block in blocks], out=number)
    one_code = np.empty(len(identity), np.uint8)
    segment_kernel.unify_codes(begin, stop, code, number, one_code)
    offset, time_ns, number = merge_columns(begin, stop, time_ns, number, into)
    segment_kernel.encode_runs(number.view(np.float64), number, offset, one_code)
    return Block(identity, offset, one_code, time_ns, number)
