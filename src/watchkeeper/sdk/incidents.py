"""What a server answers about incidents, as types, and the requests for it; as in `calls.py`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from watchkeeper.sdk.calls import Call, decoded

_INCIDENTS: Final = "/api/v1/incidents"
_JSON: Final = {"content-type": "application/json"}


class Joined(msgspec.Struct, frozen=True):
    """Why an alert is in an incident; in natural logarithms of odds."""

    because_of: str
    odds: float
    time: float
    topology: float
    text: float
    labels: float
    hops: int = 0


class IncidentAlert(msgspec.Struct, frozen=True):
    """An alert of an incident, however often it fired."""

    id: str
    rule: str
    service: str
    urgency: str
    started_at: datetime
    firings: int
    joined: Joined
    summary: str = ""
    labels: Mapping[str, str] = {}
    fired_at: datetime | None = None
    ended_at: datetime | None = None
    is_representative: bool = False
    silence: str | None = None
    source: str = ""
    links: Mapping[str, str] = {}
    anomalies: tuple[str, ...] = ()


class Incident(msgspec.Struct, frozen=True):
    """An incident. What lists say of one has no members."""

    id: str
    status: str
    urgency: str
    title: str
    started_at: datetime
    updated_at: datetime
    service: str = ""
    services: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    alerts: int = 0
    firing: int = 0
    ended_at: datetime | None = None
    resolved_at: datetime | None = None
    assignee: str = ""
    snoozed_until: datetime | None = None
    comments: int = 0
    held: bool = False
    merged_into: str | None = None
    merged_from: tuple[str, ...] = ()
    split_from: str | None = None
    version: int = 0
    position: int = 0
    tenant: str = ""
    representative: str | None = None
    members: tuple[IncidentAlert, ...] = ()


class IncidentPage(msgspec.Struct, frozen=True):
    """Some of them; `cursor` continues."""

    items: tuple[Incident, ...]
    cursor: str | None = None
    facets: Mapping[str, Mapping[str, int]] = {}


class IncidentEvent(msgspec.Struct, frozen=True):
    """Something that happened to an incident."""

    id: str
    time: datetime
    what: str
    by: str
    text: str = ""
    alert: str | None = None
    joined: Joined | None = None


class IncidentTimeline(msgspec.Struct, frozen=True):
    """Newest first; `cursor` continues."""

    items: tuple[IncidentEvent, ...]
    cursor: str | None = None


def incidents(asked: Mapping[str, Any]) -> Call[IncidentPage]:
    params = {name: _said(value) for name, value in asked.items() if value is not None}
    return Call("GET", _INCIDENTS, lambda r: decoded(r, IncidentPage), params)


def incident(identity: str) -> Call[Incident]:
    return Call("GET", _path(identity), lambda r: decoded(r, Incident))


def timeline(identity: str, limit: int, cursor: str | None) -> Call[IncidentTimeline]:
    params = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
    path = f"{_path(identity)}/timeline"
    return Call("GET", path, lambda r: decoded(r, IncidentTimeline), params)


def handle(identity: str, verb: str, said: Mapping[str, Any]) -> Call[Incident]:
    """`said` is what the API takes with the verb. Asked again, it has one effect."""
    return Call(
        "POST",
        f"{_path(identity)}/{quote(verb, safe='')}",
        lambda r: decoded(r, Incident),
        content=msgspec.json.encode(said),
        headers=_JSON | {"idempotency-key": secrets.token_hex(8)},
    )


def _path(identity: str) -> str:
    return f"{_INCIDENTS}/{quote(identity, safe='')}"


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
