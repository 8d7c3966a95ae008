"""Samples that were read one by one, gathered into columns: for receivers without a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.compiled.wire_kernel import hash_runs
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.model.series import Kind, LabelBlock
from watchkeeper.model.signal import Reject, WireSamples


class Points:
    """One body's samples and rejects. Each sample is a row of its own."""

    def __init__(self, limits: Limits, rejects: tuple[Reject, ...] = ()) -> None:
        self._limits = limits
        self._runs: list[bytes] = []
        self._kind: list[int] = []
        self._is_delta: list[bool] = []
        self._time_ns: list[int] = []
        self._value: list[float] = []
        self.is_of_now = False
        """Whether a sample without a time was given that of its coming."""
        self._rejects = {one.reason: (one.count, one.detail) for one in rejects}

    def add(
        self,
        labels: Iterable[tuple[bytes, bytes]],
        *,
        kind: Kind,
        time_ns: int,
        value: float,
        is_delta: bool = False,
    ) -> None:
        if not -(2**63) <= time_ns < 2**63:
            self.reject("timestamp_range", "outside the years 1678 to 2262")
            return
        if len(self._runs) >= self._limits.samples:
            raise self._limits.too_many_samples()
        self._runs.append(label_run(labels))
        self._kind.append(kind)
        self._is_delta.append(is_delta)
        self._time_ns.append(time_ns)
        self._value.append(value)

    def reject(self, reason: str, detail: str, count: int = 1) -> None:
        """Count samples that cannot be taken; the first detail of a reason is what is told."""
        n_before, first = self._rejects.get(reason, (0, detail))
        self._rejects[reason] = (n_before + count, first)

    def take(self, seed: int) -> WireSamples:
        """All of it, keyed under `seed`."""
        block = label_block(self._runs)
        key = np.empty((len(block), 2), np.uint64)
        hash_runs(block.buffer, block.start, block.end, np.uint64(seed), key)
        return WireSamples(
            key=key,
            kind=np.array(self._kind, np.uint8),
            row=np.arange(len(block), dtype=np.int32),
            time_ns=np.array(self._time_ns, np.int64),
            value=np.array(self._value, np.float64),
            describe=lambda rows: LabelBlock(block.buffer, block.start[rows], block.end[rows]),
            rejects=tuple(
                Reject(reason, count, detail) for reason, (count, detail) in self._rejects.items()
            ),
            is_delta=np.array(self._is_delta, np.bool_) if any(self._is_delta) else None,
            is_of_now=self.is_of_now,
        )


def label_block(runs: Sequence[bytes]) -> LabelBlock:
    """Runs of labels, each made by `label_run`, as one block."""
    ends = np.cumsum([0, *map(len, runs)], dtype=np.int64)
    # Of a bytearray, so that it is writable: kernels are compiled for one sort of array.
    buffer = np.frombuffer(bytearray().join([*runs, bytes(READ_SLACK)]), np.uint8)
    return LabelBlock(buffer, ends[:-1], ends[1:])


def encoded(labels: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode()) for name, value in labels.items())


def label_run(labels: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Labels in the form of a LabelBlock's row."""
    parts: list[bytes] = []
    for name, value in labels:
        n_name, n_value = len(name), len(value)
        if n_name + n_value < 124:  # every size takes one byte
            parts += (
                bytes((0x0A, n_name + n_value + 4, 0x0A, n_name)),
                name,
                bytes((0x12, n_value)),
                value,
            )
        else:
            label = b"".join((b"\x0a", _varint(n_name), name, b"\x12", _varint(n_value), value))
            parts += (b"\x0a", _varint(len(label)), label)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
