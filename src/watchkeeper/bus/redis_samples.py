"""Samples to Redis and back: which series to register, which to fetch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from watchkeeper import telemetry
from watchkeeper.bus.base import Delivery
from watchkeeper.bus.codec import (
    Portable,
    PortableDetails,
    PortableSamples,
    Shared,
    join,
    localize,
    partition_of,
    read,
    registrations,
    split,
    split_details,
    split_rows,
    split_series,
)
from watchkeeper.bus.ports import SeriesCatalog
from watchkeeper.model import wire
from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.family import Families
from watchkeeper.model.handling import Handling
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import I32, I64, N_PARTITIONS, U8, U64
from watchkeeper.model.signal import (
    ExemplarBatch,
    HistogramBatch,
    LogBatch,
    Logged,
    NewSeries,
    RowBatch,
    SampleBatch,
    SpanBatch,
    Tick,
)
from watchkeeper.model.silence import AlertSilence

_log: Final = telemetry.Log(__name__)
_UNKNOWN: Final = telemetry.counter(
    "watchkeeper_bus_unknown_series_rows_total", "Rows dropped because nobody knows their series."
)
_NEVER: Final = -1
_NONE: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Group:
    """A group of records in portable form."""

    messages: Sequence[tuple[int, int, bytes]]
    """(partition, number of the body that brought it, payload), in order. Bodies are numbered from
    1; 0 is for what no body brought, and for what may come twice."""
    bodies: Sequence[bytes]
    """Their hashes."""
    registrations: Sequence[tuple[int, bytes, bytes]]
    """(partition, identity, registration) of series whose generation does not know them yet."""
    slots: I32
    """Whose registrations these are."""


class Writer:
    """Makes groups portable, and registers each series once per generation of its partition."""

    def __init__(self, catalog: SeriesCatalog) -> None:
        self._catalog = catalog
        self._generation: I64 = np.zeros(N_PARTITIONS, np.int64)
        self._registered: I64 = np.full(0, _NEVER, np.int64)
        """By slot: the generation in which this process registered its series."""

    def group(self, records: Sequence[Logged]) -> Group:
        messages: list[tuple[int, int, bytes]] = []
        number_by_body: dict[bytes, int] = {}
        wanted: list[I32] = []
        self._grow()
        for record in records:
            if isinstance(record, NewSeries):
                self._registered[record.slot] = _NEVER  # they may have had other owners
            elif isinstance(record, SampleBatch | HistogramBatch | ExemplarBatch):
                wanted.append(self._unregistered(record.slot))
            body = getattr(record, "body_hash", b"")
            number = number_by_body.setdefault(body, len(number_by_body) + 1) if body else 0
            messages += ((where, number, payload) for where, payload in self._split(record))
        slots = np.unique(np.concatenate(wanted)) if wanted else np.empty(0, np.int32)
        described = self._catalog.describe(slots) if len(slots) else ()
        registered = [one for new in described for one in registrations(new)]
        return Group(messages, list(number_by_body), registered, slots)

    def generation(self, partition: int) -> int:
        return int(self._generation[partition])

    def renew(self, generation_by_partition: Mapping[int, int]) -> None:
        """These partitions have come to these generations."""
        for partition, generation in generation_by_partition.items():
            self._generation[partition] = generation

    def published(self, group: Group) -> None:
        """What it registered need not be registered again in this generation."""
        partition = self._catalog.partition[group.slots]
        self._registered[group.slots] = self._generation[partition]

    def _partitions(self, batch: RowBatch) -> list[int]:
        """By origin."""
        return [
            self._catalog.partition_of(batch.tenant, one.entity.service) for one in batch.origins
        ]

    def _split(self, record: Logged) -> Iterable[tuple[int, bytes]]:
        """(partition, payload) of its parts."""
        match record:
            case NewSeries():
                return split_series(record)
            case Tick() | DetectionSet() | Maintenance() | AlertSilence():  # everybody's
                payload = wire.encode(record)
                return ((partition, payload) for partition in range(N_PARTITIONS))
            case Change() | Alert() | Handling() | Families() | Verdict():
                return [(partition_of(record, self._catalog), wire.encode(record))]
            case LogBatch() | SpanBatch():
                return split_rows(record, self._partitions(record))
            case SampleBatch():
                return split(record, *self._columns)
            case HistogramBatch() | ExemplarBatch():
                return split_details(record, *self._columns)

    @property
    def _columns(self) -> tuple[U64, U8, I64]:
        return self._catalog.identity, self._catalog.partition, self._generation

    def _unregistered(self, slots: I32) -> I32:
        current = self._generation[self._catalog.partition[slots]]
        unregistered: I32 = slots[self._registered[slots] != current]
        return unregistered

    def _grow(self) -> None:
        n_more = len(self._catalog.partition) - len(self._registered)
        if n_more > 0:
            more = np.full(n_more, _NEVER, np.int64)
            self._registered = np.concatenate([self._registered, more])


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as it lies in a stream."""

    partition: int
    position: int
    before: int
    """Position of the message before it in the same stream, there or not."""
    producer: str
    payload: bytes


@dataclass(slots=True)
class Unread:
    """Messages that were read, and what must be fetched before they can be delivered."""

    found: list[tuple[Entry, Portable | Shared, I32]] = field(default_factory=list)
    """With the slots of its rows, where it has any; -1 where a series was not known then."""
    unknown: dict[tuple[int, int], set[bytes]] = field(default_factory=dict)
    """(partition, generation) -> identities."""


class Reader:
    """Makes messages local, and the catalog acquainted with series that it has not seen."""

    def __init__(self, catalog: SeriesCatalog, producer: str, now_ns: int) -> None:
        self._catalog = catalog
        self._producer = producer
        """Under which this process publishes."""
        self._now_ns = now_ns
        """When what comes counts as seen: of the newest tick, or of the start."""

    def read(self, entries: Sequence[Entry]) -> tuple[Unread, list[Delivery]]:
        """What must be fetched, or where that is nothing, what is to be delivered."""
        unread = Unread()
        records = [read(entry.payload) for entry in entries]
        ticks = (record.now_ns for record in records if isinstance(record, Tick))
        self._now_ns = max(self._now_ns, *ticks, 0)
        slots = self._looked_up(records)
        announced: set[bytes] = set()
        for entry, record in zip(entries, records, strict=True):
            here = next(slots) if isinstance(record, PortableSamples | PortableDetails) else _NONE
            unread.found.append((entry, record, here))
            if isinstance(record, NewSeries):
                announced.update(_names(record.identity))
            elif isinstance(record, PortableSamples | PortableDetails) and (here < 0).any():
                wanted = _names(record.identity[here < 0]) - announced
                place = (entry.partition, record.generation)
                if wanted:
                    unread.unknown.setdefault(place, set()).update(wanted)
        return unread, [] if unread.unknown else self.deliver(unread, {})

    def deliver(self, unread: Unread, fetched: Mapping[bytes, bytes]) -> list[Delivery]:
        """`fetched` has registrations by identity. Series that had to be fetched come before their
        first sample, at its position: the two are never handed out apart."""
        return [
            Delivery(entry.partition, entry.position, local)
            for entry, record, slots in unread.found
            for local in self._localized(entry, record, slots, fetched)
        ]

    def _looked_up(self, records: Sequence[Portable | Shared]) -> Iterator[I32]:
        """The slots of each that has rows; all in one go, for a message has few."""
        identities = [
            one.identity for one in records if isinstance(one, PortableSamples | PortableDetails)
        ]
        if not identities:
            return iter(())
        slots = self._catalog.meet(np.concatenate(identities), self._now_ns)
        ends = np.cumsum([len(one) for one in identities])
        return iter(np.split(slots, ends[:-1]))

    def _localized(
        self,
        entry: Entry,
        record: Portable | Shared,
        slots: I32,
        fetched: Mapping[bytes, bytes],
    ) -> Iterator[Logged]:
        if isinstance(record, NewSeries):
            # Ours has our slots and donors already. Another one's may be known here, or not.
            is_ours = entry.producer == self._producer
            yield record if is_ours else self._catalog.adopt(record, self._now_ns)
        elif isinstance(record, PortableSamples | PortableDetails):
            if (slots < 0).any():
                yield from self._adopt(record, fetched)
                slots = self._catalog.lookup(record.identity)
                _tell_unknown(slots, entry)
            yield localize(record, slots)
        else:
            yield record

    def _adopt(self, samples: Portable, fetched: Mapping[bytes, bytes]) -> Iterator[NewSeries]:
        """Those that were fetched; others were announced, and are known by now."""
        strange = self._catalog.lookup(samples.identity) < 0
        names = sorted(_names(samples.identity[strange]) & fetched.keys())
        for new in join([fetched[name] for name in names]):
            yield self._catalog.adopt(new, self._now_ns)


def _names(identity: U64) -> set[bytes]:
    content = np.ascontiguousarray(identity).tobytes()
    return {content[at : at + 16] for at in range(0, len(content), 16)}


def _tell_unknown(slots: I32, entry: Entry) -> None:
    n_unknown = int((slots < 0).sum())
    if n_unknown:
        _UNKNOWN.add(n_unknown)
        _log.error(
            "rows dropped: nobody registered their series",
            rows=n_unknown,
            partition=entry.partition,
            position=entry.position,
        )
