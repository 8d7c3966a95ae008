"""The protocols' protobuf messages, cut down to the fields that we read, with texts as bytes.

What is not named here is passed over unread, so that a fault in an exemplar costs no sample, and
text that is not UTF-8 costs its own series only, where the published schemas give up the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "fixed64": _Field.TYPE_FIXED64,
    "sfixed64": _Field.TYPE_SFIXED64,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "sint32": _Field.TYPE_SINT32,
    "sint64": _Field.TYPE_SINT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "bool": _Field.TYPE_BOOL,
}

# Message -> fields: (number, type, name). `*` is repeated, `?` has presence, `|` one of several.
REMOTE_WRITE: Final = {
    "WriteRequest": "1 TimeSeries* timeseries, 3 bytes* metadata",
    "TimeSeries": "1 Label* labels, 2 Sample* samples, 3 bytes* exemplars, 4 bytes* histograms",
    "Label": "1 bytes name, 2 bytes value",
    "Sample": "1 double value, 2 int64 timestamp",
    "Exemplar": "1 Label* labels, 2 double value, 3 int64 timestamp",
    "MetricMetadata": "1 int32 type, 2 bytes metric_family_name, 4 bytes help, 5 bytes unit",
}
REMOTE_WRITE_2: Final = {
    "Request": "4 bytes* symbols, 5 TimeSeries* timeseries",
    "TimeSeries": "1 uint32* labels_refs, 2 Sample* samples, 3 bytes* histograms, "
    "4 bytes* exemplars, 5 Metadata metadata",
    "Sample": "1 double value, 2 int64 timestamp, 3 int64 start_timestamp",
    "Exemplar": "1 uint32* labels_refs, 2 double value, 3 int64 timestamp",
    "Metadata": "1 int32 type, 3 uint32 help_ref, 4 uint32 unit_ref",
}
HISTOGRAM: Final = {
    "Histogram": "1 uint64| count_int, 2 double| count_float, 3 double sum, 4 sint32 schema, "
    "5 double zero_threshold, 6 uint64 zero_count_int, 7 double zero_count_float, "
    "8 BucketSpan* negative_spans, 9 sint64* negative_deltas, 10 double* negative_counts, "
    "11 BucketSpan* positive_spans, 12 sint64* positive_deltas, 13 double* positive_counts, "
    "14 int32 reset_hint, 15 int64 timestamp, 16 double* custom_values",
    "BucketSpan": "1 sint32 offset, 2 uint32 length",
}
"""The same in remote write 1.0 and 2.0."""
OTLP: Final = {
    "AnyValue": "1 bytes| string_value, 2 bool| bool_value, 3 int64| int_value, "
    "4 double| double_value, 5 ArrayValue| array_value, 6 KeyValueList| kvlist_value, "
    "7 bytes| bytes_value",
    "ArrayValue": "1 AnyValue* values",
    "KeyValueList": "1 KeyValue* values",
    "KeyValue": "1 bytes key, 2 AnyValue value",
    "Resource": "1 KeyValue* attributes",
    "FilteredAttributes": "7 KeyValue* attributes",
    "ExportMetricsServiceRequest": "1 ResourceMetrics* resource_metrics",
    "ResourceMetrics": "1 Resource resource, 2 ScopeMetrics* scope_metrics",
    "ScopeMetrics": "2 Metric* metrics",
    "Metric": "1 bytes name, 3 bytes unit, 5 Gauge| gauge, 7 Sum| sum, 9 Histogram| histogram, "
    "10 ExponentialHistogram| exponential_histogram, 11 Summary| summary",
    "Gauge": "1 NumberDataPoint* data_points",
    "Sum": "1 NumberDataPoint* data_points, 2 int32 aggregation_temporality, 3 bool is_monotonic",
    "Histogram": "1 HistogramDataPoint* data_points, 2 int32 aggregation_temporality",
    "ExponentialHistogram": "1 ExponentialHistogramDataPoint* data_points, "
    "2 int32 aggregation_temporality",
    "Summary": "1 SummaryDataPoint* data_points",
    "NumberDataPoint": "7 KeyValue* attributes, 3 fixed64 time_unix_nano, 4 double| as_double, "
    "6 sfixed64| as_int, 8 uint32 flags, 5 bytes* exemplars",
    "HistogramDataPoint": "9 KeyValue* attributes, 3 fixed64 time_unix_nano, 4 fixed64 count, "
    "5 double? sum, 6 fixed64* bucket_counts, 7 double* explicit_bounds, 8 bytes* exemplars, "
    "10 uint32 flags",
    "ExponentialHistogramDataPoint": "1 KeyValue* attributes, 3 fixed64 time_unix_nano, "
    "4 fixed64 count, 5 double? sum, 6 sint32 scale, 7 fixed64 zero_count, 8 bytes positive, "
    "9 bytes negative, 10 uint32 flags, 11 bytes* exemplars, 14 double zero_threshold",
    "SummaryDataPoint": "7 KeyValue* attributes, 3 fixed64 time_unix_nano, 4 fixed64 count, "
    "5 double sum, 6 ValueAtQuantile* quantile_values, 8 uint32 flags",
    "ValueAtQuantile": "1 double quantile, 2 double value",
    "InstrumentationScope": "1 bytes name, 2 bytes version, 3 KeyValue* attributes",
    "ExportLogsServiceRequest": "1 ResourceLogs* resource_logs",
    "ResourceLogs": "1 Resource resource, 2 ScopeLogs* scope_logs",
    "ScopeLogs": "1 InstrumentationScope scope, 2 LogRecord* log_records",
    "LogRecord": "1 fixed64 time_unix_nano, 11 fixed64 observed_time_unix_nano, "
    "2 int32 severity_number, 3 bytes severity_text, 5 AnyValue body, 6 bytes* attributes, "
    "9 bytes trace_id, 10 bytes span_id, 12 bytes event_name",
    "ExportTraceServiceRequest": "1 ResourceSpans* resource_spans",
    "ResourceSpans": "1 Resource resource, 2 ScopeSpans* scope_spans",
    # Each span is parsed by itself, so that a bad one costs itself only.
    "ScopeSpans": "1 InstrumentationScope scope, 2 bytes* spans",
    "Span": "1 bytes trace_id, 2 bytes span_id, 3 bytes trace_state, 4 bytes parent_span_id, "
    "5 bytes name, 6 int32 kind, 7 fixed64 start_time_unix_nano, 8 fixed64 end_time_unix_nano, "
    "9 bytes* attributes, 10 uint32 dropped_attributes_count, 11 bytes* events, "
    "12 uint32 dropped_events_count, 13 bytes* links, 14 uint32 dropped_links_count, "
    "15 SpanStatus status",
    "SpanEvent": "1 fixed64 time_unix_nano, 2 bytes name, 3 bytes* attributes",
    "SpanLink": "1 bytes trace_id, 2 bytes span_id, 4 bytes* attributes",
    "SpanStatus": "2 bytes message, 3 int32 code",
}
OTLP_DETAILS: Final = {
    **{name: OTLP[name] for name in ("AnyValue", "ArrayValue", "KeyValueList", "KeyValue")},
    "Exemplar": "7 KeyValue* filtered_attributes, 2 fixed64 time_unix_nano, 3 double| as_double, "
    "6 sfixed64| as_int, 4 bytes span_id, 5 bytes trace_id",
    "Number": "5 bytes* exemplars",
    "Histogram": "8 bytes* exemplars",
    "Exponential": "3 fixed64 time_unix_nano, 4 fixed64 count, 5 double sum, 6 sint32 scale, "
    "7 fixed64 zero_count, 8 bytes positive, 9 bytes negative, 10 uint32 flags, "
    "11 bytes* exemplars, 14 double zero_threshold",
    "Buckets": "1 sint32 offset, 2 uint64* bucket_counts",
}
"""Of data points, what they have besides samples."""
ZIPKIN: Final = {
    "ListOfSpans": "1 bytes* spans",
    "Span": "1 bytes trace_id, 2 bytes parent_id, 3 bytes id, 4 int32 kind, 5 bytes name, "
    "6 fixed64 timestamp, 7 uint64 duration, 8 Endpoint local_endpoint, "
    "9 Endpoint remote_endpoint, 10 Annotation* annotations, 11 Tag* tags, 13 bool shared",
    "SpanParts": "10 bytes* annotations, 11 bytes* tags",
    "Endpoint": "1 bytes service_name, 2 bytes ipv4, 3 bytes ipv6, 4 int32 port",
    "Annotation": "1 fixed64 timestamp, 2 bytes value",
    "Tag": "1 bytes key, 2 bytes value",
}

LOKI: Final = {
    "PushRequest": "1 Stream* streams",
    "Stream": "1 bytes labels, 2 Entry* entries",
    "Entry": "1 Timestamp timestamp, 2 bytes line, 3 bytes* metadata",
    "Timestamp": "1 int64 seconds, 2 int32 nanos",
    "LabelPair": "1 bytes name, 2 bytes value",
}


@cache
def loki() -> Mapping[str, type[Any]]:
    """The message classes of Loki's push."""
    return _classes("loki", LOKI)


@cache
def remote_write() -> Mapping[str, type[Any]]:
    """The message classes of Prometheus remote write 1.0."""
    return _classes("remote_write", REMOTE_WRITE)


@cache
def remote_write_2() -> Mapping[str, type[Any]]:
    """The message classes of Prometheus remote write 2.0."""
    return _classes("remote_write_2", REMOTE_WRITE_2)


@cache
def histogram() -> type[Any]:
    """The message class of a native histogram of Prometheus."""
    return _classes("histogram", HISTOGRAM)["Histogram"]


@cache
def otlp() -> Mapping[str, type[Any]]:
    """The message classes of OTLP, of all signals."""
    return _classes("otlp", OTLP)


@cache
def otlp_details() -> Mapping[str, type[Any]]:
    """The message classes of what OTLP's data points have besides samples."""
    return _classes("otlp_details", OTLP_DETAILS)


@cache
def zipkin() -> Mapping[str, type[Any]]:
    """The message classes of Zipkin v2."""
    return _classes("zipkin", ZIPKIN)


def _classes(package: str, messages: Mapping[str, str]) -> Mapping[str, type[Any]]:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"watchkeeper/{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            _add_field(message, package, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


def _add_field(message: descriptor_pb2.DescriptorProto, package: str, line: str) -> None:
    number, kind, name = line.split()
    label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label)
    type_name = kind.rstrip("*?|")
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{package}.{type_name}"
    if kind.endswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0
    elif kind.endswith("?"):
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")
