"""What the lake's manifest says of a segment."""

from __future__ import annotations

from functools import partial

import msgspec

from watchkeeper.lake.keeping import manifest as manifests


class SegmentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One segment: samples of one window of time, and perhaps their five-minute cells."""

    id: int
    window: int
    """Which multiple of the window's length it lies in. Segments of two windows never overlap."""
    order: int
    """Of arrival, within the window: where two segments hold the same time, the lower one wins."""
    tier: int
    """How often its samples were merged."""
    n_rows: int
    n_series: int
    start_ns: int
    end_ns: int
    """Of the first and the last sample; both belong to it."""
    n_bytes: int
    """Of all its files."""
    has_raw: bool = True
    """False: retention took the samples, the cells are left."""
    has_cells: bool = False
    considered: bool = False
    """A compaction has decided whether cells are worth keeping."""

    @property
    def place(self) -> tuple[int, int]:
        return self.window, self.order

    @property
    def names(self) -> list[str]:
        names = [self.index_name]
        if self.has_raw:
            names.append(self.raw_name)
        if self.has_cells:
            names += [self.cells_name, self.cells_index_name]
        return names

    @property
    def raw_name(self) -> str:
        return f"{self.id:08}.parquet"

    @property
    def index_name(self) -> str:
        return f"{self.id:08}.index"

    @property
    def cells_name(self) -> str:
        return f"{self.id:08}.5m.parquet"

    @property
    def cells_index_name(self) -> str:
        return f"{self.id:08}.5m.index"


Manifest = manifests.Manifest[SegmentInfo]
load = partial(manifests.load, msgspec.json.Decoder(Manifest))
