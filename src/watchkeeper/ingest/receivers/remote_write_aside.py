"""What comes beside samples in remote write: native histograms, exemplars, metadata.

The kernels only say where they lie. A fault in one of them costs itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.receivers import remote_write_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.model.family import Family, metric_type
from watchkeeper.model.histogram import Reader
from watchkeeper.model.row import Texts, texts
from watchkeeper.model.series import I32, I64, U8, U64
from watchkeeper.model.signal import Reject, WireExemplars, WireHistograms

_NS_PER_MS: Final = NS_PER_S // 1000
_MAX_EXEMPLAR_BYTES: Final = 4096
"""Of labels. OpenMetrics allows 128 characters; who sends more must not fill the table."""
_TRACE_LABELS: Final = ("trace_id", "traceID", "traceid", "trace.id")

Labels = Iterable[tuple[bytes, bytes]]
BAD_HISTOGRAM: Final = "bad_histogram"
BAD_EXEMPLAR: Final = "bad_exemplar"
TIMESTAMP_RANGE: Final = "timestamp_range"


@dataclass(frozen=True, slots=True)
class Aside:
    """All of a body that is no sample."""

    histograms: WireHistograms | None
    exemplars: WireExemplars | None
    metadata: tuple[tuple[int, int], ...]
    """Where descriptions of metrics lie (remote write 1.0)."""
    rejects: tuple[Reject, ...]


def read(
    buffer: U8, aside: I64, reader: Reader, exemplar: Callable[[bytes], tuple[Labels, Any]]
) -> Aside:
    """What was set aside: rows of (series, what, start, end). `exemplar` gives the labels and the
    message of one; it raises ValueError or DecodeError where that cannot be told."""
    what = aside[:, 1]
    histograms, rejects = _histograms(buffer, aside[what == kernel.HISTOGRAM], reader)
    found, more = _exemplars(buffer, aside[what == kernel.EXEMPLAR], exemplar)
    metadata = aside[what == kernel.METADATA]
    return Aside(
        histograms,
        found,
        tuple((start, end) for _, _, start, end in metadata.tolist()),
        (*rejects, *more),
    )


def families(buffer: U8, metadata: Sequence[tuple[int, int]]) -> Iterator[Family]:
    """The descriptions in a remote write 1.0 body; one that is not sound is passed over."""
    kind = schema.remote_write()["MetricMetadata"]
    for start, end in metadata:
        try:
            one = kind.FromString(buffer[start:end].tobytes())
            name, what, unit = (
                text.decode() for text in (one.metric_family_name, one.help, one.unit)
            )
        except (DecodeError, UnicodeDecodeError):
            continue
        if name:
            yield Family(name, metric_type(one.type), what, unit)


def exemplar_of_labels(raw: bytes) -> tuple[Labels, Any]:
    """Of remote write 1.0."""
    one = schema.remote_write()["Exemplar"].FromString(raw)
    return ((label.name, label.value) for label in one.labels), one


def json_labels(labels: Labels) -> tuple[bytes, tuple[int, int]]:
    """(a JSON object, the trace that it names). Raises ValueError for what is no text."""
    named = {name.decode(): value.decode() for name, value in labels}
    found = json.dumps(named, separators=(",", ":"), ensure_ascii=False).encode()
    if len(found) > _MAX_EXEMPLAR_BYTES:
        raise ValueError(f"{len(found)} bytes of labels")
    return found, trace_of(next((named[name] for name in _TRACE_LABELS if name in named), ""))


def trace_of_labels(labels: bytes) -> tuple[int, int]:
    """The trace that a JSON object of labels names."""
    named = json.loads(labels)
    return trace_of(next((named[name] for name in _TRACE_LABELS if name in named), ""))


def trace_of(text: str) -> tuple[int, int]:
    """The halves of a trace id in hex; of what is none, none."""
    try:
        number = int(text, 16) if 0 < len(text) <= 32 else 0
    except ValueError:
        number = 0
    return number >> 64, number & (1 << 64) - 1


def _histograms(
    buffer: U8, aside: I64, reader: Reader
) -> tuple[WireHistograms | None, list[Reject]]:
    if not len(aside):
        return None, []
    start, end = np.ascontiguousarray(aside[:, 2]), np.ascontiguousarray(aside[:, 3])
    ms, is_sound = reader.judge(buffer, start, end)
    in_time = (ms <= kernel.MAX_MS) & (ms >= -kernel.MAX_MS)
    kept = np.flatnonzero(is_sound & in_time)
    rejects = [
        Reject(BAD_HISTOGRAM, int((~is_sound).sum()), "a native histogram whose spans, counts "
               "and bounds do not fit together"),
        Reject(TIMESTAMP_RANGE, int((is_sound & ~in_time).sum()), "outside the years 1678 to 2262"),
    ]  # fmt: skip
    found = WireHistograms(
        aside[kept, 0].astype(np.int32), ms[kept] * _NS_PER_MS, runs(buffer, start, end, kept)
    )
    return (found if len(kept) else None), [one for one in rejects if one.count]


def runs(buffer: U8, start: I64, end: I64, rows: I64) -> Texts:
    """Stretches of a buffer as a column of their own."""
    return texts(buffer[start[row] : end[row]].tobytes() for row in rows.tolist())


def _exemplars(
    buffer: U8, aside: I64, exemplar: Callable[[bytes], tuple[Labels, Any]]
) -> tuple[WireExemplars | None, list[Reject]]:
    rows: list[int] = []
    facts: list[tuple[int, float]] = []
    labels: list[bytes] = []
    traces: list[tuple[int, int]] = []
    n_bad = 0
    for row, _, start, end in aside.tolist():
        try:
            named, one = exemplar(buffer[start:end].tobytes())
            text, trace = json_labels(named)
        except (DecodeError, ValueError):
            n_bad += 1
            continue
        if abs(one.timestamp) > kernel.MAX_MS:
            n_bad += 1
            continue
        rows.append(row)
        facts.append((one.timestamp * _NS_PER_MS, one.value))
        labels.append(text)
        traces.append(trace)
    rejects = [
        Reject(BAD_EXEMPLAR, n_bad, "an exemplar's labels must be UTF-8 of at most "
               f"{_MAX_EXEMPLAR_BYTES} bytes, its time in the years 1678 to 2262")
    ]  # fmt: skip
    if not rows:
        return None, rejects if n_bad else []
    row_column: I32 = np.array(rows, np.int32)
    trace_column: U64 = np.array(traces, np.uint64)
    found = WireExemplars(
        row_column,
        np.array([time_ns for time_ns, _ in facts], np.int64),
        np.array([value for _, value in facts], np.float64),
        trace_column,
        texts(labels),
    )
    return found, rejects if n_bad else []
