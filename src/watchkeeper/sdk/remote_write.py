"""Encodes samples as Prometheus remote write 1.0: protobuf in snappy's block format.

All samples of a body are laid out as one matrix of bytes, because a sample between 1971 and 2109
always takes 18 bytes; what lies outside is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import cramjam
import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.sdk.series import TimeSeries
from watchkeeper.sdk.varint import varint

HEADERS: Final = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
}

_EARLIEST_MS: Final = 1 << 35
_LATEST_MS: Final = 1 << 42
_SAMPLE_BYTES: Final = 18
_CACHED_SERIES: Final = 100_000


def encode(series: Sequence[TimeSeries]) -> bytes:
    """The body of a request. Raises BadInput for times that no monitoring has."""
    filled = [one for one in series if len(one)]
    if not filled:
        return _compressed(b"")
    samples = _samples(filled)
    pieces = []
    start = 0
    for one in filled:
        end = start + len(one)
        labels = _labels(tuple(sorted(one.labels.items())))
        size = len(labels) + (end - start) * _SAMPLE_BYTES
        pieces += [b"\x0a", varint(size), labels, samples[start:end].tobytes()]
        start = end
    return _compressed(b"".join(pieces))


def _samples(series: Sequence[TimeSeries]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Row i is sample i: `12 10 09 <double> 10 <varint of milliseconds>`."""
    time_ms = np.concatenate([one.time_ms for one in series])
    value = np.concatenate([one.value for one in series]).astype("<f8", copy=False)
    outside = (time_ms < _EARLIEST_MS) | (time_ms >= _LATEST_MS)
    if outside.any():
        raise BadInput(
            f"time {int(time_ms[outside][0])} ms is not between 1971 and 2109; "
            "times are milliseconds since the epoch"
        )
    rows = np.empty((len(time_ms), _SAMPLE_BYTES), np.uint8)
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 11] = 0x12, _SAMPLE_BYTES - 2, 0x09, 0x10
    rows[:, 3:11] = value.view(np.uint8).reshape(-1, 8)
    for byte in range(6):
        more = 0x80 if byte < 5 else 0
        rows[:, 12 + byte] = ((time_ms >> (7 * byte)) & 0x7F) | more
    return rows


@lru_cache(maxsize=_CACHED_SERIES)
def _labels(pairs: tuple[tuple[str, str], ...]) -> bytes:
    pieces = []
    for name, value in pairs:
        label = b"\x0a" + _sized(name.encode()) + b"\x12" + _sized(value.encode())
        pieces.append(b"\x0a" + _sized(label))
    return b"".join(pieces)


def _sized(content: bytes) -> bytes:
    return varint(len(content)) + content


def _compressed(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
