"""Records in a form that any process understands: identities in the place of slots.

A batch travels as one message per partition, and new series do so before it. Their registrations
also lie beside the stream, by identity, for readers who come when the message is gone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.bus.ports import SeriesCatalog
from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import wire
from watchkeeper.model.alert import Alert
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.change import Change
from watchkeeper.model.event import Event
from watchkeeper.model.family import Families
from watchkeeper.model.handling import Handling, IncidentHead
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import F64, I32, I64, N_PARTITIONS, U8, U64, LabelBlock, TenantId
from watchkeeper.model.signal import (
    DetailBatch,
    ExemplarBatch,
    HistogramBatch,
    LogBatch,
    NewSeries,
    RowBatch,
    SampleBatch,
    SpanBatch,
    Tick,
    take,
)
from watchkeeper.model.silence import AlertSilence

_HEAD: Final = struct.Struct("<BBBxIqqHH4x")  # version kind times n base_ns generation tenant hash
_RECORDS: Final[Mapping[str, msgspec.msgpack.Decoder[Any]]] = {
    kind.__name__: msgspec.msgpack.Decoder(kind) for kind in (Anomaly, IncidentHead)
}
"""What may be in an event."""

_DETAILS: Final = struct.Struct("<BBxxIq")  # version kind n generation
_AS_DETAILS: Final = 0x80
"""Set in the kind of a batch that follows the identities of its series."""

Decided = DetectionSet | Maintenance | Verdict | AlertSilence
Shared = NewSeries | Families | LogBatch | SpanBatch | Change | Alert | Decided | Handling | Tick
"""Records that any process understands as they are."""


@dataclass(frozen=True, slots=True)
class PortableSamples:
    """Rows of one partition of a batch."""

    tenant: TenantId
    identity: U64
    """(n, 2)"""
    time_ns: I64
    value: F64
    body_hash: bytes
    generation: int
    """Which generation of the partition's registrations knows all of these series."""


@dataclass(frozen=True, slots=True)
class PortableDetails:
    """As PortableSamples, of what series have besides."""

    identity: U64
    batch: DetailBatch
    """Its slots are the writer's."""
    generation: int


Portable = PortableSamples | PortableDetails


def partition_of(record: Any, catalog: SeriesCatalog) -> int:
    """Where all of the service meets that a record speaks of, or all of a tenant that is made
    incidents of; 0 for one that speaks of none."""
    if isinstance(record, Anomaly | Change):
        return catalog.partition_of(record.tenant, record.entity.service)
    if isinstance(record, Alert | Handling | IncidentHead):
        return catalog.partition_of(record.tenant, "")
    return record.partition if isinstance(record, Verdict) else 0


def encode_event(event: Event) -> bytes:
    name = type(event.record).__name__
    if name not in _RECORDS:
        raise Permanent(
            f"bus: events of {name} cannot leave this process; add the type to bus/codec.py"
        )
    return msgspec.msgpack.encode((event.sequence, name, event.record))


def decode_event(payload: bytes) -> Event:
    """Raises Permanent for a record that this release does not know, BadInput for junk."""
    try:
        sequence, name, raw = msgspec.msgpack.decode(payload, type=tuple[int, str, msgspec.Raw])
        if name not in _RECORDS:
            raise Permanent(f"bus: an event holds a {name}, unknown to this release; run a newer")
        return Event(sequence, _RECORDS[name].decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"bus: {len(payload)} bytes are no event: {error}") from error


def split(
    batch: SampleBatch, identity: U64, partition: U8, generation: I64
) -> Iterator[tuple[int, bytes]]:
    """(partition, message) for each partition that has rows; rows of a series stay in order.

    `identity` and `partition` are the catalog's columns by slot, `generation` is by partition.
    """
    of_row = partition[batch.slot]
    order = np.argsort(of_row, kind="stable")
    counts = np.bincount(of_row, minlength=N_PARTITIONS)
    begin = 0
    for number in np.flatnonzero(counts).tolist():
        rows = order[begin : begin + int(counts[number])]
        begin += len(rows)
        yield (
            number,
            _pack(
                PortableSamples(
                    batch.tenant,
                    identity[batch.slot[rows]],
                    batch.time_ns[rows],
                    batch.value[rows],
                    batch.body_hash,
                    int(generation[number]),
                )
            ),
        )


def split_details(
    batch: DetailBatch, identity: U64, partition: U8, generation: I64
) -> Iterator[tuple[int, bytes]]:
    """As `split`, of what series have besides."""
    of_row = partition[batch.slot]
    for number in np.unique(of_row).tolist():
        part = take(batch, np.flatnonzero(of_row == number))
        content = wire.encode(part)
        kind = _AS_DETAILS | wire.kind_of(content)
        head = _DETAILS.pack(wire.VERSION, kind, len(part), int(generation[number]))
        yield number, b"".join((head, identity[part.slot].tobytes(), content))


def split_series(new: NewSeries) -> Iterator[tuple[int, bytes]]:
    """(partition, message) for each partition that has rows. Slots and donors are the writer's."""
    for number in np.unique(new.partition).tolist():
        yield number, wire.encode(_rows(new, np.flatnonzero(new.partition == number)))


def split_rows(batch: RowBatch, partition_by_origin: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """(partition, message) for each partition that has rows; rows of an origin stay in order, and
    no partition hears of origins that have none there."""
    of_row = np.array(partition_by_origin, np.int64)[batch.origin]
    for number in np.unique(of_row).tolist():
        part = take(batch, np.flatnonzero(of_row == number))
        used, origin = np.unique(part.origin, return_inverse=True)
        origins = tuple(batch.origins[row] for row in used.tolist())
        yield number, wire.encode(replace(part, origins=origins, origin=origin.astype(np.int32)))


def read(payload: bytes) -> Portable | Shared:
    """What is in a message. Raises Permanent or BadInput, as `wire.decode` does."""
    try:
        if len(payload) >= _DETAILS.size and payload[1] & _AS_DETAILS:
            return _unpack_details(payload)
        if wire.kind_of(payload) == wire.SAMPLES:
            return _unpack(payload)
    except (struct.error, ValueError, OverflowError) as error:
        raise BadInput(f"bus: a message of {len(payload)} bytes is not whole: {error}") from error
    record = wire.decode(bytearray(payload))
    if isinstance(record, SampleBatch | HistogramBatch | ExemplarBatch):
        raise BadInput(f"bus: a {type(record).__name__} without the identities of its series")
    return record


def localize(samples: Portable, slot: I32) -> SampleBatch | DetailBatch:
    """The rows that have a slot here, as a batch of this process."""
    known = slot >= 0
    if isinstance(samples, PortableDetails):
        rows = np.flatnonzero(known)
        return replace(take(samples.batch, rows), slot=slot[rows])
    if known.all():
        return SampleBatch(samples.tenant, slot, samples.time_ns, samples.value, samples.body_hash)
    return SampleBatch(
        samples.tenant,
        slot[known],
        samples.time_ns[known],
        samples.value[known],
        samples.body_hash,
    )


def registrations(new: NewSeries) -> Iterator[tuple[int, bytes, bytes]]:
    """(partition, identity, registration) of each series."""
    for row in range(len(new)):
        one = _rows(new, np.array([row]))
        yield int(new.partition[row]), new.identity[row].tobytes(), wire.encode(one)


def join(registered: Sequence[bytes]) -> list[NewSeries]:
    """Registrations of single series as one record per tenant. They name no donor: who adopts them
    knows better who could be one."""
    by_tenant: dict[TenantId, list[NewSeries]] = {}
    for payload in registered:
        one = wire.decode(bytearray(payload))
        if isinstance(one, NewSeries):
            by_tenant.setdefault(one.tenant, []).append(one)
    return [_joined(parts) for parts in by_tenant.values()]


def _pack(samples: PortableSamples) -> bytes:
    form, base, times = wire.pack_times(samples.time_ns)
    tenant = samples.tenant.encode()
    n = len(samples.value)
    head = _HEAD.pack(
        wire.VERSION, wire.SAMPLES, form, n, base, samples.generation, len(tenant),
        len(samples.body_hash),
    )  # fmt: skip
    columns = (samples.identity.data, samples.value.data, times.data)
    return b"".join((head, *columns, tenant, samples.body_hash))


def _unpack(payload: bytes) -> PortableSamples:
    _, _, form, n, base, generation, n_tenant, n_hash = _HEAD.unpack_from(payload)
    at = _HEAD.size
    identity = wire.column(payload, np.uint64, 2 * n, at).reshape(n, 2)
    value = wire.column(payload, np.float64, n, at + 16 * n)
    time_ns, at = wire.unpack_times(form, base, n, payload, at + 24 * n)
    if len(payload) != at + n_tenant + n_hash:
        raise ValueError(f"{at + n_tenant + n_hash} bytes announced")
    tenant = TenantId(payload[at : at + n_tenant].decode())
    return PortableSamples(tenant, identity, time_ns, value, payload[at + n_tenant :], generation)


def _unpack_details(payload: bytes) -> PortableDetails:
    version, _, n, generation = _DETAILS.unpack_from(payload)
    identity = np.frombuffer(payload, np.uint64, 2 * n, _DETAILS.size).reshape(n, 2)
    batch = wire.decode(bytearray(payload[_DETAILS.size + identity.nbytes :]))
    if not isinstance(batch, HistogramBatch | ExemplarBatch) or len(batch) != n:
        raise ValueError(f"{n} rows of version {version} announced")
    return PortableDetails(identity, batch, generation)


def _rows(new: NewSeries, rows: I64) -> NewSeries:
    used, entity = np.unique(new.entity[rows], return_inverse=True)
    return replace(
        new,
        slot=new.slot[rows],
        identity=new.identity[rows],
        role=new.role[rows],
        kind=new.kind[rows],
        partition=new.partition[rows],
        entity=entity.astype(np.int32),
        entities=tuple(new.entities[row] for row in used.tolist()),
        labels=LabelBlock(new.labels.buffer, new.labels.start[rows], new.labels.end[rows]),
        donor=new.donor[rows],
    )


def _joined(parts: Sequence[NewSeries]) -> NewSeries:
    entities = {entity: n for n, entity in enumerate(dict.fromkeys(p.entities[0] for p in parts))}
    runs = [p.labels.buffer[p.labels.start[0] : p.labels.end[0]] for p in parts]
    end = np.cumsum([len(run) for run in runs], dtype=np.int64)
    start = end - np.array([len(run) for run in runs], np.int64)
    return NewSeries(
        tenant=parts[0].tenant,
        slot=np.concatenate([part.slot for part in parts]),
        identity=np.concatenate([part.identity for part in parts]),
        role=np.concatenate([part.role for part in parts]),
        kind=np.concatenate([part.kind for part in parts]),
        partition=np.concatenate([part.partition for part in parts]),
        entity=np.array([entities[part.entities[0]] for part in parts], np.int32),
        entities=tuple(entities),
        labels=LabelBlock(np.concatenate([*runs, np.zeros(READ_SLACK, np.uint8)]), start, end),
        donor=np.full(len(parts), -1, np.int32),
    )
