"""Ids of traces and spans: from hex to bytes, from bytes to columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from watchkeeper.model.series import U64

TRACE_BYTES: Final = 16
SPAN_BYTES: Final = 8
NO_TRACE: Final = bytes(TRACE_BYTES)
NO_SPAN: Final = bytes(SPAN_BYTES)


def trace_id(text: str) -> bytes:
    """32 hex digits, or the 16 of older tracers, in any case; nothing is no trace.

    Raises ValueError for anything else.
    """
    return _from_hex(text.rjust(32, "0") if len(text) == 16 else text, TRACE_BYTES, "trace")


def span_id(text: str) -> bytes:
    """16 hex digits in any case; nothing is no span. Raises ValueError for anything else."""
    return _from_hex(text, SPAN_BYTES, "span")


def column(ids: Sequence[bytes], n_bytes: int) -> U64:
    """Ids, each of so many bytes, as (n,) numbers, or (n, 2) where they are 16 long."""
    words = np.frombuffer(b"".join(ids), ">u8").astype(np.uint64)
    return words if n_bytes == SPAN_BYTES else words.reshape(-1, n_bytes // SPAN_BYTES)


def _from_hex(text: str, n_bytes: int, what: str) -> bytes:
    if not text:
        return bytes(n_bytes)
    # fromhex passes over spaces, so the length of the text is looked at too.
    if len(text) == 2 * n_bytes:
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) == n_bytes:
            return found
    raise ValueError(f"'{text[:40]}' is no {what} id; write {2 * n_bytes} hex digits")
