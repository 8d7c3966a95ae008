"""Settings of the tables."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_DAY_S = 86_400.0


class TableConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is in memory, how files are laid out, how long rows are kept."""

    retention_s: Annotated[
        float, Meta(gt=0, description="Rows are kept for this long, by their own time.")
    ] = 14 * _DAY_S
    head_rows: Annotated[
        int, Meta(ge=1, description="Rows held in memory before they are written out.")
    ] = 1 << 18
    head_bytes: Annotated[
        int,
        Meta(
            ge=1,
            le=1 << 30,
            description="Text held in memory before it is written out.",
        ),
    ] = 64 << 20
    head_age_s: Annotated[
        float,
        Meta(gt=0, description="What is in memory for longer is written out, however little."),
    ] = 300.0
    sealed_heads: Annotated[
        int,
        Meta(
            ge=1,
            description="Full heads that may wait to be written; beyond them rows are refused "
            "with a retry.",
        ),
    ] = 2
    window_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Files never cross a multiple of this. Read when the table is made, kept "
            "from then on.",
        ),
    ] = _DAY_S
    compact_fan_in: Annotated[
        int, Meta(ge=2, description="Neighbouring files that are merged into one.")
    ] = 4
    compact_into_rows: Annotated[
        int, Meta(ge=1, description="A merged file holds at most this many rows.")
    ] = 1 << 20
    compact_into_bytes: Annotated[
        int, Meta(ge=1, description="... and was made of at most this many bytes.")
    ] = 512 << 20
    compact_rows: Annotated[
        int,
        Meta(ge=1, description="Rows merged per call of maintenance (about one a second)."),
    ] = 1 << 18
    quiet_s: Annotated[
        float,
        Meta(
            ge=0,
            description="A window that is over, and to which nothing was added for this long, is "
            "merged into as few files as may be.",
        ),
    ] = 3600.0
    open_segments: Annotated[int, Meta(ge=1, description="Files kept open for reading.")] = 256
    scan_rows: Annotated[
        int,
        Meta(
            ge=1,
            description="Rows that one search may look at where no index helps; a larger one is "
            "refused with the remedy.",
        ),
    ] = 20_000_000


class LogsConfig(TableConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How log lines are kept."""


class SpansConfig(TableConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How spans are kept."""

    retention_s: Annotated[
        float, Meta(gt=0, description="Spans are kept for this long, by their start.")
    ] = 7 * _DAY_S


class HistogramsConfig(TableConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How native histograms are kept."""

    retention_s: Annotated[
        float, Meta(gt=0, description="Native histograms are kept for this long.")
    ] = 30 * _DAY_S


class ExemplarsConfig(TableConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How exemplars are kept."""

    retention_s: Annotated[float, Meta(gt=0, description="Exemplars are kept for this long.")] = (
        7 * _DAY_S
    )
    head_rows: Annotated[
        int, Meta(ge=1, description="Rows held in memory before they are written out.")
    ] = 1 << 16
