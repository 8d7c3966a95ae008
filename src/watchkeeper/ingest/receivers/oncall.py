"""Grafana OnCall's formatted webhook: one alert, or a list."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import NAME, AlertLimits, Told, alert_of
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, read_items
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows

SOURCE: Final = "oncall"


class _Item(Struct):
    alert_uid: str | None = None
    title: str | None = None
    state: str | None = None
    message: str | None = None
    link_to_upstream_details: str | None = None
    image_url: str | None = None
    labels: dict[str, LabelValue] = field(default_factory=dict)


_decode = msgspec.json.Decoder(_Item).decode


class Oncall:
    """A bad alert costs itself only. Its uid, if it has one, is what it is known by."""

    Config = AlertLimits
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: AlertLimits | None = None) -> None:
        self._limits = config or AlertLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_items(
            body, headers, self._inflater, is_single_allowed=True, listed_under="alerts"
        )
        return json_records.gather(items, partial(_alert, now_ns), self._limits)


def _alert(now_ns: int, raw: Raw) -> tuple[Alert, bool]:
    item = _decode(raw)
    if not (item.title or item.alert_uid):
        raise ValueError('the alert has neither "title" nor "alert_uid"')
    return alert_of(
        Told(
            source=SOURCE,
            labels={NAME: item.title or item.alert_uid, **item.labels},
            annotations={"message": item.message},
            links={"source": item.link_to_upstream_details or "", "image": item.image_url or ""},
            status=item.state,
            summary=item.message or item.title or "",
            key=item.alert_uid or "",
        ),
        now_ns,
    )
