"""What the kernels of remote write must say; see `reference.py`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from typing import Any, Final

from google.protobuf.message import DecodeError

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.reference import MAX_NS, NS_PER_MS, Decoded, Detail, Sample
from watchkeeper.ingest.receivers.remote_write_aside import json_labels
from watchkeeper.model.family import KINDS
from watchkeeper.model.series import Kind

_MAX_MS: Final = MAX_NS // NS_PER_MS
_CUSTOM: Final = -53


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
