"""Prometheus remote write 1.0 and 2.0: snappy over one of two protobuf messages.

Samples are decoded in one compiled pass. What comes beside them (native histograms, exemplars,
metadata) is noted there, and read behind it. The labels that `describe` gives lie in the
decompressed body itself, or are written from its symbols when somebody asks.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import remote_write_aside as beside
from watchkeeper.ingest.receivers import remote_write_kernel as kernel
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import content_encoding, content_type
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.remote_write_2 import Symbols
from watchkeeper.ingest.receivers.remote_write_columns import Columns
from watchkeeper.ingest.receivers.snappy_block import SnappyBlock
from watchkeeper.model.histogram import Reader
from watchkeeper.model.series import I64, U8
from watchkeeper.model.signal import Reject, WireSamples

V1: Final = "prometheus.WriteRequest"
V2: Final = "io.prometheus.write.v2.Request"
_KEPT_ROWS: Final = 1 << 16
_MIN_ROWS: Final = 1 << 12


class RemoteWrite:
    """The receiver of remote write. A body is refused whole only if it is malformed."""

    Config = Limits
    makes: ClassVar[Noun] = "samples"

    def __init__(self, config: Limits | None = None, *, seed: int | None = None) -> None:
        self._limits = config or Limits()
        self._seed = np.uint64(secrets.randbits(64) if seed is None else seed)
        self._snappy = SnappyBlock(self._limits)
        self._columns = Columns(_MIN_ROWS)
        self._counts: I64 = np.zeros(kernel.N_COUNTS, np.int64)
        self._symbols = Symbols()
        self._reader: Reader | None = None

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireSamples:
        message = _message(headers)
        size = self._snappy.size(body)
        buffer = self._snappy.decompressed(body, size, size + READ_SLACK)
        columns = self._columns
        while True:
            code = self._run(message, buffer, size, columns)
            if code == kernel.DONE:
                break
            if code == kernel.MALFORMED:
                raise BadInput(f"the body is not a {message}: its protobuf is malformed")
            if code == kernel.FULL:
                columns = self._larger(columns)
            else:
                room = (1 + kernel.ROOM_BEHIND) * size + 2 * READ_SLACK
                del buffer
                buffer = self._snappy.decompressed(body, size, room)
        counts = self._counts.tolist()
        if max(counts[kernel.N_SAMPLES], counts[kernel.N_ASIDE]) > self._limits.samples:
            raise self._limits.too_many_samples()
        wire = columns.take(buffer, counts, _rejects(counts))
        if message == V2:
            wire = self._symbols.named(wire, buffer, columns, counts[kernel.N_ROWS])
        if counts[kernel.N_ASIDE]:
            wire = self._with_aside(wire, buffer, columns.aside[: counts[kernel.N_ASIDE]], message)
        return wire

    def _run(self, message: str, buffer: U8, size: int, columns: Columns) -> int:
        code: int
        if message == V1:
            code = kernel.decode(
                buffer, size, self._seed, columns.rows, columns.samples, columns.aside,
                self._counts,
            )  # fmt: skip
            return code
        return self._symbols.decode(buffer, size, self._seed, columns, self._counts)

    def _with_aside(self, wire: WireSamples, buffer: U8, aside: I64, message: str) -> WireSamples:
        """The same with what came beside the samples."""
        self._reader = self._reader or Reader()
        exemplar = beside.exemplar_of_labels if message == V1 else self._symbols.exemplar(buffer)
        found = beside.read(buffer, aside, self._reader, exemplar)
        families = wire.families
        if found.metadata:
            known = tuple(beside.families(buffer, found.metadata))

            def families(_missed: I64) -> Any:
                return known

        return replace(
            wire,
            histograms=found.histograms,
            exemplars=found.exemplars,
            families=families,
            rejects=wire.rejects + found.rejects,
        )

    def _larger(self, columns: Columns) -> Columns:
        if columns.capacity > self._limits.samples:
            raise self._limits.too_many_samples()
        columns = Columns(columns.capacity * 4)
        if columns.capacity <= _KEPT_ROWS:
            self._columns = columns
        return columns


def _message(headers: Mapping[str, str]) -> str:
    """Which of the two messages a body is."""
    encoding = content_encoding(headers)
    if encoding not in ("", "snappy"):
        raise BadInput(
            f"content-encoding: '{encoding}' is not known here; remote write uses snappy",
            status=415,
        )
    media, parameters = content_type(headers)
    if media not in ("", "application/x-protobuf"):
        raise BadInput(
            f"content-type: '{media}' is not known here; remote write uses application/x-protobuf",
            status=415,
        )
    message = parameters.get("proto", V1)
    if message not in (V1, V2):
        raise BadInput(
            f"content-type: the message '{message}' is not known; set protobuf_message: {V1} "
            f"(remote write 1.0) or {V2} (2.0) at the sender",
            status=415,
        )
    return message


def _rejects(counts: list[int]) -> tuple[Reject, ...]:
    if not any(counts[kernel.N_OUT_OF_RANGE : kernel.N_BAD_REFERENCE + 1]):
        return ()
    words = (
        (
            kernel.N_OUT_OF_RANGE,
            beside.TIMESTAMP_RANGE,
            "outside the years 1678 to 2262; timestamps are milliseconds since 1970",
        ),
        (
            kernel.N_BAD_REFERENCE,
            "bad_reference",
            "of series whose labels_refs are no pairs, or name a symbol that is not there",
        ),
    )
    return tuple(Reject(reason, counts[at], detail) for at, reason, detail in words if counts[at])
