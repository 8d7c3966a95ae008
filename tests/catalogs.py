"""A catalog small enough to see through: what the bus needs of one, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xxhash

from tests import make
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    I32,
    N_PARTITIONS,
    U8,
    U64,
    Entity,
    Kind,
    Series,
    TenantId,
)
from watchkeeper.model.signal import NewSeries


class OneByOne:
    """Reads series one by one, where a catalog reads some together."""

    def series(self, slot: int) -> Series:
        raise NotImplementedError

    def series_of(self, slots: I32) -> list[Series]:
        return [self.series(slot) for slot in slots.tolist()]


class ToyCatalog(OneByOne):
    """Slots in order of first sight; the partition follows from the service."""

    def __init__(self, n_slots: int = 1024, first_slot: int = 0) -> None:
        self.identity: U64 = np.zeros((n_slots, 2), np.uint64)
        self.partition: U8 = np.zeros(n_slots, np.uint8)
        self._next_slot = first_slot
        """Different in each process of a test, so that a slot that travelled is a wrong one."""
        self._slot_by_name: dict[bytes, int] = {}
        self._registered: dict[int, NewSeries] = {}

    def register(self, *series: Mapping[str, str]) -> NewSeries:
        """Series at first sight, in this process."""
        n = len(series)
        names = [xxhash.xxh3_128_digest(repr(sorted(one.items())).encode()) for one in series]
        services = [one.get("service", "") for one in series]
        entities = {service: row for row, service in enumerate(dict.fromkeys(services))}
        new = NewSeries(
            tenant=DEFAULT_TENANT,
            slot=np.full(n, -1, np.int32),
            identity=np.frombuffer(b"".join(names), np.uint64).reshape(n, 2),
            role=np.arange(n, dtype=np.uint64),
            kind=np.full(n, Kind.GAUGE, np.uint8),
            partition=np.array([self.partition_of(DEFAULT_TENANT, s) for s in services], np.uint8),
            entity=np.array([entities[service] for service in services], np.int32),
            entities=tuple((service, "", "", "") for service in entities),
            labels=make.label_block(*series),
            donor=np.full(n, -1, np.int32),
        )
        return self.adopt(new)

    def partition_of(self, tenant: TenantId, service: str) -> int:
        return xxhash.xxh3_64_intdigest(f"{tenant}\0{service}".encode()) % N_PARTITIONS

    def forget(self, identity: bytes) -> None:
        """It was idle, and its slot is free."""
        slot = self._slot_by_name.pop(identity)
        del self._registered[slot]

    def lookup(self, identity: U64) -> I32:
        names = [one.tobytes() for one in identity]
        return np.array([self._slot_by_name.get(name, -1) for name in names], np.int32)

    def labels(self, slots: I32) -> list[dict[str, str]]:
        """As they were registered; none of a slot that nobody has."""
        found = []
        for slot in slots.tolist():
            new = self._registered.get(slot)
            found.append({} if new is None else dict(make.read_labels(new.labels, 0)))
        return found

    def entity_of(self, slot: int) -> Entity:
        return Entity(service=self.labels(np.array([slot], np.int32))[0].get("service", ""))

    def lenders(self, slots: I32) -> I32:
        return np.full(len(slots), -1, np.int32)

    def meet(self, identity: U64, now_ns: int) -> I32:
        return self.lookup(identity)

    def adopt(self, new: NewSeries, now_ns: int = 0) -> NewSeries:
        slot, donor = [], []
        for row in range(len(new)):
            name = new.identity[row].tobytes()
            known = self._slot_by_name.get(name)
            if known is None:
                known = self._next_slot
                self._next_slot += 1
                self._slot_by_name[name] = known
                donor.append(-1)
            else:
                donor.append(known)
            slot.append(known)
            self.identity[known] = new.identity[row]
            self.partition[known] = new.partition[row]
        adopted = replace(new, slot=np.array(slot, np.int32), donor=np.array(donor, np.int32))
        for row, number in enumerate(slot):
            self._registered[number] = _row(adopted, row)
        return adopted

    def describe(self, slots: I32) -> tuple[NewSeries, ...]:
        parts = [self._registered[int(slot)] for slot in slots]
        all_of_them = NewSeries(
            tenant=DEFAULT_TENANT,
            slot=np.array(slots, np.int32),
            identity=np.concatenate([part.identity for part in parts]),
            role=np.concatenate([part.role for part in parts]),
            kind=np.concatenate([part.kind for part in parts]),
            partition=np.concatenate([part.partition for part in parts]),
            entity=np.arange(len(parts), dtype=np.int32),
            entities=tuple(part.entities[0] for part in parts),
            labels=make.label_block(*(make.read_labels(part.labels, 0) for part in parts)),
            donor=np.full(len(parts), -1, np.int32),
        )
        return (all_of_them,)


def _row(new: NewSeries, row: int) -> NewSeries:
    return NewSeries(
        tenant=new.tenant,
        slot=new.slot[row : row + 1],
        identity=new.identity[row : row + 1],
        role=new.role[row : row + 1],
        kind=new.kind[row : row + 1],
        partition=new.partition[row : row + 1],
        entity=np.zeros(1, np.int32),
        entities=(new.entities[int(new.entity[row])],),
        labels=make.label_block(make.read_labels(new.labels, row)),
        donor=new.donor[row : row + 1],
    )
