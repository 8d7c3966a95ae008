"""PagerDuty Events v2: one event, which triggers, acknowledges or resolves by its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
import xxhash
from msgspec import Meta, Raw, Struct, field

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import NAME, SERVICE, AlertLimits, Told, alert_of
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows

SOURCE: Final = "pagerduty"
_KEY: Final = "dedup_key"


class PagerdutyConfig(AlertLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on an event."""

    decompressed_bytes: Annotated[
        int, Meta(ge=1, description="A body larger than this, once decompressed, is refused.")
    ] = 512 << 10


class _Payload(Struct):
    summary: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    severity: Literal["critical", "error", "warning", "info"]
    timestamp: Time = None
    component: LabelValue = None
    group: LabelValue = None
    klass: LabelValue = field(default=None, name="class")
    custom_details: Any = None


class _Link(Struct):
    href: str = ""
    text: str | None = None


class _Event(Struct):
    routing_key: Annotated[str, Meta(min_length=1)]
    event_action: Literal["trigger", "acknowledge", "resolve"]
    dedup_key: Annotated[str, Meta(max_length=255)] | None = None
    payload: _Payload | None = None
    client: str | None = None
    client_url: str | None = None
    links: list[_Link] = field(default_factory=list)


_decode = msgspec.json.Decoder(_Event).decode


class Pagerduty:
    """The receiver of `POST /v2/enqueue`. An acknowledgement is taken, and changes nothing here:
    who looks at what is said of incidents, not of alerts."""

    Config = PagerdutyConfig
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: PagerdutyConfig | None = None) -> None:
        self._limits = config or PagerdutyConfig()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        found = read_items(body, headers, self._inflater, is_single_allowed=True, listed_under="")
        if len(found) != 1:
            raise BadInput(f"Event object is invalid: {len(found)} events in one body; send one")
        raw = found[0]
        try:
            event = _decode(raw)
        except json_records.BAD as error:
            raise BadInput(f"Event object is invalid: {error}") from error
        key = event.dedup_key or _made_key(event)
        if event.event_action == "acknowledge":
            return WireRows((), told=key)
        rows = json_records.gather([raw], partial(_alert, event, key, now_ns), self._limits)
        if rows.rejects:
            raise BadInput(f"Event object is invalid: {rows.rejects[0].detail}")
        return replace(rows, told=key)


def _alert(event: _Event, key: str, now_ns: int, _raw: Raw) -> tuple[Alert, bool]:
    if event.event_action == "resolve":
        told = Told(source=SOURCE, labels={_KEY: key}, status="resolve", key=key)
        return alert_of(told, now_ns)
    payload = event.payload
    if payload is None:
        raise ValueError("a trigger has a payload")
    links = {link.text or "link": link.href for link in event.links}
    return alert_of(
        Told(
            source=SOURCE,
            labels={
                NAME: payload.klass or payload.summary,
                SERVICE: payload.component,
                "group": payload.group,
                "source": payload.source,
                _KEY: key,
            },
            annotations=_annotations(payload.custom_details),
            links={"client": event.client_url or "", **links},
            starts=payload.timestamp,
            status="trigger",
            urgency=payload.severity,
            summary=payload.summary,
            key=key,
        ),
        now_ns,
    )


def _annotations(details: Any) -> dict[str, LabelValue]:
    if details is None:
        return {}
    if not isinstance(details, dict):
        details = {"custom_details": details}
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in details.items()
    }


def _made_key(event: _Event) -> str:
    """The same for what speaks of the same thing. Raises BadInput where nothing names it."""
    if event.payload is None or event.event_action != "trigger":
        raise BadInput("Event object is invalid: 'dedup_key' is missing")
    payload = event.payload
    named = [event.routing_key, payload.summary, payload.source]
    named += [str(payload.component), str(payload.group), str(payload.klass)]
    return xxhash.xxh3_128(msgspec.json.encode(named)).hexdigest()
