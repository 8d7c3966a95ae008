"""Metrics as plain JSON: `{"metrics": [{"name": ..., "value": ...}, ...]}`, or the bare list."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

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

_KINDS: Final = {"gauge": Kind.GAUGE, "counter": Kind.COUNTER, None: Kind.BY_NAME}


class _Metric(Struct):
    """One sample. What has no timestamp is of now."""

    name: str
    value: Value
    labels: dict[str, LabelValue] = field(default_factory=dict)
    timestamp: Time = None
    type: Literal["gauge", "counter"] | None = None
    service: str | None = None
    environment: str | None = None


_decode = msgspec.json.Decoder(_Metric).decode


class MetricsJson:
    """The receiver of `POST /api/v1/metrics/write`. A bad item costs itself only."""

    Config = Limits
    makes: ClassVar[Noun] = "samples"

    def __init__(self, config: Limits | None = None, *, seed: int | None = None) -> None:
        self._limits = config or Limits()
        self._inflater = Inflater(self._limits)
        self._seed = secrets.randbits(64) if seed is None else seed

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireSamples:
        items = read_items(body, headers, self._inflater, is_single_allowed=False)
        points = Points(self._limits)
        add_items(items, _to_item, points, now_ns=now_ns)
        return points.take(self._seed)


def _to_item(raw: Raw) -> Item:
    metric = _decode(raw)
    # What stands among the labels was put there on purpose, and wins.
    labels = {"service": metric.service, "environment": metric.environment} | metric.labels
    return Item(metric.name, labels, metric.value, metric.timestamp, _KINDS[metric.type])
