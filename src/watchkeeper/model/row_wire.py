"""Batches of rows as bytes: their columns as they declare them, then their texts, then origins,
where they have any."""

from __future__ import annotations

import struct
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from watchkeeper.model.row import Origin, Texts
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import DetailBatch, ExemplarBatch, HistogramBatch, LogBatch, SpanBatch

_SIZES: Final = struct.Struct("<IIHH4x")  # rows origins tenant body_hash
_OFFSET: Final = np.dtype(np.int32)
_origins: Final = msgspec.msgpack.Decoder(tuple[Origin, ...])

Rows = TypeVar("Rows", LogBatch, SpanBatch, HistogramBatch, ExemplarBatch)
Payload = bytes | bytearray | memoryview


def encode(head: bytes, batch: LogBatch | SpanBatch | DetailBatch) -> bytes:
    """The bytes of a batch behind `head`, whose size is a multiple of eight."""
    origins = b""
    if isinstance(batch, LogBatch | SpanBatch):
        origins = msgspec.msgpack.encode(batch.origins)
    tenant = batch.tenant.encode()
    parts: list[bytes | memoryview] = [
        head,
        _SIZES.pack(len(batch), len(origins), len(tenant), len(batch.body_hash)),
    ]
    for name, column in batch.COLUMNS.items():
        parts.append(np.ascontiguousarray(getattr(batch, name), column.kind).data)
    tail: list[bytes | memoryview] = []
    # Offsets in front of all bytes of text, so that they are aligned where the columns end so.
    for name in batch.TEXTS:
        column_of_text: Texts = getattr(batch, name)
        parts.append(np.ascontiguousarray(column_of_text.offset, _OFFSET).data)
        tail.append(np.ascontiguousarray(column_of_text.data[: column_of_text.offset[-1]]).data)
    return b"".join((*parts, *tail, origins, tenant, batch.body_hash))


def decode(at: int, payload: Payload, kind: type[Rows]) -> Rows:
    """The batch that `encode` wrote at `at`. Raises ValueError, struct.error or MsgspecError."""
    n, n_origins, n_tenant, n_hash = _SIZES.unpack_from(payload, at)
    at += _SIZES.size
    fields: dict[str, Any] = {}
    for name, column in kind.COLUMNS.items():
        values = np.frombuffer(payload, column.kind, n * column.width, at)
        at += values.nbytes
        fields[name] = values if column.width == 1 else values.reshape(n, column.width)
    offsets = []
    for _ in kind.TEXTS:
        offsets.append(np.frombuffer(payload, _OFFSET, n + 1, at))
        at += offsets[-1].nbytes
    for name, offset in zip(kind.TEXTS, offsets, strict=True):
        if offset[0] or (np.diff(offset) < 0).any():
            raise ValueError(f"the offsets of {name} do not grow from 0")
        fields[name] = Texts(np.frombuffer(payload, np.uint8, int(offset[-1]), at), offset)
        at += int(offset[-1])
    if len(payload) < at + n_origins + n_tenant + n_hash:
        raise ValueError(f"{at + n_origins + n_tenant + n_hash} bytes announced")
    rest = bytes(payload[at : at + n_origins + n_tenant + n_hash])
    if "origin" in fields:
        origins = fields["origins"] = _origins.decode(rest[:n_origins])
        origin = fields["origin"]
        if n and not 0 <= int(origin.min()) <= int(origin.max()) < len(origins):
            raise ValueError("a row is of an origin that is not there")
    return kind(
        tenant=TenantId(rest[n_origins : n_origins + n_tenant].decode()),
        body_hash=rest[n_origins + n_tenant :],
        **fields,
    )
