"""What Alertmanager's webhook receiver is sent: version 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from watchkeeper.ingest.receivers.alerts import AlertLimits
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.webhook_alerts import WebhookAlerts
from watchkeeper.model.signal import WireRows

SOURCE: Final = "alertmanager"


class AlertmanagerWebhook:
    """A bad alert in a message costs itself only."""

    Config = AlertLimits
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: AlertLimits | None = None) -> None:
        self._alerts = WebhookAlerts(SOURCE, config or AlertLimits())

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        return self._alerts.read(body, headers, now_ns)
