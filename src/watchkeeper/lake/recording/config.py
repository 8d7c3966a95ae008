"""How much of the past is kept to be replayed."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ReplayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the log is kept after everybody is done with it."""

    keep_s: Annotated[
        float,
        Meta(ge=0, description="So long records are kept for `watchkeeper replay`; 0: not at all."),
    ] = 86400.0
    max_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="What is kept for that takes no more than this; the oldest goes first, and "
            "earlier where the disk is full.",
        ),
    ] = 4 << 30
    compress: Annotated[
        bool,
        Meta(
            description="Whether what is kept is compressed: to about three fifths, for a tenth "
            "more work per sample.",
        ),
    ] = False
    snapshot_s: Annotated[
        float,
        Meta(
            gt=0,
            description="How often is kept what detection knows. A replay begins at such a time.",
        ),
    ] = 3600.0

    @property
    def is_on(self) -> bool:
        return self.keep_s > 0 and self.max_bytes > 0
