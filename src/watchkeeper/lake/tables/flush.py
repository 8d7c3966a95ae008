"""Writing a sealed head out as segments, one for each window of time that it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from watchkeeper.lake.files import Files
from watchkeeper.lake.tables.base import B
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.lake.tables.manifest import SegmentInfo
from watchkeeper.lake.tables.rows import Rows, TenantOrigin, ranks, sort_key, take
from watchkeeper.lake.tables.segment import SegmentWriter
from watchkeeper.model.series import I64

_BLOCK_ROWS: Final = 1 << 16
"""Copied in order at a time; the order itself is found for all."""


def write_segments(
    files: Files,
    folder: Path,
    definition: Definition[B],
    *,
    rows: tuple[Rows, Sequence[TenantOrigin]],
    window_ns: int,
    number: Callable[[], int],
) -> tuple[SegmentInfo, ...]:
    """Synced segments of these rows. After a fault nothing of them is left behind."""
    written: list[SegmentInfo] = []
    unsorted, sources = rows
    sources, moved = in_order(sources)
    columns = {**unsorted.columns, "origin": moved[unsorted.columns["origin"]].astype(np.int32)}
    whole = Rows(columns, unsorted.texts)
    order = np.lexsort(sort_key(whole, definition, ranks(sources)))
    window = (whole.columns[definition.time] // window_ns)[order]
    try:
        for one in np.unique(window).tolist():
            info = SegmentInfo(
                id=number(), window=one, tier=0, n_rows=0, start_ns=0, end_ns=0, n_bytes=0
            )
            writer = SegmentWriter(files, folder, info, definition, sources)
            written.append(_write(writer, definition, whole, order[window == one]))
    except OSError:
        for info in written:
            for name in info.names:
                files.remove(folder / name)
        raise
    return tuple(written)


def in_order(sources: Sequence[TenantOrigin]) -> tuple[tuple[TenantOrigin, ...], I64]:
    """Each of them once, sorted by place; and where each is then."""
    different = sorted(set(sources), key=lambda one: (one.place(), one.origin.labels, _entity(one)))
    place = {source: n for n, source in enumerate(different)}
    return tuple(different), np.array([place[one] for one in sources], np.int64)


def _entity(source: TenantOrigin) -> tuple[str, str, str]:
    entity = source.origin.entity
    return entity.environment, entity.node, entity.owner


def _write(
    writer: SegmentWriter[B], definition: Definition[B], rows: Rows, order: I64
) -> SegmentInfo:
    try:
        for begin in range(0, len(order), _BLOCK_ROWS):
            writer.add(take(rows, definition, order[begin : begin + _BLOCK_ROWS]))
        return writer.finish()
    except OSError:
        writer.abort()
        raise
