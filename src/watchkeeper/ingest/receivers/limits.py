"""How much one body may hold. Every receiver has these settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from watchkeeper.errors import TooLarge


class BodyLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bound on what a body becomes in memory, whatever its size on the wire."""

    decompressed_bytes: Annotated[
        int, Meta(ge=1, description="A body larger than this, once decompressed, is refused.")
    ] = 20 << 20

    def too_many_bytes(self) -> TooLarge:
        return TooLarge(
            f"the body is larger than {self.decompressed_bytes} bytes once decompressed "
            "(decompressed_bytes of the receiver); send smaller batches"
        )

    def check_items(self, n_items: int) -> None:
        """Raises TooLarge where a body may not have so many; this one bounds none."""


class Limits(BodyLimit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on a body of samples."""

    samples: Annotated[
        int, Meta(ge=1, description="A body with more samples than this is refused.")
    ] = 1_000_000

    def too_many_samples(self) -> TooLarge:
        return TooLarge(
            f"the body has more than {self.samples} samples (samples of the receiver); "
            "send smaller batches"
        )

    def check_items(self, n_items: int) -> None:
        if n_items > self.samples:
            raise self.too_many_samples()


class RowLimits(BodyLimit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on a body of log lines, spans, changes or alerts."""

    rows: Annotated[
        int,
        Meta(ge=1, description="A body with more lines, spans or the like than this is refused."),
    ] = 1_000_000

    def too_many_rows(self) -> TooLarge:
        return TooLarge(
            f"the body has more than {self.rows} lines, spans or the like (rows of the "
            "receiver); send smaller batches"
        )

    def check_items(self, n_items: int) -> None:
        if n_items > self.rows:
            raise self.too_many_rows()
