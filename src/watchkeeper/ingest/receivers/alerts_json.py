"""Alerts in the unified form: `{"alerts": [{"name", "status", ...}]}`, a list, or one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import NAME, SERVICE, AlertLimits, Told, alert_of
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows

_SOURCE: Final = "api"
_ENVIRONMENT: Final = "environment"


class _Item(Struct):
    name: str | None = None
    """The label `alertname`, which may say it instead."""
    status: str | None = None
    severity: str | None = None
    service: str | None = None
    environment: str | None = None
    summary: str | None = None
    source: str | None = None
    started_at: Time = None
    ended_at: Time = None
    labels: dict[str, LabelValue] = field(default_factory=dict)
    annotations: dict[str, LabelValue] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


_decode = msgspec.json.Decoder(_Item).decode


class AlertsJson:
    """The receiver of `POST /api/v1/alerts/ingest`. A bad item costs itself only."""

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
    return alert_of(told_by(raw), now_ns)


def told_by(
    raw: Raw | bytes,
    *,
    name: str = "",
    source: str = _SOURCE,
    service: str = "",
    started: Time = None,
) -> Told:
    """An item of the unified form; what it leaves out is as the caller says."""
    item = _decode(raw)
    named = {
        NAME: item.name or (None if item.labels.get(NAME) else name),
        SERVICE: item.service or (None if item.labels.get(SERVICE) else service),
        _ENVIRONMENT: item.environment,
    }
    labels = {**item.labels, **{label: text for label, text in named.items() if text}}
    if not labels.get(NAME):
        raise ValueError('the alert has no "name"')
    return Told(
        source=item.source or source,
        labels=labels,
        annotations=item.annotations,
        links=item.links,
        starts=started if item.started_at is None else item.started_at,
        ends=item.ended_at,
        status=item.status,
        urgency=item.severity or "",
        summary=item.summary or "",
    )
