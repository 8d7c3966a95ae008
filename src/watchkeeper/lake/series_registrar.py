"""How series come into the register and leave it: from bodies, from the log, from other processes.

Chunk by chunk, so that the lock is never held for long. For one thread at a time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from watchkeeper.errors import Permanent
from watchkeeper.lake import series_canon_kernel as canon
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_index import CHUNK, parts
from watchkeeper.lake.series_keeper import Keeper
from watchkeeper.lake.series_limits import Budget
from watchkeeper.lake.series_register import Claimed, Facts, Register
from watchkeeper.lake.series_rules import Canon, Scope, plain
from watchkeeper.model.series import I32, I64, U8
from watchkeeper.model.signal import NewSeries


class Registrar:
    """Changes the register. `keeper`, once there is one, is told of every change."""

    def __init__(self, config: CatalogConfig, register: Register) -> None:
        self._config = config
        self._register = register
        self._index = register.index
        self._budget = Budget(config)
        self._has_gaps = False
        """Slots were occupied by number, so which are free is to be found out."""
        self.keeper: Keeper | None = None
        self.opened_ns = 0
        """When series whose last sample is not known count as seen."""
        self.donor = np.full(config.n_slots, -1, np.int32)
        """By slot: who lent to a series when it was adopted."""
        self.n_donors = 0
        self.resting = np.empty(0, np.int32)
        """Slots that became free last; nobody gets them before `wake`."""

    @property
    def n_active(self) -> int:
        """Series in memory, without those that are idle and stay as donors."""
        return max(0, self._index.n_used - self.n_donors)

    def register(self, scope: Scope, found: Canon, now_ns: int) -> tuple[I32, NewSeries | None]:
        """Slots of canonical rows, -1 where refused, and the record of those that are new.

        Why a row was refused is added to its verdict.
        """
        self.collect_free()
        n = len(found.verdict)
        slots, donors = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
        is_new = np.zeros(n, np.uint8)
        for part in parts(n, CHUNK):
            self._register.make_room(CHUNK)
            budget = (self._config.max_series - self.n_active, self._budget.left(now_ns))
            with self._index.lock:
                slots[part], is_new[part] = self._index.claim(
                    found.identity[part], found.verdict[part],
                    budget=budget, refusals=(canon.TOO_MANY_SERIES, canon.TOO_FAST),
                )  # fmt: skip
            rows = part.start + np.flatnonzero(is_new[part])
            if len(rows):
                donors[rows] = self._enter_new(scope, found, rows, slots, now_ns)
                is_new[rows] = slots[rows] >= 0
                self._budget.spend(int(is_new[rows].sum()))
        rows = np.flatnonzero(is_new)
        if not len(rows):
            return slots, None
        self._register.can_lend(slots[rows])
        return slots, self._register.record(scope, slots[rows], found.block(rows), donors[rows])

    def replay(self, new: NewSeries) -> int:
        """Put series into the very slots that a record names; how many had to leave for that."""
        slots = new.slot.copy()
        if int(slots.max(initial=-1)) >= self._config.n_slots:
            raise Permanent(
                f"catalog: the log knows slot {int(slots.max())}, there is room for "
                f"{self._config.n_slots}; set catalog.max_series to what it was"
            )
        scope = self._register.tenants.scope(new.tenant)
        known = self._index.lookup(new.identity)
        comes = known != slots
        taken = self._index.columns.n_labels[slots] > 0
        left = np.union1d(known[comes & (known >= 0)], slots[comes & taken]).astype(np.int32)
        self.retire(left)
        self._has_gaps = True
        rows = np.flatnonzero(comes)
        for part in parts(len(rows), CHUNK):
            self._register.make_room(CHUNK)
            with self._index.lock:
                self._index.occupy(new.identity[rows[part]], slots[rows[part]])
            self._enter_known(scope, new, rows[part], slots, self.opened_ns)
        if (slots < 0).any():
            raise Permanent(
                "catalog: the log holds more label names and values than there is room for; set "
                "catalog.label_memory_bytes, max_label_names and max_labels to what they were"
            )
        self._register.can_lend(slots[rows])
        return len(left)

    def adopt(self, new: NewSeries, now_ns: int) -> NewSeries:
        """Another process's record, with slots and donors of this one."""
        scope = self._register.tenants.scope(new.tenant)
        self.collect_free()
        n = len(new)
        identity = np.require(new.identity, np.uint64, ["C", "A", "W"])
        verdict = np.zeros(n, np.uint8)
        slots, donors = np.empty(n, np.int32), np.empty(n, np.int32)
        for part in parts(n, CHUNK):
            self._register.make_room(CHUNK)
            with self._index.lock:
                slots[part], is_new = self._index.claim(
                    identity[part], verdict[part],
                    budget=(n, n), refusals=(canon.TOO_MANY_SERIES, canon.TOO_FAST),
                )  # fmt: skip
            donors[part] = slots[part]
            rows = part.start + np.flatnonzero(is_new)
            donors[rows] = self._enter_known(scope, new, rows, slots, now_ns)
            placed = rows[slots[rows] >= 0]
            self.donor[slots[placed]] = donors[placed]
        self._register.can_lend(slots[slots >= 0])
        return replace(new, slot=slots, donor=donors)

    def retire(self, slots: I32) -> None:
        """Take series out of memory, into the history if there is one."""
        for part in parts(len(slots), CHUNK):
            with self._index.lock:
                gone = self._register.retire(slots[part])
                if self.keeper is not None:
                    self.keeper.left(slots[part], gone)

    def wake(self) -> None:
        """Slots that rested may be given out again."""
        self.collect_free()
        with self._index.lock:
            self._index.give_back(self.resting)
        self.resting = np.empty(0, np.int32)

    def collect_free(self) -> None:
        """Find the free slots, if slots were occupied by number since the last time."""
        if self._has_gaps:
            with self._index.lock:
                self._index.collect_free()
            self.resting = np.empty(0, np.int32)
            self._has_gaps = False

    def _enter_new(self, scope: Scope, found: Canon, rows: I64, slots: I32, now_ns: int) -> I32:
        """Enter claimed rows of a body; their donors."""
        entity, partition = self._register.entities.decide(
            scope, found.relevant[rows], lambda row: found.pairs(int(rows[row]))
        )
        facts = Facts(found.role[rows], found.kind[rows], partition, entity, now_ns)
        return self._enter(Claimed(scope, found.labels, slots, found.verdict), rows, facts)

    def _enter_known(
        self, scope: Scope, new: NewSeries, rows: I64, slots: I32, seen_ns: int
    ) -> I32:
        """Enter claimed rows of a record; their donors."""
        entity = self._register.entities.adopt(new.entities)[new.entity[rows]]
        facts = Facts(new.role[rows], new.kind[rows], new.partition[rows], entity, seen_ns)
        verdict: U8 = np.zeros(len(new), np.uint8)
        return self._enter(Claimed(scope, plain(new.labels), slots, verdict), rows, facts)

    def _enter(self, claimed: Claimed, rows: I64, facts: Facts) -> I32:
        """Place labels and settle facts; rows for which there is no room lose their slot."""
        slots = claimed.slots
        donors = np.full(len(rows), -1, np.int32)
        with self._index.lock:
            self._index.place(
                claimed.labels, rows, slots,
                tenant=claimed.scope.number, verdict=claimed.verdict,
            )  # fmt: skip
            placed = claimed.verdict[rows] == canon.SOUND
            slots[rows[~placed]] = -1
            here = slots[rows[placed]]
            donors[placed] = self._register.settle(here, facts.some(placed))
            if self.keeper is not None:
                self.keeper.entered(here)
        if not placed.all():
            self._register.entities.forget(facts.entity[~placed])
        return donors
