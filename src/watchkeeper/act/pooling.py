"""Baselines of a service's metric, from those of all its series."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from watchkeeper.act.shared_form import iso
from watchkeeper.model.baseline import Baselines
from watchkeeper.model.series import F64, I32, I64, U64, Series, TenantId

NAMED_AT_ONCE: Final = 2000
"""Series that are looked up in one go; others have their turn the next time."""
_UNNAMED: Final = -1
_LEFT_OUT: Final = -2

Pair = tuple[str, str]
"""Service and metric."""


class KnownSeries(Protocol):
    """What is needed of the catalog."""

    def series(self, slot: int) -> Series: ...


class Pooling:
    """Remembers which pair a series belongs to, and what was said of a pair.

    `limit` bounds the pairs. Where there are more, those found first stay.
    """

    def __init__(self, catalog: KnownSeries, tenant: TenantId, limit: int) -> None:
        self._catalog = catalog
        self._tenant = tenant
        self._limit = limit
        self._pairs: dict[Pair, int] = {}
        self._said_ns: I64 = np.zeros(limit, np.int64)
        self._pair_by_slot: I32 = np.empty(0, np.int32)
        self._identity: U64 = np.empty((0, 2), np.uint64)

    def pool(self, known: Baselines) -> dict[Pair, dict[str, str]]:
        """By pair, what has changed since it was last asked."""
        of_row = self._named(known)
        rows = np.flatnonzero(of_row >= 0)
        pair, n = of_row[rows], known.n[rows].astype(np.float64)
        newest_ns = np.zeros(self._limit, np.int64)
        np.maximum.at(newest_ns, pair, known.newest_ns[rows])
        total = self._sum(pair, n)
        n_series = self._sum(pair, np.ones(len(rows)))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._sum(pair, n * known.mean[rows]) / total
            apart = known.std_dev[rows] ** 2 + (known.mean[rows] - mean[pair]) ** 2
            std_dev = np.sqrt(self._sum(pair, n * apart) / total)
        said = {
            name: {
                "mean": repr(float(mean[number])),
                "std_dev": repr(float(std_dev[number])),
                "count": str(int(total[number])),
                "series": str(int(n_series[number])),
                "updated_at": iso(int(newest_ns[number])),
            }
            for name, number in self._pairs.items()
            if newest_ns[number] > self._said_ns[number] and np.isfinite(mean[number])
        }
        self._said_ns = np.maximum(self._said_ns, newest_ns)
        return said

    def _sum(self, pair: I32, of_row: F64) -> F64:
        return np.bincount(pair, of_row, minlength=self._limit).astype(np.float64)

    def _named(self, known: Baselines) -> I32:
        """The number of each row's pair; below 0 where it has none, or none yet."""
        of_slot, identity = self._remembered(known)
        of_row: I32 = of_slot[known.slot]
        for row in np.flatnonzero(of_row == _UNNAMED)[:NAMED_AT_ONCE].tolist():
            of_row[row] = self._number(self._catalog.series(int(known.slot[row])))
        of_slot[known.slot] = of_row
        self._pair_by_slot, self._identity = of_slot, identity
        return of_row

    def _remembered(self, known: Baselines) -> tuple[I32, U64]:
        """By slot, what is known of it, if it has the same series as then."""
        n_slots = int(known.slot.max(initial=-1)) + 1
        identity = np.zeros((n_slots, 2), np.uint64)
        identity[known.slot] = known.identity
        of_slot: I32 = np.full(n_slots, _UNNAMED, np.int32)
        both = min(n_slots, len(self._pair_by_slot))
        same = (identity[:both] == self._identity[:both]).all(axis=1)
        of_slot[:both][same] = self._pair_by_slot[:both][same]
        used = np.unique(of_slot[of_slot >= 0])
        if len(self._pairs) == self._limit > len(used):  # room for others: all are named anew
            self._pairs.clear()
            self._said_ns[:] = 0
            of_slot[:] = _UNNAMED
        return of_slot, identity

    def _number(self, series: Series) -> int:
        name = (series.entity.service or "unknown", series.metric)
        if series.tenant != self._tenant or not series.metric:
            return _LEFT_OUT
        if name not in self._pairs and len(self._pairs) >= self._limit:
            return _LEFT_OUT
        return self._pairs.setdefault(name, len(self._pairs))
