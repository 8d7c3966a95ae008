"""Metric points, one or a list: `{"timestamp", "metric_name", "value", "labels"}`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import (
    Item,
    LabelValue,
    Time,
    Value,
    add_items,
    read_items,
)
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.points import Points
from watchkeeper.model.series import Kind
from watchkeeper.model.signal import WireSamples


class _MetricPoint(Struct):
    """One sample. What has no timestamp is of now."""

    metric_name: str
    value: Value
    timestamp: Time = None
    labels: dict[str, LabelValue] = field(default_factory=dict)


_decode = msgspec.json.Decoder(_MetricPoint).decode


class MetricPoints:
    """The receiver of `POST /ingest/metrics`. A bad item costs itself only."""

    Config = Limits
    makes: ClassVar[Noun] = "samples"

    def __init__(self, config: Limits | None = None, *, seed: int | None = None) -> None:
        self._limits = config or Limits()
        self._inflater = Inflater(self._limits)
        self._seed = secrets.randbits(64) if seed is None else seed

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireSamples:
        items = read_items(body, headers, self._inflater, is_single_allowed=True)
        points = Points(self._limits)
        add_items(items, _to_item, points, now_ns=now_ns)
        return points.take(self._seed)


def _to_item(raw: Raw) -> Item:
    point = _decode(raw)
    return Item(point.metric_name, point.labels, point.value, point.timestamp, Kind.BY_NAME)
