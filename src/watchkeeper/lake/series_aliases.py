"""Keys that receivers made of label bytes, and the slots that they mean: a cache, never stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from watchkeeper.compiled.memory import reserve
from watchkeeper.lake import series_alias_kernel as kernel
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_rules import Scope
from watchkeeper.model.series import I32, I64, U8, U64

_ENTRIES = 4096


class Aliases:
    """The table that ingest probes for every series of every body. For one thread."""

    def __init__(self, config: CatalogConfig) -> None:
        self._most = config.max_aliases
        self._table: U64 = reserve((_ENTRIES, 2), np.uint64)
        self._n_of_slot: U8 = reserve(config.n_slots, np.uint8)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def probe(self, scope: Scope, keys: U64) -> tuple[I32, I64]:
        """The slot of every key, or -1, and the rows of those that are unknown."""
        slots = np.empty(len(keys), np.int32)
        missed = np.empty(len(keys), np.int64)
        n = kernel.probe_aliases(self._table, keys, scope.salt, slots, missed)
        return slots, missed[:n]

    def put(self, scope: Scope, keys: U64, rows: I64, slots: I32) -> None:
        """Remember what keys[rows] mean; -1 is nothing to remember."""
        size = len(self._table)
        while 3 * (self._n + len(rows)) > 2 * size:
            size *= 2
        if size > len(self._table):
            grown: np.ndarray[Any, np.dtype[np.uint64]] = reserve((size, 2), np.uint64)
            kernel.refill_aliases(grown, self._table)
            self._table = grown
        self._n += kernel.put_aliases(
            self._table, keys, rows, scope.salt, slots, self._n_of_slot, self._most
        )

    def sweep(self, n_labels: U8) -> None:
        """Forget the keys of slots without labels, and those of slots that have too many."""
        self._n -= kernel.sweep_aliases(
            self._table, n_labels, self._n_of_slot[: len(n_labels)], self._most
        )
