"""What a table's manifest says of a segment."""

from __future__ import annotations

from functools import partial

import msgspec

from watchkeeper.lake.keeping import manifest as manifests


class SegmentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One file of rows with its index beside it; rows of one window of time."""

    id: int
    window: int
    tier: int
    """How often its rows were merged."""
    n_rows: int
    start_ns: int
    end_ns: int
    """Of the oldest and the newest row; both belong to it."""
    n_bytes: int

    @property
    def place(self) -> tuple[int, int]:
        return self.window, self.start_ns

    @property
    def names(self) -> tuple[str, str]:
        return self.rows_name, self.index_name

    @property
    def rows_name(self) -> str:
        return f"{self.id:08}.parquet"

    @property
    def index_name(self) -> str:
        return f"{self.id:08}.index"


Manifest = manifests.Manifest[SegmentInfo]
load = partial(manifests.load, msgspec.json.Decoder(Manifest))
