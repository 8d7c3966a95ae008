"""OTLP's JSON form brought into its protobuf form, so that one decoder reads both.

Keys are lowerCamelCase and nothing else, enums are integers, 64-bit integers are strings or
numbers, unknown fields are passed over. A metric or data point that breaks these rules is counted
and left out; only what is no JSON at all costs the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.ingest.receivers.otlp_json_values import (
    NONE,
    Double,
    Integer,
    KeyValue,
    attributes_of,
    double,
    fill_resource,
    integer,
    only,
    reading,
    rejected,
    sound,
)
from watchkeeper.model.signal import Reject


class _Quantile(Struct, rename="camel"):
    quantile: Double | None = None
    value: Double | None = None


class _Buckets(Struct, rename="camel"):
    offset: int | None = None
    bucket_counts: list[Integer] | None = None


class _Exemplar(Struct, rename="camel"):
    filtered_attributes: list[KeyValue] | None = None
    time_unix_nano: Integer | None = None
    as_double: Double | None = None
    as_int: Integer | None = None
    trace_id: str | None = None
    span_id: str | None = None


class _Point(Struct, rename="camel"):
    """A data point of any sort: they share most names, and mean the same by them."""

    attributes: list[KeyValue] | None = None
    time_unix_nano: Integer | None = None
    flags: int | None = None
    as_double: Double | None = None
    as_int: Integer | None = None
    count: Integer | None = None
    sum: Double | None = None
    bucket_counts: list[Integer] | None = None
    explicit_bounds: list[Double] | None = None
    quantile_values: list[_Quantile] | None = None
    scale: int | None = None
    zero_count: Integer | None = None
    zero_threshold: Double | None = None
    positive: _Buckets | None = None
    negative: _Buckets | None = None
    exemplars: list[_Exemplar] | None = None


class _Data(Struct, rename="camel"):
    data_points: list[Raw] | None = None
    aggregation_temporality: int | None = None
    is_monotonic: bool | None = None


class _Metric(Struct, rename="camel"):
    name: str | None = None
    unit: str | None = None
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None
    summary: _Data | None = None


class _ScopeMetrics(Struct, rename="camel"):
    metrics: list[Raw] | None = None


class _ResourceMetrics(Struct, rename="camel"):
    resource: Raw = NONE
    scope_metrics: list[_ScopeMetrics] | None = None


class _Request(Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] | None = None


_DATA: Final[Mapping[str, str]] = {
    "gauge": "NumberDataPoint",
    "sum": "NumberDataPoint",
    "histogram": "HistogramDataPoint",
    "exponential_histogram": "ExponentialHistogramDataPoint",
    "summary": "SummaryDataPoint",
}
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_metric = msgspec.json.Decoder(_Metric).decode
_decode_point = msgspec.json.Decoder(_Point).decode


def to_protobuf(body: bytes) -> tuple[bytes, tuple[Reject, ...]]:
    """The same request in protobuf, and what had to be left out."""
    out = schema.otlp()["ExportMetricsServiceRequest"]()
    faults: list[str] = []
    with reading("ExportMetricsServiceRequest"):
        for given in _decode_request(body).resource_metrics or ():
            to = out.resource_metrics.add()
            fill_resource(to.resource, given.resource)
            for scope in given.scope_metrics or ():
                metrics = to.scope_metrics.add().metrics
                metrics.extend(sound(_metric, scope.metrics, faults))
    return out.SerializeToString(), rejected(faults)


def _metric(item: Raw, faults: list[str]) -> Any:
    given = _decode_metric(item)
    out = schema.otlp()["Metric"](
        name=(given.name or "").encode(), unit=(given.unit or "").encode()
    )
    name = only(given, _DATA)
    if name:
        data: _Data = getattr(given, name)
        to = getattr(out, name)
        # What a sort of data does not have, such as a gauge's temporality, is passed over.
        if data.aggregation_temporality is not None and hasattr(to, "aggregation_temporality"):
            to.aggregation_temporality = data.aggregation_temporality
        if data.is_monotonic is not None and hasattr(to, "is_monotonic"):
            to.is_monotonic = data.is_monotonic
        point_class = schema.otlp()[_DATA[name]]

        def convert(item: Raw, _: list[str]) -> Any:
            check_item(item)
            return _point(_decode_point(item), point_class)

        to.data_points.extend(sound(convert, data.data_points, faults))
    return out


def _point(given: _Point, point_class: type[Any]) -> Any:
    only(given, ("as_double", "as_int"))
    fields: dict[str, Any] = {
        "attributes": attributes_of(given.attributes),
        "time_unix_nano": integer(given.time_unix_nano),
        "flags": given.flags,
        "as_double": double(given.as_double),
        "as_int": integer(given.as_int),
        "count": integer(given.count),
        "sum": double(given.sum),
        "bucket_counts": [integer(count) for count in given.bucket_counts or ()],
        "explicit_bounds": [double(bound) for bound in given.explicit_bounds or ()],
        "quantile_values": [
            schema.otlp()["ValueAtQuantile"](quantile=double(one.quantile), value=double(one.value))
            for one in given.quantile_values or ()
        ],
        "scale": given.scale,
        "zero_count": integer(given.zero_count),
        "zero_threshold": double(given.zero_threshold),
        "positive": _buckets(given.positive),
        "negative": _buckets(given.negative),
        "exemplars": [_exemplar(one) for one in given.exemplars or ()],
    }
    known = point_class.DESCRIPTOR.fields_by_name
    return point_class(**{name: value for name, value in fields.items() if name in known})


def _buckets(given: _Buckets | None) -> bytes | None:
    if given is None:
        return None
    raw: bytes = schema.otlp_details()["Buckets"](
        offset=given.offset, bucket_counts=[integer(count) for count in given.bucket_counts or ()]
    ).SerializeToString()
    return raw


def _exemplar(given: _Exemplar) -> bytes:
    only(given, ("as_double", "as_int"))
    raw: bytes = schema.otlp_details()["Exemplar"](
        time_unix_nano=integer(given.time_unix_nano),
        as_double=double(given.as_double),
        as_int=integer(given.as_int),
        trace_id=_id(given.trace_id),
        span_id=_id(given.span_id),
    ).SerializeToString()
    # Attributes are messages of another schema, and the same bytes.
    named = schema.otlp()["FilteredAttributes"](
        attributes=attributes_of(given.filtered_attributes)
    ).SerializeToString()
    joined: bytes = raw + named
    return joined


def _id(text: str | None) -> bytes:
    """What is not hex names no trace, and costs nothing else."""
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        return b""
