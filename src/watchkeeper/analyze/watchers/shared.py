"""What all series of a service share with those of others: where their telemetry comes from.

A service has a place only as long as all its series that name one name the same. It is forgotten
with the service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from watchkeeper.compiled.memory import reserve
from watchkeeper.model.series import I64, Mask, Series

LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "collector": ("collector", "prometheus", "agent"),
    "node": (),
    "job": ("job",),
    "cluster": ("cluster", "k8s_cluster_name", "k8s.cluster.name"),
    "environment": (),
}
"""The narrow ones first. Node and environment are told by enrichment."""
PLACES: Final = tuple(LABELS)
TENANT: Final = len(PLACES)
"""The column of what all services of a tenant share."""

Kept = list[str | None]
"""By place; empty where none was named yet, None where there are several."""


class Shared:
    """By row of a service."""

    def __init__(self, most: int) -> None:
        self.codes = reserve((most, len(PLACES) + 1), np.uint64)
        """What services have in common is the same number; 0 is nothing."""
        self._tenants: dict[int, str] = {}
        self._places: dict[int, Kept] = {}

    def begin(self, row: int, tenant: str) -> None:
        self._tenants[row], self._places[row] = tenant, [""] * len(PLACES)
        self.codes[row] = 0
        self.codes[row, TENANT] = _code(tenant, "", "")

    def meet(self, row: int, series: Series) -> None:
        """One more series of the service."""
        places = self._places[row]
        for at, name in enumerate(PLACES):
            known = places[at]
            if known is None:
                continue
            found = _place(series, name)
            if found and found != known:
                places[at] = None if known else found
                self._mark(row, at)

    def of(self, row: int) -> dict[str, str]:
        """The places that are known, by name."""
        places = zip(PLACES, self._places[row], strict=True)
        return {name: place for name, place in places if place}

    def within(self, rows: I64, tenant: str, shared: Mapping[str, str]) -> Mask:
        """Which services are of this tenant, and of all these places."""
        found: Mask = self.codes[rows, TENANT] == _code(tenant, "", "")
        for name, place in shared.items():
            found &= self.codes[rows, PLACES.index(name)] == _code(tenant, name, place)
        return found

    def tenant(self, row: int) -> str:
        return self._tenants[row]

    def dump(self, rows: I64) -> list[Kept]:
        return [list(self._places[row]) for row in rows.tolist()]

    def load(self, rows: I64, kept: Sequence[Kept]) -> None:
        """Of services that have begun; where a row is -1, nothing."""
        for row, places in zip(rows.tolist(), kept, strict=True):
            if row >= 0:
                self._places[row] = list(places)
                for at in range(len(PLACES)):
                    self._mark(row, at)

    def _mark(self, row: int, at: int) -> None:
        place = self._places[row][at]
        self.codes[row, at] = _code(self._tenants[row], PLACES[at], place) if place else 0


def _place(series: Series, name: str) -> str:
    if name == "node":
        return series.entity.node
    if name == "environment":
        return series.entity.environment
    found = (series.labels.get(one, "") for one in LABELS[name])
    return next((place for place in found if place), "")


def _code(*parts: str) -> int:
    digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1
