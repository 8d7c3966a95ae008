"""A few rows of a service's past, evenly from all of it, and its last ones: for batches."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from watchkeeper.model.series import F64, I64

N_PAST = 128
N_LAST = 64
_LARGEST = 1e38
"""What is larger is kept as missing: rows are of half the width of what they are made of."""


class _Kept(msgspec.Struct, array_like=True):
    n: int
    every: int
    n_past: int
    n_members: int
    past: bytes
    last: bytes
    last_ns: bytes


_decoder = msgspec.msgpack.Decoder(_Kept)


class History:
    """Every k-th row since the beginning, and the last ones.

    Where there is no more room, every second row goes and k doubles.
    """

    def __init__(self) -> None:
        self._n = 0
        self._every = 1
        self._past = np.empty((0, 0), np.float32)
        self._last = np.empty((0, 0), np.float32)
        self._last_ns: I64 = np.empty(0, np.int64)

    @property
    def n_bytes(self) -> int:
        return self._past.nbytes + self._last.nbytes + self._last_ns.nbytes

    @property
    def past(self) -> F64:
        return self._past.astype(np.float64)

    @property
    def last(self) -> tuple[I64, F64]:
        """The newest rows in order of time."""
        return self._last_ns, self._last.astype(np.float64)

    def add(self, time_ns: I64, rows: F64) -> None:
        self._widen(rows.shape[1])
        narrow = np.where(np.abs(rows) <= _LARGEST, rows, np.nan).astype(np.float32)
        self._last = np.concatenate([self._last, narrow[-N_LAST:]])[-N_LAST:]
        self._last_ns = np.concatenate([self._last_ns, time_ns[-N_LAST:]])[-N_LAST:]
        i = -self._n % self._every
        while i < len(rows):
            self._keep(narrow[i])
            i += self._every - (self._n + i) % self._every
        self._n += len(rows)

    def forget(self, member: int) -> None:
        for rows in (self._past, self._last):
            rows[:, member] = np.nan

    def dump(self) -> bytes:
        past = self._past
        parts = (past.tobytes(), self._last.tobytes(), self._last_ns.tobytes())
        return msgspec.msgpack.encode(_Kept(self._n, self._every, len(past), past.shape[1], *parts))

    def load(self, state: bytes) -> None:
        kept = _decoder.decode(state)
        self._n, self._every = kept.n, kept.every
        n_past, n_last = kept.n_past, len(kept.last_ns) // 8
        past, last = np.frombuffer(kept.past, np.float32), np.frombuffer(kept.last, np.float32)
        self._past = past.reshape(n_past, kept.n_members).copy()
        self._last = last.reshape(n_last, kept.n_members).copy()
        self._last_ns = np.frombuffer(kept.last_ns, np.int64).copy()

    def _keep(self, row: np.ndarray[Any, Any]) -> None:
        self._past = np.concatenate([self._past, row[None]])
        if len(self._past) >= N_PAST:
            self._past = self._past[::2].copy()
            self._every *= 2

    def _widen(self, n_members: int) -> None:
        missing = n_members - self._past.shape[1]
        if missing > 0:
            self._past, self._last = (
                np.pad(rows, ((0, 0), (0, missing)), constant_values=np.nan)
                for rows in (self._past, self._last)
            )
