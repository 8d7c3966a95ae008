"""Request bodies, made before anything is timed: remote write 1.0 and OTLP, in numpy.

A body is a few fixed byte runs (labels, framing) with records of numbers between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import cramjam
import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from bench import fleet
from bench.fleet import F64, I64

REMOTE_WRITE_PATH = "/api/v1/write"
REMOTE_WRITE_HEADERS: Mapping[str, str] = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "User-Agent": "watchkeeper-bench",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
LOWER_CASE_HEADERS = {name.lower(): value for name, value in REMOTE_WRITE_HEADERS.items()}
"""As a receiver is given them."""
OTLP_PATH = "/v1/metrics"
OTLP_HEADERS: Mapping[str, str] = {"Content-Type": "application/x-protobuf"}
OTLP_GZIP_HEADERS: Mapping[str, str] = {**OTLP_HEADERS, "Content-Encoding": "gzip"}

SAMPLE = np.dtype([("head", "u1", 3), ("value", "<f8"), ("tag", "u1"), ("time", "u1", 6)])
"""`12 10 (09 value 10 time)`: a length-delimited prometheus.Sample whose time takes six bytes."""
SAMPLE_HEAD = (0x12, 0x10, 0x09)
MIN_MS, MAX_MS = 1 << 35, 1 << 42
"""Times whose varint takes six bytes: 1971 to 2109."""

POINT = np.dtype([("a", "u1"), ("start", "<u8"), ("b", "u1"), ("time", "<u8"), ("c", "u1"),
                  ("value", "<f8")])  # fmt: skip
"""The numbers of a NumberDataPoint: start_time, time and as_double, all of fixed size."""
_MARK_START, _MARK_TIME, _MARK_VALUE = 0x0123456789ABCDEF, 0x1122334455667788, 1.2345678901234e77


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(tag: int, text: str) -> bytes:
    data = text.encode()
    return bytes((tag,)) + varint(len(data)) + data


@lru_cache(maxsize=4096)
def _pair(name: str, value: str) -> bytes:
    pair = _text(0x0A, name) + _text(0x12, value)
    return b"\x0a" + varint(len(pair)) + pair


def label_run(labels: Mapping[str, str]) -> bytes:
    """Labels in the protobuf form of prometheus.Label, one after the other."""
    return b"".join(_pair(name, value) for name, value in labels.items())


def label_runs(numbers: Iterable[int]) -> list[bytes]:
    """Of series of the fleet."""
    return [label_run(fleet.labels(number)) for number in numbers]


def remote_write_heads(label_runs: Sequence[bytes], samples_each: int) -> list[bytes]:
    """What precedes the samples of each series when every series has `samples_each` of them."""
    tail = SAMPLE.itemsize * samples_each
    return [b"\x0a" + varint(len(run) + tail) + run for run in label_runs]


def sample_records(times_ms: I64, values: F64) -> np.ndarray[Any, Any]:
    """Samples of (n series, k) times and values, encoded."""
    if times_ms.min() < MIN_MS or times_ms.max() >= MAX_MS:
        raise ValueError("times must take six bytes as a varint")
    out = np.empty(times_ms.shape, SAMPLE)
    out["head"] = SAMPLE_HEAD
    out["value"] = values
    out["tag"] = 0x10
    for byte in range(6):
        out["time"][..., byte] = times_ms >> 7 * byte & 0x7F | (0x80 if byte < 5 else 0)
    return out


def remote_write(heads: Sequence[bytes], times_ms: I64, values: F64) -> bytes:
    """One snappy-compressed WriteRequest of the series with these heads."""
    raw = sample_records(times_ms, values).tobytes()
    width = SAMPLE.itemsize * times_ms.shape[1]
    rows = [raw[at : at + width] for at in range(0, len(raw), width)]
    return bytes(cramjam.snappy.compress_raw(b"".join(chain(*zip(heads, rows, strict=True)))))


class RemoteWrite:
    """Bodies for some series, a fixed number of series per body."""

    def __init__(
        self, label_runs: Sequence[bytes], *, series_per_body: int, samples_each: int = 1
    ) -> None:
        self._per_body = series_per_body
        self._heads = remote_write_heads(label_runs, samples_each)

    def encode(self, times_ms: I64, values: F64) -> list[bytes]:
        """Bodies in the order of the series: (n, samples_each) times and values."""
        per = self._per_body
        return [
            remote_write(self._heads[at : at + per], times_ms[at : at + per], values[at : at + per])
            for at in range(0, len(self._heads), per)
        ]


class Otlp:
    """OTLP bodies for the first `n` series: a resource per container, a metric per series."""

    def __init__(self, n: int, *, series_per_body: int) -> None:
        self._per_body = series_per_body
        self._mark = _points(
            np.full(1, _MARK_START, np.uint64),
            np.full(1, _MARK_TIME, np.uint64),
            np.full(1, _MARK_VALUE),
        ).tobytes()
        self._start_ns = 0
        self._parts = [
            _otlp_skeleton(range(at, min(at + series_per_body, n))).split(self._mark)
            for at in range(0, n, series_per_body)
        ]

    def encode(self, times_ms: I64, values: F64, *, gzip: bool) -> list[bytes]:
        """Bodies in the order of the series: (n, 1) times and values."""
        self._start_ns = self._start_ns or int(times_ms.min()) * 1_000_000
        out = []
        for index, parts in enumerate(self._parts):
            rows = slice(index * self._per_body, (index + 1) * self._per_body)
            times = times_ms[rows].ravel().astype(np.uint64) * np.uint64(1_000_000)
            start = np.full(len(times), self._start_ns, np.uint64)
            raw = _points(start, times, values[rows].ravel()).tobytes()
            width = POINT.itemsize
            points = [raw[at : at + width] for at in range(0, len(raw), width)]
            body = b"".join(chain(*zip(parts, points, strict=False), parts[-1:]))
            out.append(bytes(cramjam.gzip.compress(body, 5)) if gzip else body)
        return out


def _points(start_ns: Any, time_ns: Any, values: Any) -> np.ndarray[Any, Any]:
    out = np.empty(len(values), POINT)
    out["a"], out["b"], out["c"] = 0x11, 0x19, 0x21
    out["start"], out["time"], out["value"] = start_ns, time_ns, values
    return out


def _attributes(**pairs: str) -> list[KeyValue]:
    out = []
    for name, value in pairs.items():
        item = KeyValue(key=name.replace("__", "."))
        item.value.string_value = value
        out.append(item)
    return out


def _otlp_skeleton(numbers: range) -> bytes:
    """The body with marks where the numbers go; the order of points is that of `numbers`."""
    request = ExportMetricsServiceRequest()
    pod, container, metrics = "", "", None
    for number in numbers:
        at = fleet.place(number)
        if metrics is None or (at.pod, at.container) != (pod, container):
            pod, container = at.pod, at.container
            group = request.resource_metrics.add()
            group.resource.attributes.extend(
                _attributes(
                    service__name=at.service,
                    k8s__namespace__name=at.namespace,
                    k8s__pod__name=at.pod,
                    k8s__container__name=at.container,
                    k8s__node__name=at.node,
                )
            )
            scope = group.scope_metrics.add()
            scope.scope.name = "watchkeeper.bench"
            metrics = scope.metrics
        _add_metric(metrics.add(), number, at)
    encoded: bytes = request.SerializeToString()
    return encoded


def _add_metric(metric: Metric, number: int, at: fleet.Place) -> None:
    metric.name = at.metric
    if fleet.is_counter(number):
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = (
            AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        )
        points = metric.sum.data_points
    else:
        points = metric.gauge.data_points
    attributes = _attributes(
        cluster="production-eu-central-1", job="kubernetes-pods", instance=at.instance
    )
    point = points.add(
        start_time_unix_nano=_MARK_START, time_unix_nano=_MARK_TIME, as_double=_MARK_VALUE
    )
    point.attributes.extend(attributes)
