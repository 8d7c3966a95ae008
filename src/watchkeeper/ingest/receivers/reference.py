"""What the compiled decoders must say, said slowly and obviously: a walk over upb's messages.

The decoders are fuzzed against this. OTLP bodies of a form that no known sender uses are decoded by
it in earnest, so that protobuf's rarer rules (merging above all) are written down once.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import otlp_details, schema
from watchkeeper.ingest.receivers import otlp_naming as naming
from watchkeeper.ingest.receivers import otlp_point_kernel as kernel
from watchkeeper.ingest.receivers.otlp_details import OtlpExemplar
from watchkeeper.ingest.receivers.points import encoded
from watchkeeper.model.series import Kind, LabelBlock
from watchkeeper.model.signal import WireSamples

MAX_NS: Final = 2**63 - 1
STALE: Final[float] = struct.unpack("<d", 0x7FF0000000000002.to_bytes(8, "little"))[0]
"""Prometheus' staleness marker, a NaN: the series has ended."""
NS_PER_MS: Final = 1_000_000
_CUMULATIVE: Final = 2
_DELTA: Final = 1
_NUMBERS: Final = (kernel.GAUGE, kernel.COUNTER, kernel.UP_DOWN)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample with its labels as the sender ordered them."""

    labels: tuple[tuple[bytes, bytes], ...]
    kind: Kind
    time_ns: int
    value: float
    is_delta: bool = False


@dataclass(frozen=True, slots=True)
class Detail:
    """A histogram or an exemplar with the labels of its series."""

    labels: tuple[tuple[bytes, bytes], ...]
    time_ns: int
    content: bytes
    """A histogram as it came; of an exemplar its value and labels."""


@dataclass(slots=True)
class Decoded:
    """All of a body."""

    samples: list[Sample] = field(default_factory=list)
    histograms: list[Detail] = field(default_factory=list)
    exemplars: list[Detail] = field(default_factory=list)
    otlp_exemplars: list[tuple[tuple[tuple[bytes, bytes], ...], OtlpExemplar]] = field(
        default_factory=list
    )
    rejects: Counter[str] = field(default_factory=Counter)


def samples_of(wire: WireSamples) -> list[tuple[dict[str, str], int, float]]:
    """(labels, time_ns, value) of every sample, for people and tests."""
    block = wire.describe(wire.row.astype(np.int64))
    times, values = wire.time_ns.tolist(), wire.value.tolist()
    return [
        (
            {name.decode(): text.decode() for name, text in labels_of(block, row)},
            times[row],
            values[row],
        )
        for row in range(len(wire))
    ]


def labels_of(block: LabelBlock, row: int) -> tuple[tuple[bytes, bytes], ...]:
    """The labels of one row."""
    run = block.buffer[block.start[row] : block.end[row]].tobytes()
    series = schema.remote_write()["TimeSeries"].FromString(run)
    return tuple((label.name, label.value) for label in series.labels)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def otlp_metrics(raw: bytes) -> Decoded:
    """A decompressed OTLP metrics request in protobuf."""
    try:
        request = schema.otlp()["ExportMetricsServiceRequest"].FromString(raw)
    except DecodeError as error:
        raise BadInput(str(error)) from error
    decoded = Decoded()
    for resource_metrics in request.resource_metrics:
        attributes = resource_metrics.resource.attributes
        is_text = _are_text(attributes)
        resource = _Resource(naming.resource_labels(attributes) if is_text else {}, is_text)
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                _read_metric(metric, resource, decoded)
    decoded.rejects = +decoded.rejects
    return decoded


@dataclass(frozen=True, slots=True)
class _Resource:
    labels: dict[str, str]
    is_text: bool


def _read_metric(metric: Any, resource: _Resource, decoded: Decoded) -> None:
    data_name = metric.WhichOneof("value")
    if data_name is None:
        return
    data = getattr(metric, data_name)
    what = _sort_of(metric)
    fault_of_metric = _fault_of_metric(metric, data, resource)
    for point in data.data_points:
        fault = fault_of_metric or _fault_of_point(point, what)
        if fault:
            decoded.rejects[fault] += 1
            continue
        name = naming.metric_name(metric.name, metric.unit, what)
        own = resource.labels | naming.attribute_labels(point.attributes)
        is_delta = getattr(data, "aggregation_temporality", _CUMULATIVE) == _DELTA
        has_value = not point.flags & 1
        for part, bound, kind, value in _series_of(point, what):
            labels = naming.series_labels(own, name, part, bound)
            decoded.samples.append(
                Sample(
                    tuple(encoded(labels)),
                    kind,
                    point.time_unix_nano,
                    value if has_value else STALE,
                    is_delta,
                )
            )
        _read_details(point, what, (own, name), decoded, is_delta=is_delta)


def _read_details(
    point: Any, what: int, named: tuple[dict[str, str], str], decoded: Decoded, *, is_delta: bool
) -> None:
    own, name = named
    raw = point.SerializeToString()
    part, whole = kernel.VALUE, tuple(encoded(naming.series_labels(own, name, kernel.VALUE, 0.0)))
    if what == kernel.EXPONENTIAL:
        payload = None if is_delta else otlp_details.native(raw)
        if payload is None:
            decoded.rejects["exponential_histogram_buckets"] += 1
            part = kernel.COUNT
        else:
            decoded.histograms.append(Detail(whole, point.time_unix_nano, payload))
    exemplars, n_bad = otlp_details.exemplars(raw, what)
    decoded.rejects["bad_exemplar"] += n_bad
    for one in exemplars:
        bound = 0.0
        if what == kernel.HISTOGRAM:
            part = kernel.BUCKET
            bounds = [*point.explicit_bounds, float("inf")]
            bound = bounds[otlp_details.bucket_of(one.value, point.explicit_bounds)]
        labels = tuple(encoded(naming.series_labels(own, name, part, bound)))
        decoded.otlp_exemplars.append((labels, one))
        content = struct.pack("<d", one.value) + one.labels
        decoded.exemplars.append(Detail(labels, one.time_ns, content))


def _sort_of(metric: Any) -> int:
    match metric.WhichOneof("value"):
        case "gauge":
            return kernel.GAUGE
        case "sum":
            return kernel.COUNTER if metric.sum.is_monotonic else kernel.UP_DOWN
        case "histogram":
            return kernel.HISTOGRAM
        case "exponential_histogram":
            return kernel.EXPONENTIAL
    return kernel.SUMMARY


def _fault_of_metric(metric: Any, data: Any, resource: _Resource) -> str:
    if not metric.name:
        return "no_name"
    if not (resource.is_text and _is_utf8(metric.name) and _is_utf8(metric.unit)):
        return "invalid_utf8"
    temporality = getattr(data, "aggregation_temporality", _CUMULATIVE)
    if temporality == _CUMULATIVE or (temporality == _DELTA and _grows(metric)):
        return ""
    return "delta_temporality" if temporality == _DELTA else "unspecified_temporality"


def _grows(metric: Any) -> bool:
    """Deltas of what may fall say nothing of its level, and are not summed up."""
    return _sort_of(metric) != kernel.UP_DOWN


def _fault_of_point(point: Any, what: int) -> str:
    if not _are_text(point.attributes):
        return "invalid_utf8"
    if point.time_unix_nano == 0:
        return "no_time"
    if point.time_unix_nano > MAX_NS:
        return "timestamp_range"
    if point.flags & 1:
        return ""
    if what in _NUMBERS:
        return "" if point.WhichOneof("value") else "no_value"
    n_counts = len(getattr(point, "bucket_counts", ()))
    n_bounds = len(getattr(point, "explicit_bounds", ()))
    return "bad_buckets" if n_counts + n_bounds and n_counts != n_bounds + 1 else ""


def _series_of(point: Any, what: int) -> Iterator[tuple[int, float, Kind, float]]:
    """(which series, bound, kind, value) of all that a point makes."""
    if what in _NUMBERS:
        kind = Kind.COUNTER if what == kernel.COUNTER else Kind.GAUGE
        given = point.WhichOneof("value")
        yield kernel.VALUE, 0.0, kind, float(getattr(point, given)) if given else 0.0
        return
    yield kernel.COUNT, 0.0, Kind.COUNTER, float(point.count)
    if what == kernel.SUMMARY or point.HasField("sum") or point.flags & 1:
        yield kernel.SUM, 0.0, Kind.COUNTER, point.sum
    if what == kernel.HISTOGRAM:
        yield from _buckets_of(point)
    elif what == kernel.SUMMARY:
        for one in point.quantile_values:
            yield kernel.QUANTILE, one.quantile, Kind.GAUGE, one.value


def _buckets_of(point: Any) -> Iterator[tuple[int, float, Kind, float]]:
    total = 0
    for number, bound in enumerate(point.explicit_bounds):
        if number < len(point.bucket_counts):
            total = (total + point.bucket_counts[number]) % 2**64
        yield kernel.BUCKET, bound, Kind.UNSCORED, float(total)
    yield kernel.BUCKET, float("inf"), Kind.UNSCORED, float(point.count)


def _are_text(attributes: Iterable[Any]) -> bool:
    return all(_is_utf8(one.key) and _is_text(one.value) for one in attributes)


def _is_text(value: Any) -> bool:
    match value.WhichOneof("value"):
        case "string_value":
            return _is_utf8(value.string_value)
        case "array_value":
            return all(_is_text(item) for item in value.array_value.values)
        case "kvlist_value":
            return _are_text(value.kvlist_value.values)
    return True
