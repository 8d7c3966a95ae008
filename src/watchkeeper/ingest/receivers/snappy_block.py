"""Snappy in its block format, into memory that is used again once nobody refers to it any more."""

from __future__ import annotations

import weakref
from typing import Final

import cramjam
import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.model.series import U8

_KEPT_BYTES: Final = 4 << 20
_MAX_RATIO: Final = 22
"""A copy of at most 64 bytes takes 3, so what claims to grow more is not snappy."""


class SnappyBlock:
    """Decompresses bodies. For one thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._memory = bytearray(_KEPT_BYTES >> 2)
        self._lent: weakref.ref[U8] | None = None

    def size(self, body: bytes) -> int:
        """What snappy's header says, before any memory is spent on it."""
        try:
            size: int = cramjam.snappy.decompress_raw_len(body)
        except cramjam.DecompressionError as error:
            raise _not_snappy(error) from error
        if size > self._limits.decompressed_bytes:
            raise self._limits.too_many_bytes()
        if size > len(body) * _MAX_RATIO:
            raise _not_snappy(f"{len(body)} bytes cannot become the {size} that they claim")
        return size

    def decompressed(self, body: bytes, size: int, room: int) -> U8:
        """The decompressed body in an array of at least `room` bytes, with slack behind it."""
        is_lent = self._lent is not None and self._lent() is not None
        if is_lent or room > len(self._memory):
            memory = bytearray(max(room, _KEPT_BYTES >> 2))
            if len(memory) <= _KEPT_BYTES:
                self._memory = memory
        else:
            memory = self._memory
        # A slice of this array refers to this array, not to what is below it. So this array lives
        # as long as anyone uses the labels, and the memory is free when it has gone.
        buffer = np.frombuffer(memory, np.uint8)
        if memory is self._memory:
            self._lent = weakref.ref(buffer)
        try:
            n_bytes = cramjam.snappy.decompress_raw_into(body, memory)
        except cramjam.DecompressionError as error:
            raise _not_snappy(error) from error
        if n_bytes != size:
            raise _not_snappy(f"it has {n_bytes} bytes, not the {size} that it claims")
        buffer[size : size + READ_SLACK] = 0
        return buffer


def _not_snappy(reason: object) -> BadInput:
    return BadInput(f"the body is not sound snappy (block format, not framed): {reason}")
