"""Alerts as CloudEvents: the data of each is an alert in the unified form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from msgspec import Raw

from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import AlertLimits, alert_of
from watchkeeper.ingest.receivers.alerts_json import told_by
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.cloud_event import event_of, read_events
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows


class CloudeventsAlerts:
    """The receiver of `POST /webhooks/cloudevents`. What the data leave out the event says: its
    type is the name, its source the source, its subject the service, its time the start."""

    Config = AlertLimits
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: AlertLimits | None = None) -> None:
        self._limits = config or AlertLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_events(body, headers, self._inflater)
        return json_records.gather(items, partial(_alert, now_ns), self._limits)


def _alert(now_ns: int, raw: Raw) -> tuple[Alert, bool]:
    event = event_of(raw)
    told = told_by(
        event.content(),
        name=event.type,
        source=event.source,
        service=event.subject or "",
        started=event.time,
    )
    return alert_of(told, now_ns)
