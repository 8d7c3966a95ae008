"""The series catalog: labels to identity to slot, searchable, and small.

A key that a receiver made of label bytes finds its slot with one probe. A key that is unknown costs
its labels' canonical form, once; mostly the series is known by then, under other bytes. The rest is
registered: in arrays, in bulk, and in a record that is logged before the first sample.

`resolve`, `replay` and `recycle` belong to one thread; everything else may be called by any. See
`series_index.py` for what the lock protects.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import derived
from watchkeeper.lake import series_role_kernel as role_kernel
from watchkeeper.lake.files import Files
from watchkeeper.lake.series_aliases import Aliases
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_entities import Enrich, Entities, partition
from watchkeeper.lake.series_keeper import Keeper
from watchkeeper.lake.series_limits import refusals
from watchkeeper.lake.series_register import Register
from watchkeeper.lake.series_registrar import Registrar
from watchkeeper.lake.series_rules import Rules, Tenants, plain
from watchkeeper.lake.series_search import select, values
from watchkeeper.model.series import (
    I32,
    I64,
    U8,
    U64,
    Entity,
    Kind,
    Matcher,
    Series,
    SeriesId,
    TenantId,
)
from watchkeeper.model.signal import NewSeries, Reject, WireSamples

__all__ = ["Catalog", "CatalogConfig", "Resolved"]

_ACTIVE: Final = telemetry.gauge(
    "watchkeeper_lake_series_active", "Series in memory, idle donors left out."
)
_DONORS: Final = telemetry.gauge(
    "watchkeeper_lake_series_donors",
    "Idle series that stay to lend what was learned of their role.",
)
_LABEL_BYTES: Final = telemetry.gauge(
    "watchkeeper_lake_series_label_bytes", "Memory that distinct label names and values ever took."
)
_REGISTERED: Final = telemetry.counter(
    "watchkeeper_lake_series_registered_total", "Series seen for the first time, or again."
)
_LEFT: Final = telemetry.counter(
    "watchkeeper_lake_series_left_total", "Series that left memory because they were idle."
)
_NONE: Final = np.empty(0, np.int64)
_RETIRED_AT_ONCE: Final = 20_000
"""Series that leave per call of `recycle`, which then takes some 50 ms."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where the series of a body are."""

    slots: I32
    """By row of the wire's keys; -1 where the series was refused."""
    new: NewSeries | None = None
    """Those seen for the first time. To be logged before their samples."""
    rejects: tuple[Reject, ...] = ()
    missed: I64 = field(default_factory=lambda: _NONE)
    """The rows whose keys were not known."""


class Catalog:
    """All series in memory. `kind`, `partition`, `role`, `identity` and `last_seen_ns` are columns
    over slots, `CatalogConfig.n_slots` long; whoever accepts a sample writes `last_seen_ns`."""

    def __init__(self, key: bytes, config: CatalogConfig, enrich: Enrich) -> None:
        self._config = config
        self._rules = Rules(config, key, enrich.relevant_labels)
        self._tenants = Tenants(self._rules, config.max_tenants)
        self._entities = Entities(enrich, config.n_slots)
        self._register = Register(config, self._tenants, self._entities, self._rules.seed)
        self._registrar = Registrar(config, self._register)
        self._index = self._register.index
        self._aliases = Aliases(config)
        self._changing = threading.Lock()
        self.kind: U8 = self._register.kind
        self.partition: U8 = self._register.partition
        self.role: U64 = self._register.roles.role
        self.identity: U64 = self._index.columns.identity
        self.last_seen_ns: I64 = self._register.last_seen_ns

    # What changes the catalog. `resolve` and `recycle` are for the ingest thread alone.

    def resolve(self, tenant: TenantId, wire: WireSamples, now_ns: int) -> Resolved:
        """The slot of every series of a body; those that are new are registered."""
        scope = self._tenants.scope(tenant)
        slots, missed = self._aliases.probe(scope, wire.key)
        if not len(missed):
            return Resolved(slots)
        labels = plain(wire.describe(missed))
        with self._changing:
            found = self._rules.canonicalise(scope, labels, wire.kind[missed])
            here, new = self._registrar.register(scope, found, now_ns)
        if new is not None:
            _REGISTERED.add(len(new))
        slots[missed] = here
        self._aliases.put(scope, wire.key, missed, here)
        rejects: tuple[Reject, ...] = ()
        if (here < 0).any():
            rejects = refusals(self._config, wire, missed, found.verdict, labels)
        return Resolved(slots, new, rejects, missed)

    def derive(self, tenant: TenantId, slots: I32, now_ns: int, *, origin: str) -> NewSeries | None:
        """Register what is derived of the histograms among these slots (see `derived.py`); what is
        new of it, to be logged before them."""
        wanted = derived.plan(self.labels(slots), origin=origin)
        if not wanted.labels:
            return None
        kinds: U8 = np.full(len(wanted.labels), Kind.GAUGE, np.uint8)
        return self.enter(tenant, wanted.labels, kinds, now_ns)

    def enter(
        self, tenant: TenantId, labels: Sequence[Mapping[str, str]], kinds: U8, now_ns: int
    ) -> NewSeries | None:
        """Register series that nobody sent; what is new of them, to be logged before they are
        used."""
        scope = self._tenants.scope(tenant)
        with self._changing:
            found = self._rules.canonicalise(scope, derived.block(labels), kinds)
            _, new = self._registrar.register(scope, found, now_ns)
        if new is not None:
            _REGISTERED.add(len(new))
        return new

    def find(self, tenant: TenantId, labels: Sequence[Mapping[str, str]]) -> tuple[U64, I32]:
        """(identities, slots or -1) of series with these labels."""
        scope = self._tenants.known(tenant)
        if scope is None or not labels:
            return np.zeros((len(labels), 2), np.uint64), np.full(len(labels), -1, np.int32)
        kinds: U8 = np.full(len(labels), Kind.GAUGE, np.uint8)
        with self._changing:
            found = self._rules.canonicalise(scope, derived.block(labels), kinds)
        return found.identity, self.lookup(found.identity)

    def links(self, tenant: TenantId, slots: I32, *, origin: str) -> derived.Links:
        """What was registered for these slots by `derive`, here or elsewhere. Any thread may ask:
        the answer is the same for as long as a slot has its owner."""
        wanted = derived.plan(self.labels(slots), origin=origin)
        return wanted.links(self.find(tenant, wanted.labels)[1])

    def replay(self, new: NewSeries) -> None:
        """Apply a logged record: afterwards its series are in the very slots that it names.

        Who else was there has left in the meantime. Applying a record again changes nothing.
        """
        with self._changing:
            if self._registrar.replay(new):
                self._sweep()

    def adopt(self, new: NewSeries, now_ns: int) -> NewSeries:
        """Another process's record, in slots of this one: rows stay, `slot` and `donor` are ours.

        A series that is known here keeps its slot and is its own donor. One for which there is no
        room has slot -1.
        """
        with self._changing:
            return self._registrar.adopt(new, now_ns)

    def lenders(self, slots: I32) -> I32:
        """Who lent to each of these when it was adopted; -1 for nobody, and where another has taken
        the lender's place since."""
        lender: I32 = self._registrar.donor[slots]
        return np.where(self.role[lender] == self.role[slots], lender, -1).astype(np.int32)

    def meet(self, identity: U64, now_ns: int) -> I32:
        """The slots of series of which another process accepted something, -1 where one is not in
        memory. They count as seen, and none of them can leave in between."""
        with self._changing:
            slots = self.lookup(identity)
            here = slots[slots >= 0]
            self.last_seen_ns[here] = np.maximum(self.last_seen_ns[here], now_ns)
        return slots

    def recycle(self, now_ns: int, idle_s: float) -> I32:
        """Let series leave that were not seen for `idle_s`; their slots, which are free now.

        The last one of a role stays to lend what was learned of it. Bounded work per call.
        """
        registrar, high = self._registrar, self.high_slot
        with self._changing:
            registrar.wake()
            leaving, donors = role_kernel.pick_idle(
                self._register.rings,
                self._index.columns.n_labels[:high],
                self.last_seen_ns[:high],
                now_ns - round(idle_s * NS_PER_S),
                now_ns - round(self._config.donor_keep_s * NS_PER_S),
            )
            n_more = len(donors) - self._config.max_donors
            if n_more > 0:
                oldest = np.argpartition(self.last_seen_ns[donors], n_more - 1)[:n_more]
                leaving = np.concatenate([leaving, donors[oldest]])
            registrar.n_donors = min(len(donors), self._config.max_donors)
            left: I32 = leaving[:_RETIRED_AT_ONCE]
            registrar.retire(left)
            registrar.resting = left
            if len(left):
                self._sweep()
        _LEFT.add(len(left))
        _ACTIVE.set(self.n_active)
        _DONORS.set(registrar.n_donors)
        _LABEL_BYTES.set(self._index.text_bytes)
        return left

    def _sweep(self) -> None:
        self._aliases.sweep(self._index.columns.n_labels[: self.high_slot])

    # For the disk; not on the ingest thread.

    def open(self, folder: Path, now_ns: int, files: Files | None = None) -> None:
        """Restore what `persist` kept in a folder, and keep it there from now on.

        Every restored series counts as seen now: better an hour too long in memory than a series
        that a query does not find.
        """
        keeper = Keeper(self._register, folder, files or Files())
        self._registrar.opened_ns = now_ns
        for entry in keeper.read():
            if isinstance(entry, NewSeries):
                self._registrar.replay(entry)
            else:
                self._registrar.retire(entry[self._index.columns.n_labels[entry] > 0])
        self._registrar.keeper = keeper

    def persist(self, now_ns: int) -> None:
        """Make all that is registered durable, so that the log can be cut up to what was logged
        before this call. Any thread may call it; ingest goes on. Raises Retryable."""
        keeper = self._registrar.keeper
        if keeper is not None:
            keeper.persist(now_ns - round(self._config.history_keep_s * NS_PER_S))

    def close(self) -> None:
        """Let go of the files; `persist` first. Safe twice and without use."""
        if self._registrar.keeper is not None:
            self._registrar.keeper.close()

    # For any thread.

    @property
    def n_active(self) -> int:
        """Series in memory, without those that are idle and stay as donors."""
        return self._registrar.n_active

    @property
    def high_slot(self) -> int:
        """No slot from here on was ever in use."""
        return self._index.high_slot

    def lookup(self, identity: U64) -> I32:
        """The slot of every identity, -1 for those that are not in memory."""
        return self._index.lookup(identity)

    def select(self, tenant: TenantId, matchers: Sequence[Matcher]) -> I32:
        """The slots of a tenant's series that fit all matchers, ascending."""
        scope = self._tenants.known(tenant)
        if scope is None:
            return np.empty(0, np.int32)
        return select(self._index, scope.number, matchers)

    def select_history(
        self, tenant: TenantId, matchers: Sequence[Matcher], since_ns: int
    ) -> list[tuple[SeriesId, dict[str, str]]]:
        """Series that have left memory and were seen since: those that `select` cannot find."""
        keeper = self._registrar.keeper
        if keeper is None:
            return []
        found = keeper.history.select(tenant, matchers, since_ns)
        run = np.frombuffer(b"".join(found), np.uint64).reshape(-1, 2)
        slots = self.lookup(run).tolist()
        return [item for item, slot in zip(found.items(), slots, strict=True) if slot < 0]

    def describe(self, slots: I32) -> list[NewSeries]:
        """What is in these slots, as another process may adopt it: a record per tenant."""
        return list(self._register.copied(slots))

    def partition_of(self, tenant: TenantId, service: str) -> int:
        """Where all that speaks of this service meets, equal in every process."""
        return partition(self._tenants.scope_of(tenant), service)

    def labels(self, slots: I32) -> list[dict[str, str]]:
        """The labels of some slots; empty for one that is free."""
        return self._index.labels(slots)

    def label_names(self, tenant: TenantId) -> list[str]:
        scope = self._tenants.known(tenant)
        return [] if scope is None else self._index.names(scope.number)

    def label_values(self, tenant: TenantId, name: str) -> list[str]:
        scope = self._tenants.known(tenant)
        return [] if scope is None else values(self._index, scope.number, name)

    def entity_of(self, slot: int) -> Entity:
        return self._entities.of(int(self._register.entity[slot]))

    def tenant_of(self, slot: int) -> TenantId:
        return self._tenants.names[int(self._index.columns.tenant[slot])]

    def series(self, slot: int) -> Series:
        """What is in a slot; without labels if it is free."""
        return self.series_of(np.array([slot], np.int32))[0]

    def series_of(self, slots: I32) -> list[Series]:
        """The same of some slots. Together they cost a thirtieth of one by one."""
        return [
            Series(
                SeriesId(self.identity[slot].tobytes()),
                self.tenant_of(slot),
                labels,
                Kind(int(self.kind[slot])),
                self.entity_of(slot),
            )
            for slot, labels in zip(slots.tolist(), self.labels(slots), strict=True)
        ]
