"""What OTLP's data points have besides samples: exponential buckets and exemplars.

Exponential histograms become Prometheus' native ones: OTLP's bucket i goes up to the base to the
power of i + 1, Prometheus' to that of i; finer than scale 8 is made coarser. A point's exemplars
belong to its own series, those of a histogram to the bucket that they fall into.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from watchkeeper.ingest.receivers import otlp_point_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.otlp_naming import attribute_labels

_MAX_SCHEMA: Final = 8
_MIN_SCHEMA: Final = -4
_MAX_BUCKETS: Final = 4096
_MAX_EXEMPLAR_BYTES: Final = 4096
_MAX_NS: Final = 2**63 - 1
_STALE_SUM: Final = struct.unpack("<d", 0x7FF0000000000002.to_bytes(8, "little"))[0]
_NS_PER_MS: Final = 1_000_000
_POINTS: Final[Mapping[int, str]] = {
    kernel.GAUGE: "Number",
    kernel.COUNTER: "Number",
    kernel.UP_DOWN: "Number",
    kernel.HISTOGRAM: "Histogram",
    kernel.EXPONENTIAL: "Exponential",
}


@dataclass(frozen=True, slots=True)
class OtlpExemplar:
    """An exemplar as it is kept."""

    time_ns: int
    value: float
    labels: bytes
    """A JSON object of texts, the trace's id among them."""


def native(raw: bytes) -> bytes | None:
    """An exponential data point as a native histogram; None where it cannot be told as one."""
    try:
        point = schema.otlp_details()["Exponential"].FromString(raw)
        sides = [
            (sign, schema.otlp_details()["Buckets"].FromString(getattr(point, sign)))
            for sign in ("positive", "negative")
        ]
    except DecodeError:
        return None
    if point.scale < _MIN_SCHEMA:
        return None
    one = schema.histogram()(
        count_int=point.count,
        sum=_STALE_SUM if point.flags & 1 else point.sum,
        schema=min(point.scale, _MAX_SCHEMA),
        zero_threshold=point.zero_threshold,
        zero_count_int=point.zero_count,
        timestamp=point.time_unix_nano // _NS_PER_MS,
    )
    coarser = max(0, point.scale - _MAX_SCHEMA)
    for sign, buckets in sides:
        if not _add_side(one, sign, buckets, coarser):
            return None
    payload: bytes = one.SerializeToString()
    return payload


def _add_side(one: Any, sign: str, buckets: Any, coarser: int) -> bool:
    if len(buckets.bucket_counts) > _MAX_BUCKETS:
        return False
    counts: dict[int, int] = {}
    for number, count in enumerate(buckets.bucket_counts):
        if count:
            index = (buckets.offset + number >> coarser) + 1
            counts[index] = counts.get(index, 0) + count
    spans, deltas = getattr(one, f"{sign}_spans"), getattr(one, f"{sign}_deltas")
    end, level = 0, 0
    for index, count in counts.items():
        if spans and index == end:
            spans[-1].length += 1
        else:
            if abs(index - end) >= 2**31:
                return False
            spans.add(offset=index - end, length=1)
        if abs(count - level) >= 2**63:
            return False
        deltas.append(count - level)
        end, level = index + 1, count
    return True


def exemplars(raw: bytes, what: int) -> tuple[list[OtlpExemplar], int]:
    """The exemplars of a data point, and how many more it has that cannot be kept."""
    name = _POINTS.get(what)
    if name is None:
        return [], 0
    try:
        given: Sequence[bytes] = schema.otlp_details()[name].FromString(raw).exemplars
    except DecodeError:
        return [], 0
    found = [one for one in map(_exemplar, given) if one is not None]
    return found, len(given) - len(found)


def _exemplar(raw: bytes) -> OtlpExemplar | None:
    try:
        one = schema.otlp_details()["Exemplar"].FromString(raw)
        labels = attribute_labels(one.filtered_attributes)
    except (DecodeError, UnicodeDecodeError):
        return None
    if one.trace_id:
        labels["trace_id"] = one.trace_id.hex()
    if one.span_id:
        labels["span_id"] = one.span_id.hex()
    given = one.WhichOneof("value")
    text = json.dumps(labels, separators=(",", ":"), ensure_ascii=False).encode()
    if given is None or not 0 < one.time_unix_nano <= _MAX_NS or len(text) > _MAX_EXEMPLAR_BYTES:
        return None
    return OtlpExemplar(one.time_unix_nano, float(getattr(one, given)), text)


def bucket_of(value: float, bounds: Sequence[float]) -> int:
    """Which of a histogram's buckets an exemplar's value falls into: the first whose bound it is
    not above; for a NaN the last."""
    return next((n for n, bound in enumerate(bounds) if value <= bound), len(bounds))
