"""What the compiled decoders must say, said slowly and obviously: a walk over upb's messages.

The decoders are fuzzed against this. OTLP bodies of a form that no known sender uses are decoded by
it in earnest, so that protobuf's rarer rules (merging above all) are written down once.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import otlp_naming as naming
from watchkeeper.ingest.receivers import otlp_point_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.points import encoded
from watchkeeper.ingest.receivers.remote_write_aside import json_labels
from watchkeeper.model.family import KINDS
from watchkeeper.model.series import Kind, LabelBlock
from watchkeeper.model.signal import WireSamples

MAX_NS: Final = 2**63 - 1
STALE: Final[float] = struct.unpack("<d", 0x7FF0000000000002.to_bytes(8, "little"))[0]
"""Prometheus' staleness marker, a NaN: the series has ended."""
NS_PER_MS: Final = 1_000_000
_MAX_MS: Final = MAX_NS // NS_PER_MS
_CUSTOM: Final = -53
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


def remote_write(raw: bytes) -> Decoded:
    """A decompressed remote write 1.0 body."""
    try:
        request = schema.remote_write()["WriteRequest"].FromString(raw)
    except DecodeError as error:
        raise BadInput(str(error)) from error
    decoded = Decoded()
    for series in request.timeseries:
        labels = tuple((label.name, label.value) for label in series.labels)
        _read_series(series, labels, Kind.BY_NAME, decoded)
        for raw_exemplar in series.exemplars:
            _read_exemplar(raw_exemplar, labels, _named_labels, decoded)
    decoded.rejects = +decoded.rejects
    return decoded


def remote_write_2(raw: bytes) -> Decoded:
    """A decompressed remote write 2.0 body."""
    try:
        request = schema.remote_write_2()["Request"].FromString(raw)
    except DecodeError as error:
        raise BadInput(str(error)) from error
    symbols = list(request.symbols)
    decoded = Decoded()

    def texts(refs: list[int]) -> tuple[tuple[bytes, bytes], ...] | None:
        if len(refs) % 2 or any(ref >= len(symbols) for ref in refs):
            return None
        found = [symbols[ref] for ref in refs]
        return tuple(zip(found[::2], found[1::2], strict=True))

    def named(content: bytes) -> Any:
        one = schema.remote_write_2()["Exemplar"].FromString(content)
        return one, texts(list(one.labels_refs))

    for series in request.timeseries:
        labels = texts(list(series.labels_refs))
        if labels is None:
            n_items = len(series.samples) + len(series.histograms) + len(series.exemplars)
            decoded.rejects["bad_reference"] += n_items
            continue
        number = series.metadata.type if series.HasField("metadata") else 0
        kind = KINDS[number] if 0 <= number < len(KINDS) else Kind.BY_NAME
        _read_series(series, labels, kind, decoded)
        for raw_exemplar in series.exemplars:
            _read_exemplar(raw_exemplar, labels, named, decoded)
    decoded.rejects = +decoded.rejects
    return decoded


def _read_series(
    series: Any, labels: tuple[tuple[bytes, bytes], ...], kind: Kind, decoded: Decoded
) -> None:
    for one in series.samples:
        if -_MAX_MS <= one.timestamp <= _MAX_MS:
            time_ns = one.timestamp * NS_PER_MS
            decoded.samples.append(Sample(labels, kind, time_ns, one.value))
        else:
            decoded.rejects["timestamp_range"] += 1
    for raw in series.histograms:
        try:
            histogram = schema.histogram().FromString(raw)
        except DecodeError:
            decoded.rejects["bad_histogram"] += 1
            continue
        if not is_sound(histogram):
            decoded.rejects["bad_histogram"] += 1
        elif -_MAX_MS <= histogram.timestamp <= _MAX_MS:
            time_ns = histogram.timestamp * NS_PER_MS
            decoded.histograms.append(Detail(labels, time_ns, raw))
        else:
            decoded.rejects["timestamp_range"] += 1


def _read_exemplar(
    raw: bytes,
    labels: tuple[tuple[bytes, bytes], ...],
    read: Callable[[bytes], tuple[Any, Iterable[tuple[bytes, bytes]] | None]],
    decoded: Decoded,
) -> None:
    try:
        one, named = read(raw)
        if named is None or not -_MAX_MS <= one.timestamp <= _MAX_MS:
            decoded.rejects["bad_exemplar"] += 1
            return
        text, _ = json_labels(named)
    except (DecodeError, ValueError):
        decoded.rejects["bad_exemplar"] += 1
        return
    content = struct.pack("<d", one.value) + text
    decoded.exemplars.append(Detail(labels, one.timestamp * NS_PER_MS, content))


def _named_labels(raw: bytes) -> tuple[Any, Iterable[tuple[bytes, bytes]]]:
    one = schema.remote_write()["Exemplar"].FromString(raw)
    return one, [(label.name, label.value) for label in one.labels]


def is_sound(histogram: Any) -> bool:
    """Whether spans, counts and bounds fit together."""
    is_float = histogram.WhichOneof("value") == "count_float"
    sides = []
    for sign in ("negative", "positive"):
        spans = getattr(histogram, f"{sign}_spans")
        given = list(getattr(histogram, f"{sign}_counts" if is_float else f"{sign}_deltas"))
        counts = given if is_float else list(accumulate(float(one) for one in given))
        if sum(span.length for span in spans) != len(given):
            return False
        if any(span.offset < 0 for span in spans[1:]):
            return False
        if abs(sum(span.offset + span.length for span in spans)) > 2**30:
            return False
        sides.append((_indices(spans), counts))
    count = histogram.count_float if is_float else float(histogram.count_int)
    in_zero = histogram.zero_count_float or float(histogram.zero_count_int)
    (_, negative), (indices, positive) = sides
    if histogram.schema == _CUSTOM:
        bounds = list(histogram.custom_values)
        is_known = not negative and not in_zero > 0
        is_known &= all(low < high for low, high in pairwise(bounds))
        is_known &= all(0 <= index <= len(bounds) for index in indices)
    else:
        is_known = -4 <= histogram.schema <= 8
    counts = [in_zero, histogram.zero_threshold, count, *negative, *positive]
    total = sum([*negative, *positive], start=in_zero)
    return is_known and all(one >= 0 for one in counts) and total <= count * (1 + 1e-9) + 1e-9


def _indices(spans: Iterable[Any]) -> list[int]:
    indices: list[int] = []
    here = 0
    for span in spans:
        here += span.offset
        indices += range(here, here + min(span.length, 1 << 16))
        here += span.length
    return indices


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
        decoded.rejects["exponential_histogram_buckets"] += what == kernel.EXPONENTIAL


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
