"""Alerts as Prometheus posts them to Alertmanager's API v2: a list."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct, field

from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import AlertLimits, Told, alert_of
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows

SOURCE: Final = "alertmanager"


class AlertmanagerConfig(AlertLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits, and how long an alert holds."""

    resolve_timeout_s: Annotated[
        float,
        Meta(gt=0, description="An alert that comes without an end has ended after this."),
    ] = 300.0


class _Item(Struct, rename="camel"):
    labels: dict[str, LabelValue]
    annotations: dict[str, LabelValue] = field(default_factory=dict)
    starts_at: Time = None
    ends_at: Time = None
    generator_url: str | None = field(default=None, name="generatorURL")


_decode = msgspec.json.Decoder(_Item).decode


class Alertmanager:
    """The receiver of `POST /api/v2/alerts`. What has an end behind now has ended."""

    Config = AlertmanagerConfig
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: AlertmanagerConfig | None = None) -> None:
        self._limits = config or AlertmanagerConfig()
        self._lasts_ns = round(self._limits.resolve_timeout_s * NS_PER_S)
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_items(
            body, headers, self._inflater, is_single_allowed=False, listed_under="alerts"
        )
        return json_records.gather(items, partial(self._alert, now_ns), self._limits)

    def _alert(self, now_ns: int, raw: Raw) -> tuple[Alert, bool]:
        item = _decode(raw)
        return alert_of(
            Told(
                source=SOURCE,
                labels=item.labels,
                annotations=item.annotations,
                links={"rule": item.generator_url or ""},
                starts=item.starts_at,
                ends=item.ends_at,
                lasts_ns=self._lasts_ns,
            ),
            now_ns,
        )
