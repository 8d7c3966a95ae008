"""Everything that is known of a slot: its labels in the index, and columns beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from watchkeeper.compiled.columns import layout_of
from watchkeeper.compiled.memory import reserve
from watchkeeper.lake import series_role_kernel as role_kernel
from watchkeeper.lake.series_block import Gone
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_entities import NOBODY, Entities
from watchkeeper.lake.series_index import (
    CHUNK,
    IndexLimits,
    SeriesIndex,
    grown,
    is_crowded,
    parts,
)
from watchkeeper.lake.series_rules import Scope, Tenants
from watchkeeper.model.series import I32, I64, U8, U64, LabelBlock, Mask
from watchkeeper.model.signal import NewSeries

NO_PARTITION: Final = 255
"""Of a slot that is free."""
_TABLE_ENTRIES: Final = 1024
_PAIRS_PER_SLOT: Final = 8
"""Distinct pairs per series at most, on average. Nine labels of a pod's series share nearly all."""


class Roles(NamedTuple):
    """What `series_role_kernel` works on, in its order; `after` and `before` make rings."""

    role: U64
    after: I32
    before: I32
    marks: U8
    table: I32


@dataclass(frozen=True, slots=True)
class Facts:
    """What is decided of some series besides identity and labels, by row."""

    role: U64
    kind: U8
    partition: U8
    entity: I32
    """Numbers of entities."""
    seen_ns: int

    def some(self, rows: Mask) -> Facts:
        return Facts(
            self.role[rows], self.kind[rows], self.partition[rows], self.entity[rows], self.seen_ns
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """Rows of labels and the slots that were claimed for them."""

    scope: Scope
    labels: LabelBlock
    slots: I32
    verdict: U8


class Register:
    """Columns over slots. One thread changes them; see `SeriesIndex` for the lock."""

    def __init__(
        self, config: CatalogConfig, tenants: Tenants, entities: Entities, seed: int
    ) -> None:
        n = config.n_slots
        self.tenants = tenants
        self.entities = entities
        self.index = SeriesIndex.empty(_limits(config), seed)
        self.kind: U8 = reserve(n, np.uint8)
        self.partition: U8 = reserve(n, np.uint8)
        self.entity: I32 = reserve(n, np.int32)
        self.last_seen_ns: I64 = reserve(n, np.int64)
        self.order: I64 = reserve(n, np.int64)
        """The number of the registration: older series have lower ones."""
        self.roles = Roles(
            reserve(n, np.uint64),
            reserve(n, np.int32),
            reserve(n, np.int32),
            reserve(n, np.uint8),
            reserve(_TABLE_ENTRIES, np.int32),
        )
        self.rings = layout_of(self.roles)
        self.n_roles = 0
        self._n_registered = 0

    def settle(self, slots: I32, facts: Facts) -> I32:
        """Write what is decided of series whose labels are placed; their donors. Hold the lock."""
        n = len(slots)
        self.kind[slots] = facts.kind
        self.partition[slots] = facts.partition
        self.entity[slots] = facts.entity
        self.entities.hold(facts.entity)
        self.last_seen_ns[slots] = facts.seen_ns
        self.order[slots] = np.arange(self._n_registered, self._n_registered + n)
        self._n_registered += n
        self.roles.role[slots] = facts.role
        donors = np.empty(n, np.int32)
        self.n_roles += role_kernel.join(self.rings, slots, donors)
        return donors

    def make_room(self, n_series: int) -> None:
        """Let the tables hold so many more. Without the lock."""
        self.index.make_room(n_series)
        roles, needed = self.roles, self.n_roles + n_series
        if is_crowded(roles.table, needed):
            self.roles = roles._replace(table=grown(roles.table, roles.role, 1, needed))
            self.rings = layout_of(self.roles)

    def can_lend(self, slots: I32) -> None:
        """The record of these series is complete: from now on they may be donors."""
        self.roles.marks[slots] = 0

    def retire(self, slots: I32) -> Gone:
        """Take series out of memory; what is to be remembered of them. Hold the lock."""
        columns = self.index.columns
        gone = Gone(
            self.tenants.names,
            columns.tenant[slots],
            columns.identity[slots],
            self.last_seen_ns[slots],
            self.index.label_block(slots),
        )
        self.index.displace(slots)
        self.n_roles -= role_kernel.leave(self.rings, slots)
        self.entities.release(self.entity[slots])
        self.entity[slots] = NOBODY
        self.partition[slots] = NO_PARTITION
        return gone

    def record(self, scope: Scope, slots: I32, labels: LabelBlock, donors: I32) -> NewSeries:
        """What is logged of series of one tenant."""
        entity, entities = self.entities.rows(self.entity[slots])
        return NewSeries(
            tenant=scope.tenant,
            slot=slots,
            identity=self.index.columns.identity[slots],
            role=self.roles.role[slots],
            kind=self.kind[slots],
            partition=self.partition[slots],
            entity=entity,
            entities=entities,
            labels=labels,
            donor=donors,
        )

    def copied(self, slots: I32, order: I64 | None = None) -> Iterator[NewSeries]:
        """Records of what is in these slots, chunk by chunk, of one tenant each; of `order` alone,
        if given. Takes the lock for each chunk."""
        for part in parts(len(slots), CHUNK):
            some = slots[part]
            with self.index.lock:
                columns = self.index.columns
                stays = columns.n_labels[some] > 0
                if order is not None:
                    stays &= self.order[some] == order[part]
                some = some[stays]
                tenant = columns.tenant[some]
                records = [
                    self._copy(number, some[tenant == number])
                    for number in np.unique(tenant).tolist()
                ]
            yield from records

    def _copy(self, tenant: int, slots: I32) -> NewSeries:
        scope = self.tenants.scope(self.tenants.names[tenant])
        donors = np.full(len(slots), -1, np.int32)
        return self.record(scope, slots, self.index.label_block(slots), donors)


def _limits(config: CatalogConfig) -> IndexLimits:
    return IndexLimits(
        n_slots=config.n_slots,
        n_pairs=_PAIRS_PER_SLOT * config.n_slots + _TABLE_ENTRIES,
        n_names=config.max_label_names,
        text_bytes=config.label_memory_bytes,
        labels=config.max_labels,
        run_bytes=max(config.max_name_bytes, config.max_value_bytes),
    )
