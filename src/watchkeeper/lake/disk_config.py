"""The embedded lake's settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_DAY_S = 86_400.0


class DiskLakeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is in memory, how files are laid out, how long things are kept."""

    head_rows: Annotated[
        int,
        Meta(
            ge=1,
            description="Samples held in memory before they are written out as a segment; each "
            "takes 24 bytes, and 16 more where they are sorted.",
        ),
    ] = 4 << 20
    head_age_s: Annotated[
        float, Meta(gt=0, description="A head older than this is written out even if not full.")
    ] = 900.0
    sealed_heads: Annotated[
        int,
        Meta(
            ge=1,
            description="Full heads that may wait to be written; beyond them samples are refused "
            "with a retry.",
        ),
    ] = 2
    window_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Segments never cross a multiple of this, so that queries and retention "
            "can pass over whole files. Read when the lake is made, kept from then on.",
        ),
    ] = _DAY_S
    compact_fan_in: Annotated[
        int, Meta(ge=2, description="Neighbouring segments that are merged into one.")
    ] = 8
    compact_into_rows: Annotated[
        int, Meta(ge=1, description="A merged segment holds at most this many samples.")
    ] = 32 << 20
    compact_rows: Annotated[
        int,
        Meta(
            ge=1,
            description="Samples merged per call of maintenance (about one a second), so that "
            "merging never holds up writing for long.",
        ),
    ] = 2 << 20
    quiet_s: Annotated[
        float,
        Meta(
            ge=0,
            description="A window that is over, and to which nothing was added for this long, is "
            "merged into as few segments as may be. Longer than samples may be late.",
        ),
    ] = 5400.0
    raw_retention_s: Annotated[float, Meta(gt=0, description="Samples are kept for this long.")] = (
        15 * _DAY_S
    )
    rollup_retention_s: Annotated[
        float, Meta(gt=0, description="Five-minute cells are kept for this long.")
    ] = 400 * _DAY_S
    open_segments: Annotated[
        int, Meta(ge=1, description="Segments kept open for reading; three handles each.")
    ] = 128
    scan_rows: Annotated[
        int,
        Meta(
            ge=1,
            description="Samples that one query may look at; a larger one is refused with the "
            "remedy.",
        ),
    ] = 500_000_000
