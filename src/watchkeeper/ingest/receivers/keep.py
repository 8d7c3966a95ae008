"""Keep's alerts: its own form, one or a list; or what a provider's webhook sends."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import NAME, SERVICE, AlertLimits, Told, alert_of, is_over
from watchkeeper.ingest.receivers.base import PATH_NAME, Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.ingest.receivers.webhook_alerts import WebhookAlerts
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows

SOURCE: Final = "keep"
_SOURCES: Final[Mapping[str, str]] = {"prometheus": "alertmanager", "grafana": "grafana"}
"""Of providers whose webhooks have a form of their own: what they are called here."""


class _Item(Struct, rename="camel"):
    name: str | None = None
    id: LabelValue = None
    fingerprint: str | None = None
    status: str | None = None
    severity: str | None = None
    environment: str | None = None
    service: str | None = None
    message: str | None = None
    description: str | None = None
    url: str | None = None
    started_at: Time = None
    last_received: Time = None
    """When it was said: its end, if it is over."""
    labels: dict[str, LabelValue] = field(default_factory=dict)


_decode = msgspec.json.Decoder(_Item).decode


class Keep:
    """The receiver of `POST /alerts/event` and of what is below. A bad alert costs itself only."""

    Config = AlertLimits
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: AlertLimits | None = None) -> None:
        self._limits = config or AlertLimits()
        self._inflater = Inflater(self._limits)
        self._webhooks = {
            provider: WebhookAlerts(source, self._limits) for provider, source in _SOURCES.items()
        }

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        provider = headers.get(PATH_NAME, "")
        webhook = self._webhooks.get(provider)
        if webhook is not None:
            return webhook.read(body, headers, now_ns)
        items = read_items(
            body, headers, self._inflater, is_single_allowed=True, listed_under="alerts"
        )
        return json_records.gather(items, partial(_alert, provider, now_ns), self._limits)


def _alert(provider: str, now_ns: int, raw: Raw) -> tuple[Alert, bool]:
    item = _decode(raw)
    if not item.name:
        raise ValueError('the alert has no "name"')
    named = {NAME: item.name, SERVICE: item.service, "environment": item.environment}
    return alert_of(
        Told(
            source=provider or SOURCE,
            labels={**item.labels, **{name: text for name, text in named.items() if text}},
            annotations={"description": item.description, "message": item.message},
            links={"source": item.url or ""},
            starts=item.started_at,
            ends=item.last_received if is_over(item.status or "") else None,
            status=item.status,
            urgency=item.severity or "",
            summary=item.message or item.description or item.name,
            key=item.fingerprint or "",
        ),
        now_ns,
    )
