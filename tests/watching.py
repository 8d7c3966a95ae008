"""What tests of watchers share: a small catalog, an eventful day in it, and a plain watcher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tests import make
from tests.catalogs import ToyCatalog
from watchkeeper import plugins
from watchkeeper.analyze.classes import classify
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting, Watcher
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    I32,
    N_PARTITIONS,
    U8,
    Entity,
    Kind,
    Series,
    SeriesId,
)

SERVICES = ("checkout", "payment", "cart")
METRICS = (
    {"__name__": "http_requests_total", "status": "200"},
    {"__name__": "http_requests_total", "status": "500"},
    {"__name__": "http_request_duration_seconds:p95"},
    {"__name__": "process_resident_memory_bytes"},
    {"__name__": "queue_depth"},
)
"""Of each service; the first two are counters."""
EVERYWHERE = np.ones(N_PARTITIONS, np.bool_)
_NO_PARTITION = 255
"""Of a slot whose series has left."""


class WatchedCatalog(ToyCatalog):
    """... with what detection asks for besides, and the services' metrics registered."""

    def __init__(self, first_slot: int = 0) -> None:
        super().__init__(first_slot=first_slot)
        self.kind: U8 = np.full(len(self.partition), Kind.GAUGE, np.uint8)
        names = [{**metric, "service": service} for service in SERVICES for metric in METRICS]
        self.new = self.register(*names)
        is_counter = [name["__name__"].endswith("_total") for name in names]
        self.kind[self.new.slot[is_counter]] = Kind.COUNTER

    @property
    def high_slot(self) -> int:
        return len(self.partition)

    def series(self, slot: int) -> Series:
        (labels,) = self.labels(np.array([slot], np.int32))
        identity = SeriesId(self.identity[slot].tobytes())
        kind = Kind(int(self.kind[slot]))
        return Series(identity, DEFAULT_TENANT, labels, kind, self.entity_of(slot))

    def class_of(self, slot: int) -> MetricClass:
        return classify(self.series(slot).labels, Kind(int(self.kind[slot])))


class Slots(WatchedCatalog):
    """A catalog whose series leave, and come again elsewhere."""

    def leave(self, slot: int) -> None:
        self.forget(self.identity[slot].tobytes())
        self.partition[slot] = _NO_PARTITION

    def move_in(self, slot: int, labels: Mapping[str, str]) -> I32:
        """A series into a slot that is free."""
        before, self._next_slot = self._next_slot, slot
        found = self.register(labels).slot
        self._next_slot = max(before, slot + 1)
        return found


def watcher(name: str, catalog: WatchedCatalog, **settings: Any) -> Watcher:
    """A watcher of the table, or the plain one of this file."""
    if name == Loudest.name:
        return Loudest(catalog=catalog, class_of=catalog.class_of)
    built: Watcher = plugins.build(
        "watcher", {"use": name, **settings}, catalog=catalog, class_of=catalog.class_of
    )
    return built


def minute(catalog: WatchedCatalog, number: int) -> Points:
    """What every service sends in a minute: from 1,500 on the first is in trouble, and from 1,600
    to 1,700 the second is silent."""
    chance = np.random.default_rng(number)
    value = np.empty(len(catalog.new))
    for at in range(len(SERVICES)):
        sick = at == 0 and number >= 1_500
        own = value[at * len(METRICS) :]
        own[0] = 6_000.0 * number + chance.normal(0, 50)
        own[1] = 3.0 * number + (3_000.0 * (number - 1_499) if sick else 0.0)
        own[2] = 0.2 * chance.lognormal(0, 0.1) * (10.0 if sick else 1.0)
        own[3] = 1e9 + chance.normal(0, 1e7)
        own[4] = chance.poisson(200.0 if sick else 4.0)
    time_ns = np.full(len(value), make.START_NS + number * 60 * make.NS_PER_S)
    there = np.ones(len(value), np.bool_)
    if 1_600 <= number < 1_700:
        there[len(METRICS) : 2 * len(METRICS)] = False
    return Points(catalog.new.slot[there], time_ns[there], value[there])


def watched(
    one: Watcher, catalog: WatchedCatalog, minutes: range, *, cuts: int = 1
) -> Iterator[Sighting]:
    """What a watcher says over some minutes, whose samples come in so many batches each. Cells
    are of the minute before, as they close with the next sample."""
    for number in minutes:
        samples = minute(catalog, number)
        before = minute(catalog, number - 1)
        for part in np.array_split(np.arange(len(samples)), cuts):
            slots = samples.slot[part]
            closed = np.isin(before.slot, slots)
            one.see(
                Seen(
                    DEFAULT_TENANT,
                    Points(slots, samples.time_ns[part], samples.value[part]),
                    Points(before.slot[closed], before.time_ns[closed], before.value[closed]),
                    [],
                )
            )
        told = one.tick(make.START_NS + number * 60 * make.NS_PER_S + 1, EVERYWHERE)
        yield from (said for said in told if isinstance(said, Sighting))


class Loudest:
    """Tells of a service while a queue of it is longer than a hundred."""

    name = "loudest"
    version = 1

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `loudest`."""

        limit: float = 100.0
        """Length of a queue that is too long."""

    def __init__(
        self, config: Config | None = None, *, catalog: KnownSeries, class_of: Any
    ) -> None:
        self._limit = (config or self.Config()).limit
        self._catalog = catalog
        self._class_of = class_of
        self._longest: dict[bytes, float] = {}
        self._since: dict[bytes, int] = {}

    def see(self, seen: Seen) -> None:
        for slot, value in zip(
            seen.samples.slot.tolist(), seen.samples.value.tolist(), strict=True
        ):
            if self._class_of(slot) is MetricClass.QUEUE:
                self._longest[self._catalog.identity[slot].tobytes()] = value

    def tick(self, now_ns: int, partitions: Any) -> Sequence[Sighting]:
        found = []
        for identity, value in sorted(self._longest.items()):
            slot = self._slot(identity)
            loud = value > self._limit
            if partitions[self._catalog.partition[slot]] and loud != (identity in self._since):
                started_ns = self._since.setdefault(identity, now_ns)
                entity = self._catalog.entity_of(slot)
                found.append(self._sighting(entity, started_ns, now_ns, value))
                if not loud:
                    del self._since[identity]
        return found

    def holds(self, one: Open) -> bool:
        return any(
            since == one.started_ns
            and self._catalog.entity_of(self._slot(identity)).service == one.service
            for identity, since in self._since.items()
        )

    def dump(self, partition: int) -> bytes:
        mine = [one for one in sorted(self._longest) if self._partition(one) == partition]
        return msgspec.msgpack.encode(
            [(one, self._longest[one], self._since.get(one)) for one in mine]
        )

    def load(self, partition: int, state: bytes) -> None:
        for one in [one for one in self._longest if self._partition(one) == partition]:
            del self._longest[one]
            self._since.pop(one, None)
        for identity, value, since in _decoded(state):
            self._longest[identity] = value
            if since is not None:
                self._since[identity] = since

    def _sighting(self, entity: Entity, started_ns: int, now_ns: int, value: float) -> Sighting:
        labels: Mapping[str, str] = {"service": entity.service, "symptom": "queue"}
        change = OPENED if value > self._limit else CLOSED
        return Sighting(
            DEFAULT_TENANT, entity, labels, started_ns, now_ns, change, Severity.PAGE, value,
            0.0, self._limit, 1e-9,
        )  # fmt: skip

    def _slot(self, identity: bytes) -> int:
        return int(self._catalog.lookup(np.frombuffer(identity, np.uint64).reshape(1, 2))[0])

    def _partition(self, identity: bytes) -> int:
        return int(self._catalog.partition[self._slot(identity)])


def _decoded(state: bytes) -> list[tuple[bytes, float, int | None]]:
    kind = list[tuple[bytes, float, int | None]]
    return msgspec.msgpack.decode(state, type=kind) if state else []
