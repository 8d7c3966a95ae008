"""OTLP's JSON form brought into its protobuf form, so that one decoder reads both.

Keys are lowerCamelCase and nothing else, enums are integers, 64-bit integers are strings or
numbers, unknown fields are passed over. A metric or data point that breaks these rules is counted
and left out; only what is no JSON at all costs the body.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.model.signal import Reject

_Integer = int | str
_Double = float | str


class _ArrayValue(Struct, rename="camel"):
    values: list[_AnyValue] | None = None


class _KeyValueList(Struct, rename="camel"):
    values: list[_KeyValue] | None = None


class _AnyValue(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Integer | None = None
    double_value: _Double | None = None
    array_value: _ArrayValue | None = None
    kvlist_value: _KeyValueList | None = None
    bytes_value: str | None = None


class _KeyValue(Struct, rename="camel"):
    key: str | None = None
    value: _AnyValue | None = None


class _Quantile(Struct, rename="camel"):
    quantile: _Double | None = None
    value: _Double | None = None


class _Point(Struct, rename="camel"):
    """A data point of any sort: they share most names, and mean the same by them."""

    attributes: list[_KeyValue] | None = None
    time_unix_nano: _Integer | None = None
    flags: int | None = None
    as_double: _Double | None = None
    as_int: _Integer | None = None
    count: _Integer | None = None
    sum: _Double | None = None
    bucket_counts: list[_Integer] | None = None
    explicit_bounds: list[_Double] | None = None
    quantile_values: list[_Quantile] | None = None


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


class _Resource(Struct, rename="camel"):
    attributes: list[_KeyValue] | None = None


class _ResourceMetrics(Struct, rename="camel"):
    resource: _Resource | None = None
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
_MAX_DEPTH: Final = 32
"""Of lists and maps in an attribute; protobuf itself ends at 100, counted from the root."""
_BAD: Final = (msgspec.DecodeError, ValueError, TypeError, RecursionError)
"""What a bad item raises, from here or from protobuf's own checks of ranges."""

_decode_request = msgspec.json.Decoder(_Request).decode
_decode_metric = msgspec.json.Decoder(_Metric).decode
_decode_point = msgspec.json.Decoder(_Point).decode


def to_protobuf(body: bytes) -> tuple[bytes, tuple[Reject, ...]]:
    """The same request in protobuf, and what had to be left out."""
    out = schema.otlp()["ExportMetricsServiceRequest"]()
    faults: list[str] = []
    try:
        for given in _decode_request(body).resource_metrics or ():
            to = out.resource_metrics.add()
            if given.resource:
                to.resource.attributes.extend(_attributes(given.resource.attributes))
            for scope in given.scope_metrics or ():
                metrics = to.scope_metrics.add().metrics
                metrics.extend(_sound(_metric, scope.metrics, faults))
    except _BAD as error:
        raise BadInput(
            f"the body is not an ExportMetricsServiceRequest in JSON: {error}"
        ) from error
    rejects = (Reject("bad_item", len(faults), faults[0]),) if faults else ()
    return out.SerializeToString(), rejects


def _sound(
    convert: Callable[[Raw, list[str]], Any], items: list[Raw] | None, faults: list[str]
) -> Iterator[Any]:
    """The items that can be converted; of the others, what is wrong with them."""
    for item in items or ():
        try:
            converted = convert(item, faults)
        except _BAD as error:
            faults.append(str(error))
        else:
            yield converted


def _metric(item: Raw, faults: list[str]) -> Any:
    given = _decode_metric(item)
    out = schema.otlp()["Metric"](
        name=(given.name or "").encode(), unit=(given.unit or "").encode()
    )
    name = _only(given, _DATA)
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
            return _point(_decode_point(item), point_class)

        to.data_points.extend(_sound(convert, data.data_points, faults))
    return out


def _point(given: _Point, point_class: type[Any]) -> Any:
    _only(given, ("as_double", "as_int"))
    fields: dict[str, Any] = {
        "attributes": _attributes(given.attributes),
        "time_unix_nano": _integer(given.time_unix_nano),
        "flags": given.flags,
        "as_double": _double(given.as_double),
        "as_int": _integer(given.as_int),
        "count": _integer(given.count),
        "sum": _double(given.sum),
        "bucket_counts": [_integer(count) for count in given.bucket_counts or ()],
        "explicit_bounds": [_double(bound) for bound in given.explicit_bounds or ()],
        "quantile_values": [
            schema.otlp()["ValueAtQuantile"](
                quantile=_double(one.quantile), value=_double(one.value)
            )
            for one in given.quantile_values or ()
        ],
    }
    known = point_class.DESCRIPTOR.fields_by_name
    return point_class(**{name: value for name, value in fields.items() if name in known})


def _attributes(given: list[_KeyValue] | None, depth: int = 0) -> list[Any]:
    key_value = schema.otlp()["KeyValue"]
    return [
        key_value(
            key=(one.key or "").encode(),
            value=_any_value(one.value, depth) if one.value is not None else None,
        )
        for one in given or ()
    ]


def _any_value(given: _AnyValue, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError(f"an attribute nests deeper than {_MAX_DEPTH} levels")
    any_value = schema.otlp()["AnyValue"]
    match _only(given, given.__struct_fields__):
        case "string_value":
            return any_value(string_value=(given.string_value or "").encode())
        case "bool_value":
            return any_value(bool_value=given.bool_value)
        case "int_value":
            return any_value(int_value=_integer(given.int_value))
        case "double_value":
            return any_value(double_value=_double(given.double_value))
        case "bytes_value":
            return any_value(bytes_value=base64.b64decode(given.bytes_value or ""))
        case "array_value":
            items = given.array_value.values if given.array_value else None
            values = [_any_value(item, depth + 1) for item in items or ()]
            return any_value(array_value=schema.otlp()["ArrayValue"](values=values))
        case "kvlist_value":
            pairs = given.kvlist_value.values if given.kvlist_value else None
            values = _attributes(pairs, depth + 1)
            return any_value(kvlist_value=schema.otlp()["KeyValueList"](values=values))
    return any_value()


def _only(given: Struct, names: Iterable[str]) -> str:
    """Which of several fields, that exclude one another, is given; "" if none is."""
    found = [name for name in names if getattr(given, name) is not None]
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} exclude one another")
    return found[0] if found else ""


def _integer(value: _Integer | None) -> int | None:
    return int(value) if isinstance(value, str) else value


def _double(value: _Double | None) -> float | None:
    return float(value) if isinstance(value, str) else value
