"""Samples and other items in plain JSON, one object each: what their receivers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Raw

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.bounds import check_item, check_lists
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.points import Points, encoded
from watchkeeper.model.series import METRIC_NAME, Kind

LabelValue = str | bool | int | float | None
"""A scalar becomes the text that JSON has for it; null is no label."""
Value = float | str
"""A number, or what JSON has no number for: "NaN", "+Inf", "-Inf"."""
Time = int | float | str | None
"""ISO 8601 (UTC unless it says otherwise), or seconds, milli-, micro- or nanoseconds since 1970."""

LINE_TYPES: Final = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
JSON_TYPES: Final = ("", "application/json", "text/json")
_LINE: Final = re.compile(rb"[^\r\n]+")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Which unit a number is in, by its size: each spans the years 1973 to 5138 and no two overlap.
_NS_BY_UNIT: Final = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000))
_decode_body = msgspec.json.Decoder(list[Raw] | dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode


@dataclass(frozen=True, slots=True)
class Item:
    """One sample as the body has it."""

    name: str
    labels: Mapping[str, LabelValue]
    value: Value
    timestamp: Time
    kind: Kind


def read_items(
    body: bytes,
    headers: Mapping[str, str],
    inflater: Inflater,
    *,
    is_single_allowed: bool,
    listed_under: str = "metrics",
    media_types: Collection[str] = JSON_TYPES,
) -> list[Raw]:
    """The items of a body: a list, a list under a name, or where allowed one alone."""
    media, _ = content_type(headers)
    if media not in media_types:
        known = ", ".join(filter(None, media_types))
        raise BadInput(f"content-type: '{media}' is not known here; use {known}", status=415)
    plain = inflater.inflate(body, headers)
    check_lists(plain, (1, 2), inflater.limits)
    try:
        found = _decode_body(plain)
        if isinstance(found, list):
            return found
        if listed_under in found:
            return _decode_list(found[listed_under])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the body is not what is expected here: {error}") from error
    if is_single_allowed:
        return [Raw(plain)]
    raise BadInput(f'the body is neither a list nor an object with the list "{listed_under}"')


def read_lines(body: bytes, headers: Mapping[str, str], inflater: Inflater) -> Iterator[Raw]:
    """The items of a body that has one in each line; whether they are sound is not looked at."""
    for line in _LINE.finditer(inflater.inflate(body, headers)):
        if line[0].strip():
            yield Raw(line[0])


def add_items(
    items: list[Raw], to_item: Callable[[Raw], Item], points: Points, *, now_ns: int
) -> None:
    """Add each item that is sound; count the others."""
    for number, raw in enumerate(items):
        try:
            check_item(raw)
            item = to_item(raw)
            labels = list(encoded(_labels(item)))
            time_ns = time_ns_of(item.timestamp, now_ns)
            value = float(item.value)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            points.reject("bad_item", f"item {number}: {error}")
        else:
            points.add(labels, kind=item.kind, time_ns=time_ns, value=value)
            points.is_of_now |= item.timestamp is None


def _labels(item: Item) -> dict[str, str]:
    if not item.name:
        raise ValueError("the metric has no name")
    return {**as_texts(item.labels), METRIC_NAME: item.name}


def as_texts(labels: Mapping[str, LabelValue]) -> dict[str, str]:
    """Labels as they are kept."""
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in labels.items()
        if value is not None
    }


def time_ns_of(time: Time, now_ns: int) -> int:
    """Nanoseconds since 1970; no time is now. Raises ValueError for what is none."""
    if time is None:
        return now_ns
    if isinstance(time, str):
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
    unit_ns = next((ns for below, ns in _NS_BY_UNIT if abs(time) < below), 1)
    if isinstance(time, int):
        return time * unit_ns
    # A double has no nanoseconds to give for today's dates; what it would invent is cut off.
    return round(time * unit_ns / 1_000) * 1_000
