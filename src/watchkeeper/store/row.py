"""A record as every store keeps it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

STILL_OPEN: Final = 2**63 - 1
"""The end of what has not ended, so that one comparison serves both."""

Identity = tuple[str, str, str]
"""Kind, tenant and key: what a record is known by."""

Version = tuple[int, int, int]
"""Position in the log, then how far the record had come at that position."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A record as it is kept. A msgspec struct, because thousands are made at once."""

    kind: str
    tenant: str
    key: str
    started_ns: int
    ended_ns: int
    status: str
    service: str
    detector: str
    version: Version
    body: bytes
    words: str = ""
    """See `store.words`."""

    @property
    def identity(self) -> Identity:
        return self.kind, self.tenant, self.key


# MessagePack and not JSON, because a band may be open to one side and JSON knows no infinity; in
# sorted order, because equal records must have equal bytes whoever built their mappings.
_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")


def encoded(record: Any) -> bytes:
    """The body of a record."""
    return _encoder.encode(record)
