"""Alerts in any JSON, read as a mapping of the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Raw

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.alerts import NAME, SERVICE, AlertLimits, Told, alert_of
from watchkeeper.ingest.receivers.base import PATH_NAME, Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import read_items
from watchkeeper.ingest.receivers.json_places import Place, text_at, time_at, value_at
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows


class AlertMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a sender's JSON is what. What is not there is left out."""

    items: Annotated[Place, Meta(description="Where the list is; empty: the body itself.")] = ""
    name: Annotated[Place, Meta(description="Whose condition holds.")] = "name"
    key: Annotated[Place, Meta(description="By which the sender knows it again.")] = ""
    status: Annotated[Place, Meta(description="A word that says whether it fires.")] = "status"
    resolved: Annotated[
        tuple[str, ...], Meta(description="Words that say that it is over, besides the usual.")
    ] = ()
    severity: Annotated[Place, Meta(description="How grave it is.")] = "severity"
    service: Annotated[Place, Meta(description="Whom it is about.")] = "service"
    summary: Annotated[Place, Meta(description="What it says.")] = "summary"
    started: Annotated[Place, Meta(description="When it began.")] = ""
    ended: Annotated[Place, Meta(description="When it ended.")] = ""
    link: Annotated[Place, Meta(description="An address for people.")] = ""
    labels: Annotated[
        dict[str, Place], Meta(description="Further labels, each with its place.")
    ] = msgspec.field(default_factory=dict)
    annotations: Annotated[
        dict[str, Place], Meta(description="What is told beside, each with its place.")
    ] = msgspec.field(default_factory=dict)


class MappedConfig(AlertLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits, and the mappings by the name that is in their path."""

    mappings: Annotated[
        dict[str, AlertMapping],
        Meta(description="By name: /webhooks/json/{name} reads bodies so, others as by default."),
    ] = msgspec.field(default_factory=dict)


_USUAL: Final = AlertMapping()
"""Of a name that no mapping has."""
_decode: Final = msgspec.json.Decoder().decode


class MappedAlerts:
    """The receiver of `POST /webhooks/json/{name}`. A bad item costs itself only."""

    Config = MappedConfig
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: MappedConfig | None = None) -> None:
        self._limits = config or MappedConfig()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        name = headers.get(PATH_NAME, "")
        mapping = self._limits.mappings.get(name, _USUAL)
        found = read_items(body, headers, self._inflater, is_single_allowed=True, listed_under="")
        items = [one for raw in found for one in _listed(raw, mapping.items)]
        to_alert = partial(_alert, mapping, name, now_ns)
        return json_records.gather(items, to_alert, self._limits)


def _listed(raw: Raw, place: str) -> list[Raw]:
    """The items in a body, which may be one itself."""
    if not place:
        return [raw]
    try:
        there = value_at(_decode(raw), place)
    except json_records.BAD as error:
        raise BadInput(f"the body is not what is expected here: {error}") from error
    if not isinstance(there, list):
        raise BadInput(f"the body has no list at '{place}' (items of the mapping)")
    return [Raw(msgspec.json.encode(one)) for one in there]


def _alert(mapping: AlertMapping, source: str, now_ns: int, raw: Raw) -> tuple[Alert, bool]:
    item = _decode(raw)
    if not isinstance(item, dict):
        raise ValueError("the item is no object")  # noqa: TRY004  # a bad item, as others
    name = text_at(item, mapping.name)
    if not name:
        raise ValueError(f"the alert has no name at '{mapping.name}'")
    status = text_at(item, mapping.status)
    if status.lower() in (word.lower() for word in mapping.resolved):
        status = "resolved"
    more = {label: text_at(item, place) for label, place in mapping.labels.items()}
    return alert_of(
        Told(
            source=source,
            labels={NAME: name, SERVICE: text_at(item, mapping.service), **more},
            annotations={told: text_at(item, place) for told, place in mapping.annotations.items()},
            links={"source": text_at(item, mapping.link)},
            starts=time_at(item, mapping.started),
            ends=time_at(item, mapping.ended),
            status=status,
            urgency=text_at(item, mapping.severity),
            summary=text_at(item, mapping.summary),
            key=text_at(item, mapping.key),
        ),
        now_ns,
    )
