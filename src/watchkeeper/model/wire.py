"""The logged records as bytes: little-endian columns behind a short header that names its version.

Decoding copies no column that does not need it. Bytes of a version or kind that this release does
not know are refused, never guessed at.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model import row_wire, times_kernel
from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.family import Families
from watchkeeper.model.handling import Handling
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import I64, LabelBlock, TenantId
from watchkeeper.model.signal import (
    DetailBatch,
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

VERSION: Final = 1
SAMPLES, SERIES, TICK, LOGS, SPANS, CHANGE, HISTOGRAMS, EXEMPLARS, FAMILIES = range(1, 10)
SETTINGS, VERDICT, MAINTENANCE, ALERT, SILENCE, HANDLING = 10, 11, 12, 13, 14, 15
"""The second byte of a record."""

_ROWS: Final[Mapping[type[Any], int]] = {
    LogBatch: LOGS,
    SpanBatch: SPANS,
    HistogramBatch: HISTOGRAMS,
    ExemplarBatch: EXEMPLARS,
}
_BATCH_BY_KIND: Final[Mapping[int, type[Any]]] = {kind: batch for batch, kind in _ROWS.items()}
_PACKED: Final[Mapping[int, type[Any]]] = {
    CHANGE: Change,
    FAMILIES: Families,
    SETTINGS: DetectionSet,
    VERDICT: Verdict,
    MAINTENANCE: Maintenance,
    ALERT: Alert,
    SILENCE: AlertSilence,
    HANDLING: Handling,
}
"""Rare records, as MessagePack."""
_DECODERS: Final = {kind: msgspec.msgpack.Decoder(record) for kind, record in _PACKED.items()}
"""Made here, by one thread: several that meet a type for the first time at once find half of what
msgspec has to know of it, and the process ends."""
_KIND_PACKED: Final[Mapping[type[Any], int]] = {record: kind for kind, record in _PACKED.items()}
Packed = Change | Families | DetectionSet | Verdict | Maintenance | Alert | AlertSilence | Handling

_HEAD: Final = struct.Struct("<BB6x")
_SAMPLES: Final = struct.Struct("<BBBxIqHH4x")  # version kind times n base_ns tenant body_hash
_SERIES: Final = struct.Struct("<BBHIQI4x")  # version kind tenant n labels entities
_TICK: Final = struct.Struct("<BB6xq")

_UNIT_NS: Final = {times_kernel.I32_NS: 1, times_kernel.I32_MS: 1_000_000}

Payload = bytes | bytearray | memoryview
Scalar = TypeVar("Scalar", bound=np.generic)


def encode(record: Logged) -> bytes:
    """The bytes of a record. Columns are laid out so that they are aligned if the bytes are."""
    if isinstance(record, SampleBatch):
        return _encode_samples(record)
    if isinstance(record, NewSeries):
        return _encode_series(record)
    if isinstance(record, Tick):
        return _TICK.pack(VERSION, TICK, record.now_ns)
    if isinstance(record, Packed):
        return _HEAD.pack(VERSION, _KIND_PACKED[type(record)]) + msgspec.msgpack.encode(record)
    return row_wire.encode(_HEAD.pack(VERSION, _ROWS[type(record)]), record)


def decode(payload: Payload) -> Logged:
    """The record in these bytes; its columns lie in `payload` itself where that is writable.

    (A column that is not writable or not aligned would be another type to a compiled kernel.)
    """
    kind = kind_of(payload)
    try:
        if kind == SAMPLES:
            return _decode_samples(payload)
        if kind == SERIES:
            return _decode_series(payload)
        if kind == TICK:
            return Tick(_TICK.unpack_from(payload)[2])
        if kind in _DECODERS:
            packed: Packed = _DECODERS[kind].decode(bytes(payload[_HEAD.size :]))
            return packed
        return _decode_rows(payload, _BATCH_BY_KIND[kind])
    except (struct.error, ValueError, msgspec.MsgspecError) as error:
        raise BadInput(f"wire: a record of {len(payload)} bytes is not whole: {error}") from error


def _decode_rows(payload: Payload, kind: type[Any]) -> RowBatch | DetailBatch:
    batch: RowBatch | DetailBatch = row_wire.decode(_HEAD.size, payload, kind)
    return batch


def kind_of(payload: Payload) -> int:
    """SAMPLES, SERIES, TICK ..."""
    if len(payload) < _HEAD.size:
        raise BadInput(f"wire: {len(payload)} bytes are no record")
    version, kind = _HEAD.unpack_from(payload)
    if version != VERSION:
        raise Permanent(
            f"wire: a record is of version {version}, this release reads version {VERSION}; "
            "run the release that wrote it, or a newer one"
        )
    if not SAMPLES <= kind <= HANDLING:
        raise Permanent(f"wire: a record is of kind {kind}, unknown to this release; run a newer")
    return int(kind)


def pack_times(time_ns: I64) -> tuple[int, int, np.ndarray[Any, Any]]:
    """(form, base, column): times as narrow as they go without losing a nanosecond."""
    if not len(time_ns):
        return times_kernel.SAME, 0, time_ns
    narrow = np.empty(len(time_ns), np.int32)
    form = int(times_kernel.narrow(np.ascontiguousarray(time_ns), narrow))
    if form == times_kernel.I64:
        return form, 0, np.ascontiguousarray(time_ns)
    return form, int(time_ns[0]), narrow[:0] if form == times_kernel.SAME else narrow


def unpack_times(form: int, base: int, n: int, payload: Payload, offset: int) -> tuple[I64, int]:
    """The times that `pack_times` packed, and where the next column begins."""
    if form == times_kernel.SAME:
        return np.full(n, base, np.int64), offset
    if form == times_kernel.I64:
        return column(payload, np.int64, n, offset), offset + 8 * n
    if form not in _UNIT_NS:
        raise ValueError(f"times are of form {form}")
    times = np.frombuffer(payload, np.int32, n, offset).astype(np.int64)
    times *= _UNIT_NS[form]
    times += base
    return times, offset + 4 * n


def column(
    payload: Payload, kind: type[Scalar], n: int, offset: int
) -> np.ndarray[Any, np.dtype[Scalar]]:
    """n numbers at an offset: a view where that is writable and aligned, else a copy."""
    found = np.frombuffer(payload, kind, n, offset)
    return found if found.flags.behaved else found.copy()


def _encode_samples(batch: SampleBatch) -> bytes:
    form, base, times = pack_times(batch.time_ns)
    tenant = batch.tenant.encode()
    n = len(batch)
    head = _SAMPLES.pack(VERSION, SAMPLES, form, n, base, len(tenant), len(batch.body_hash))
    return b"".join((
        head,
        _bytes(batch.value, np.float64),
        times.data,
        _bytes(batch.slot, np.int32),
        tenant,
        batch.body_hash,
    ))  # fmt: skip


def _decode_samples(payload: Payload) -> SampleBatch:
    _, _, form, n, base, n_tenant, n_hash = _SAMPLES.unpack_from(payload)
    at = _SAMPLES.size
    value = column(payload, np.float64, n, at)
    time_ns, at = unpack_times(form, base, n, payload, at + 8 * n)
    slot = column(payload, np.int32, n, at)
    at += 4 * n
    tenant = _run(payload, at, n_tenant).decode()
    body_hash = _run(payload, at + n_tenant, n_hash)
    return SampleBatch(TenantId(tenant), slot, time_ns, value, body_hash)


def _encode_series(new: NewSeries) -> bytes:
    labels = _compact(new.labels)
    tenant = new.tenant.encode()
    entities = msgspec.msgpack.encode(new.entities)
    n = len(new)
    lengths = (new.labels.end - new.labels.start).astype(np.uint32)
    columns = (
        _bytes(new.identity, np.uint64),
        _bytes(new.role, np.uint64),
        lengths.data,
        _bytes(new.slot, np.int32),
        _bytes(new.entity, np.int32),
        _bytes(new.donor, np.int32),
        _bytes(new.kind, np.uint8),
        _bytes(new.partition, np.uint8),
    )
    head = _SERIES.pack(VERSION, SERIES, len(tenant), n, len(labels), len(entities))
    return b"".join((head, *columns, tenant, entities, labels, bytes(READ_SLACK)))


def _decode_series(payload: Payload) -> NewSeries:
    _, _, n_tenant, n, n_labels, n_entities = _SERIES.unpack_from(payload)
    at = _SERIES.size
    identity = column(payload, np.uint64, 2 * n, at).reshape(n, 2)
    role = column(payload, np.uint64, n, at + 16 * n)
    lengths = np.frombuffer(payload, np.uint32, n, at + 24 * n)
    slot = column(payload, np.int32, n, at + 28 * n)
    entity = column(payload, np.int32, n, at + 32 * n)
    donor = column(payload, np.int32, n, at + 36 * n)
    kind = column(payload, np.uint8, n, at + 40 * n)
    partition = column(payload, np.uint8, n, at + 41 * n)
    at += 42 * n
    tenant = _run(payload, at, n_tenant).decode()
    entities = msgspec.msgpack.decode(
        _run(payload, at + n_tenant, n_entities), type=tuple[tuple[str, str, str, str], ...]
    )
    buffer = column(payload, np.uint8, n_labels + READ_SLACK, at + n_tenant + n_entities)
    end = lengths.cumsum(dtype=np.int64)
    if n and end[-1] != n_labels:
        raise ValueError(f"{n_labels} bytes of labels, {end[-1]} announced")
    return NewSeries(
        TenantId(tenant), slot, identity, role, kind, partition, entity, entities,
        LabelBlock(buffer, end - lengths.astype(np.int64), end), donor,
    )  # fmt: skip


def _compact(labels: LabelBlock) -> Payload:
    """The rows one behind the other, without what may lie between them."""
    if not len(labels):
        return b""
    view = _bytes(labels.buffer, np.uint8)
    if (labels.start[1:] == labels.end[:-1]).all():
        return view[int(labels.start[0]) : int(labels.end[-1])]
    rows = zip(labels.start.tolist(), labels.end.tolist(), strict=True)
    return b"".join([view[start:end] for start, end in rows])


def _bytes(values: np.ndarray[Any, Any], kind: type[np.generic]) -> memoryview:
    return np.ascontiguousarray(values, kind).data


def _run(payload: Payload, start: int, size: int) -> bytes:
    run = bytes(payload[start : start + size])
    if len(run) != size:
        raise ValueError(f"{size} bytes announced at {start}, {len(run)} there")
    return run
