"""Answers of the lake and its tables as bytes, from one process to another."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from watchkeeper.lake.base import Frame
from watchkeeper.lake.tables.base import B, Cursor, Found
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.model.row import Origin, Texts
from watchkeeper.model.series import I64, TenantId

REFUSAL: Final = "x-watchkeeper-refusal"
"""The header that tells which refusal it is, where the status alone does not."""
MANY_ROWS: Final = "too-many-rows"
_LABELS: Final = b"labels"


def write_frame(frame: Frame) -> bytes:
    """An Arrow stream: row, time_ns, value; and the labels beside its schema."""
    columns = [pa.array(column) for column in (frame.row, frame.time_ns, frame.value)]
    batch = pa.record_batch(columns, names=["row", "time_ns", "value"])
    batch = batch.replace_schema_metadata({_LABELS: msgspec.msgpack.encode(frame.labels)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_frame(content: bytes) -> Frame:
    with pa.ipc.open_stream(content) as reader:
        table = reader.read_all()
        labels = reader.schema.metadata[_LABELS]
    row, time_ns, value = (table.column(at).to_numpy() for at in range(3))
    return Frame(
        tuple(msgspec.msgpack.decode(labels, type=list[dict[str, str]])), row, time_ns, value
    )


class _Rows(msgspec.Struct, array_like=True):
    tenant: str
    origins: tuple[Origin, ...]
    columns: dict[str, bytes]
    texts: dict[str, tuple[bytes, bytes]]
    """Offsets and bytes."""
    number: bytes
    cursor: Cursor | None


_decoder = msgspec.msgpack.Decoder(_Rows)


def write_found(found: Found[B]) -> bytes:
    batch = found.batch
    columns: dict[str, bytes] = {
        name: np.ascontiguousarray(getattr(batch, name), column.kind).tobytes()
        for name, column in batch.COLUMNS.items()
    }
    texts: dict[str, tuple[bytes, bytes]] = {}
    for name in batch.TEXTS:
        text: Texts = getattr(batch, name)
        texts[name] = text.offset.tobytes(), text.data[: text.offset[-1]].tobytes()
    number = np.ascontiguousarray(found.number, np.int64).tobytes()
    rows = _Rows(batch.tenant, batch.origins, columns, texts, number, found.cursor)
    return msgspec.msgpack.encode(rows)


def read_found(content: bytes, definition: Definition[B]) -> Found[B]:
    rows = _decoder.decode(content)
    fields: dict[str, Any] = {"origins": rows.origins, "tenant": TenantId(rows.tenant)}
    for name, column in definition.kind.COLUMNS.items():
        values = np.frombuffer(rows.columns[name], column.kind)
        fields[name] = values if column.width == 1 else values.reshape(-1, column.width)
    for name in definition.kind.TEXTS:
        offset, data = rows.texts[name]
        fields[name] = Texts(np.frombuffer(data, np.uint8), np.frombuffer(offset, np.int32))
    number: I64 = np.frombuffer(rows.number, np.int64)
    return Found(definition.kind(**fields), number, rows.cursor)
