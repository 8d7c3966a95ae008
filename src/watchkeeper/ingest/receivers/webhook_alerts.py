"""The alerts in a webhook's message as Alertmanager sends it, and Grafana after it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import AlertLimits, Told, alert_of
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows


class _Item(Struct, rename="camel"):
    labels: dict[str, LabelValue]
    status: str | None = None
    annotations: dict[str, LabelValue] = field(default_factory=dict)
    starts_at: Time = None
    ends_at: Time = None
    generator_url: str | None = field(default=None, name="generatorURL")
    value_string: str | None = None
    silence_url: str | None = field(default=None, name="silenceURL")
    dashboard_url: str | None = field(default=None, name="dashboardURL")
    panel_url: str | None = field(default=None, name="panelURL")
    image_url: str | None = field(default=None, name="imageURL")


_decode = msgspec.json.Decoder(_Item).decode


class WebhookAlerts:
    """Reads `{"alerts": [{"status", "labels", ...}]}`; all else in the message says it again."""

    def __init__(self, source: str, limits: AlertLimits) -> None:
        self._source = source
        self._limits = limits
        self._inflater = Inflater(limits)

    def read(self, body: bytes, headers: Mapping[str, str], now_ns: int) -> WireRows:
        items = read_items(
            body, headers, self._inflater, is_single_allowed=False, listed_under="alerts"
        )
        return self.of(items, now_ns)

    def of(self, items: list[Raw], now_ns: int) -> WireRows:
        return json_records.gather(items, partial(self._alert, now_ns), self._limits)

    def _alert(self, now_ns: int, raw: Raw) -> tuple[Alert, bool]:
        item = _decode(raw)
        links = {
            "rule": item.generator_url,
            "silence": item.silence_url,
            "dashboard": item.dashboard_url,
            "panel": item.panel_url,
            "image": item.image_url,
        }
        return alert_of(
            Told(
                source=self._source,
                labels=item.labels,
                annotations={"value_string": item.value_string, **item.annotations},
                links={name: address for name, address in links.items() if address},
                starts=item.starts_at,
                ends=item.ends_at,
                status=item.status,
            ),
            now_ns,
        )
