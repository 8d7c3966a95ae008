"""OTLP over HTTP, metrics: protobuf or JSON, plain or compressed.

Protobuf is decoded in one compiled pass; JSON is brought into protobuf first, so that there is one
reading of what a request means. Series are named as Prometheus would name them (`otlp_naming`).
Deltas are marked, to be summed up at admission, where there is durable state for it; those of sums
that may fall are refused by name. An exponential histogram is kept as a native one, and its count
and sum besides.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, cast

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers import otlp_aside as aside
from watchkeeper.ingest.receivers import otlp_metrics_kernel as kernel
from watchkeeper.ingest.receivers import otlp_naming as naming
from watchkeeper.ingest.receivers import otlp_point_kernel as point_kernel
from watchkeeper.ingest.receivers import reference, schema
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.bounds import check_lists
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.otlp_attribute_kernel import MALFORMED, STACK_SIZE, UNUSUAL
from watchkeeper.ingest.receivers.otlp_json import to_protobuf
from watchkeeper.ingest.receivers.points import Points, encoded, label_block, label_run
from watchkeeper.model.series import I32, I64, U8, LabelBlock
from watchkeeper.model.signal import Reject, WireSamples

_KEPT_BYTES: Final = 4 << 20
_KEPT_ROWS: Final = 1 << 16
_MIN_ROWS: Final = 1 << 12
_PART_AT: Final = point_kernel.PART - point_kernel.METRIC
_UNUSUAL_BYTES: Final = 1 << 20
"""The reference is 40 times as slow as the kernel, so what only it can decode must be small."""

_TEMPORALITY: Final = (
    "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative at the exporter "
    "(or put the collector's deltatocumulative processor in between)"
)
_DETAILS: Final[Mapping[str, str]] = {
    "no_name": "a metric needs a name",
    "invalid_utf8": "names, units and attributes must be UTF-8",
    "delta_temporality": f"the level of what may fall cannot be told from deltas; {_TEMPORALITY}",
    "unspecified_temporality": f"a sum or histogram must say how it is aggregated; {_TEMPORALITY}",
    "no_time": "time_unix_nano is required",
    "timestamp_range": "time_unix_nano is after the year 2262",
    "no_value": "a number data point has neither as_double nor as_int",
    "bad_buckets": "bucket_counts must have one element more than explicit_bounds",
}
_REASONS: Final[Mapping[int, str]] = {
    point_kernel.N_NO_NAME: "no_name",
    point_kernel.N_NOT_UTF8: "invalid_utf8",
    point_kernel.N_DELTA: "delta_temporality",
    point_kernel.N_NO_TEMPORALITY: "unspecified_temporality",
    point_kernel.N_NO_TIME: "no_time",
    point_kernel.N_OUT_OF_RANGE: "timestamp_range",
    point_kernel.N_NO_VALUE: "no_value",
    point_kernel.N_BAD_BUCKETS: "bad_buckets",
}
_POINTS: Final[Mapping[int, str]] = {
    point_kernel.GAUGE: "NumberDataPoint",
    point_kernel.COUNTER: "NumberDataPoint",
    point_kernel.UP_DOWN: "NumberDataPoint",
    point_kernel.HISTOGRAM: "HistogramDataPoint",
    point_kernel.EXPONENTIAL: "ExponentialHistogramDataPoint",
    point_kernel.SUMMARY: "SummaryDataPoint",
}


class OtlpMetrics:
    """The receiver of OTLP/HTTP metrics. A body is refused whole only if it is malformed."""

    Config = Limits
    makes: ClassVar[Noun] = "samples"

    def __init__(self, config: Limits | None = None, *, seed: int | None = None) -> None:
        self._limits = config or Limits()
        self._seed = np.uint64(secrets.randbits(64) if seed is None else seed)
        self._inflater = Inflater(self._limits)
        self._buffer: U8 = np.empty(_KEPT_BYTES >> 2, np.uint8)
        self._columns = _Columns(_MIN_ROWS)
        self._state: I64 = np.zeros(point_kernel.N_STATE, np.int64)
        self._scratch = (self._state, np.zeros(STACK_SIZE, np.int64))

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireSamples:
        media, _ = content_type(headers)
        if media not in ("", "application/x-protobuf", "application/json"):
            raise BadInput(
                f"content-type: '{media}' is not known here; OTLP/HTTP uses "
                "application/x-protobuf or application/json",
                status=415,
            )
        raw = self._inflater.inflate(body, headers)
        if media != "application/json":
            return self._decode_protobuf(raw, ())
        check_lists(raw, (2, 4, 6, 9), self._limits)
        raw, rejects = to_protobuf(raw)
        return self._decode_protobuf(raw, rejects)

    def _decode_protobuf(self, raw: bytes, rejects: tuple[Reject, ...]) -> WireSamples:
        buffer = self._padded(raw)
        columns = self._columns
        while True:
            code = kernel.decode(
                buffer,
                len(raw),
                self._seed,
                columns.rows,
                columns.metrics,
                self._scratch,
            )
            if code == point_kernel.DONE:
                break
            if code == MALFORMED:
                raise BadInput(
                    "the body is not an ExportMetricsServiceRequest: its protobuf is malformed"
                )
            if code == UNUSUAL:
                return self._decode_slowly(raw, rejects)
            columns = self._larger(columns)
        counts: list[int] = self._state[: point_kernel.N_COUNTS].tolist()
        n_rows = counts[point_kernel.N_ROWS]
        if n_rows > self._limits.samples:
            raise self._limits.too_many_samples()
        rejects += tuple(
            Reject(reason, counts[at], _DETAILS[reason])
            for at, reason in _REASONS.items()
            if counts[at]
        )
        wire = columns.take(raw, n_rows, counts[point_kernel.N_METRICS], rejects)
        if counts[point_kernel.N_DELTA_METRICS]:
            kind = columns.rows[:n_rows, point_kernel.KIND]
            wire = replace(wire, is_delta=kind >= point_kernel.IS_DELTA)
        if counts[point_kernel.N_EXPONENTIAL] or counts[point_kernel.N_EXEMPLARS]:
            return _with_details(wire, raw, columns)
        return wire

    def _decode_slowly(self, raw: bytes, rejects: tuple[Reject, ...]) -> WireSamples:
        if len(raw) > _UNUSUAL_BYTES:
            raise TooLarge(
                f"the body is larger than {_UNUSUAL_BYTES} bytes and gives a protobuf field twice "
                "that is not repeated, or in an outdated packing; send smaller batches"
            )
        decoded = reference.otlp_metrics(raw)
        points = Points(self._limits, rejects)
        for sample in decoded.samples:
            points.add(
                sample.labels,
                kind=sample.kind,
                time_ns=sample.time_ns,
                value=sample.value,
                is_delta=sample.is_delta,
            )
        beside = aside.Found(
            n_without_buckets=decoded.rejects.pop(aside.NO_BUCKETS, 0),
            n_bad_exemplars=decoded.rejects.pop(aside.BAD_EXEMPLAR, 0),
        )
        for reason, count in decoded.rejects.items():
            points.reject(reason, _DETAILS[reason], count)
        return aside.with_labelled(
            points.take(int(self._seed)),
            beside,
            [(label_run(one.labels), one.time_ns, one.content) for one in decoded.histograms],
            [(label_run(labels), one) for labels, one in decoded.otlp_exemplars],
            int(self._seed),
        )

    def _padded(self, raw: bytes) -> U8:
        """`raw` with slack behind it, in memory that is used again."""
        size = len(raw)
        if size + READ_SLACK > len(self._buffer):
            buffer: U8 = np.empty(size + READ_SLACK, np.uint8)
            if len(buffer) <= _KEPT_BYTES:
                self._buffer = buffer
        else:
            buffer = self._buffer
        buffer[:size] = np.frombuffer(raw, np.uint8)
        buffer[size : size + READ_SLACK] = 0
        return buffer

    def _larger(self, columns: _Columns) -> _Columns:
        if columns.capacity > self._limits.samples:
            raise self._limits.too_many_samples()
        columns = _Columns(columns.capacity * 4)
        if columns.capacity <= _KEPT_ROWS:
            self._columns = columns
        return columns


def _with_details(wire: WireSamples, raw: bytes, columns: _Columns) -> WireSamples:
    """The same with native histograms and exemplars."""
    rows = columns.rows[: len(wire)]
    what = columns.metrics[rows[:, point_kernel.METRIC], kernel.METRIC_COLUMNS - 1]
    found, native = aside.of_points(raw, rows, what)
    describe = cast(_Describe, wire.describe).with_wholes(native)
    return found.joined(wire, aside.native_keys(rows, native), describe)


class _Columns:
    """Where the kernel writes; used again from body to body."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: I64 = np.empty((capacity, point_kernel.ROW_COLUMNS), np.int64)
        self.metrics: I64 = np.empty((capacity, kernel.METRIC_COLUMNS), np.int64)

    def take(
        self, raw: bytes, n_rows: int, n_metrics: int, rejects: tuple[Reject, ...]
    ) -> WireSamples:
        """The columns as the caller's own."""
        rows = self.rows[:n_rows]
        return WireSamples(
            key=rows[:, : point_kernel.KIND].copy().view(np.uint64),
            kind=rows[:, point_kernel.KIND].astype(np.uint8),  # cuts off what is above
            row=np.arange(n_rows, dtype=np.int32),
            time_ns=rows[:, point_kernel.TIME_NS].copy(),
            value=rows[:, point_kernel.VALUE_BITS].copy().view(np.float64),
            describe=_Describe(
                raw,
                rows[:, point_kernel.METRIC : point_kernel.TIME_NS].astype(np.int32),
                self.metrics[:n_metrics].copy(),
            ),
            rejects=rejects,
        )


class _Describe:
    """Makes labels of rows out of the bytes that they came from."""

    def __init__(self, raw: bytes, origin: I32, metrics: I64) -> None:
        self._raw = raw
        self._origin = origin
        self._metrics = metrics

    def with_wholes(self, counts: Sequence[int]) -> _Describe:
        """The same with rows more: the metrics themselves of which these rows are counts."""
        more = self._origin[list(counts)]
        more[:, _PART_AT:] = (point_kernel.VALUE, 0)
        return _Describe(self._raw, np.concatenate([self._origin, more]), self._metrics)

    def __call__(self, rows: I64) -> LabelBlock:
        raw = self._raw
        last = (-1, -1)
        point: Any = None
        own: dict[str, str] = {}
        runs: list[bytes] = []
        for metric, start, end, part, number in self._origin[rows].tolist():
            res, res_end, name, name_end, unit, unit_end, what = self._metrics[metric].tolist()
            # A point's rows follow one another, and its buckets may be many: read it once.
            if (metric, start) != last:
                last = (metric, start)
                point = schema.otlp()[_POINTS[what]].FromString(raw[start:end])
                attributes = naming.attribute_labels(point.attributes)
                own = naming.labels_of_resource(raw[res:res_end]) | attributes
            full_name = naming.metric_name(raw[name:name_end], raw[unit:unit_end], what)
            labels = naming.series_labels(own, full_name, part, _bound(point, part, number))
            runs.append(label_run(encoded(labels)))
        return label_block(runs)


def _bound(point: Any, part: int, number: int) -> float:
    if part == point_kernel.QUANTILE:
        return float(point.quantile_values[number].quantile)
    if part == point_kernel.BUCKET and number < len(point.explicit_bounds):
        return float(point.explicit_bounds[number])
    return math.inf
