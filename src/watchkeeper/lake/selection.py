"""What the lake needs to know of the series catalog, and which series a query is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from watchkeeper.errors import Retryable
from watchkeeper.lake.head import sort_identities
from watchkeeper.model.series import I32, I64, U64, Matcher, TenantId


class KnownSeries(Protocol):
    """The part of the catalog that the lake stands on."""

    @property
    def identity(self) -> U64:
        """(slots, 2): who owns each slot, low half first. As of the batch that is appended."""
        ...

    def select(self, tenant: TenantId, matchers: Sequence[Matcher]) -> I32:
        """Slots of the series in memory that match."""
        ...

    def select_history(
        self, tenant: TenantId, matchers: Sequence[Matcher], since_ns: int
    ) -> Sequence[tuple[bytes, Mapping[str, str]]]:
        """Identities and labels of matching series that left memory, seen since then."""
        ...

    def labels(self, slots: I32) -> Sequence[Mapping[str, str]]: ...

    def persist(self, now_ns: int) -> None:
        """Make every registration so far durable: segments name series by identity alone."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The series of a query, sorted by identity, no one twice."""

    catalog: KnownSeries
    identity: U64
    slot: I32
    """-1 for those that left memory."""
    history: Mapping[bytes, Mapping[str, str]]

    def __len__(self) -> int:
        return len(self.slot)

    def labels(self, chosen: I64) -> list[Mapping[str, str]]:
        """Of the series at these places."""
        slot = self.slot[chosen]
        live = slot >= 0
        found = self.catalog.labels(slot[live])
        is_same = self.catalog.identity[slot[live]] == self.identity[chosen[live]]
        # A slot that is free still says who was there last, but has no labels.
        if not (is_same.all() and all(found)):
            raise Retryable("lake: series changed while they were read; ask again", after_s=0.1)
        fetched = iter(found)
        return [
            next(fetched) if is_live else self.history[self.identity[place].tobytes()]
            for place, is_live in zip(chosen.tolist(), live.tolist(), strict=True)
        ]


def select(
    catalog: KnownSeries, tenant: TenantId, matchers: Sequence[Matcher], since_ns: int
) -> Wanted:
    """Every series that matches, living or not."""
    slot = np.asarray(catalog.select(tenant, matchers), np.int32)
    identity = catalog.identity[slot]
    history = dict(catalog.select_history(tenant, matchers, since_ns))
    if history:
        past = np.frombuffer(b"".join(history), np.uint64).reshape(-1, 2)
        identity = np.concatenate([identity, past])
        slot = np.concatenate([slot, np.full(len(past), -1, np.int32)])
    order = sort_identities(identity)
    if history:
        # A series may be in memory again: sorting by slot within equals keeps the living one.
        order = np.lexsort((-slot, identity[:, 1], identity[:, 0]))
        is_new = (identity[order[1:]] != identity[order[:-1]]).any(axis=1)
        order = order[np.append(True, is_new)] if len(order) else order
    return Wanted(catalog, identity[order], slot[order], history)
