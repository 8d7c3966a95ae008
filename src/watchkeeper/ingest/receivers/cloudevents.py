"""Changes as CloudEvents: what a pipeline says that it did."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Final

import msgspec
import xxhash
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.changes import DEPLOYMENT, Told, gather
from watchkeeper.ingest.receivers.cloud_event import Event, event_of, read_events
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.signal import WireRows

_DEPLOYED: Final = ("deploy", "upgraded", "rolledback", "rollback", "released")


class _Data(Struct):
    service: str | None = None
    kind: str | None = None
    version: str | None = None
    status: str | None = None
    actor: str | None = None
    summary: str | None = None
    details: dict[str, LabelValue] = field(default_factory=dict)
    metadata: dict[str, LabelValue] = field(default_factory=dict)


_decode = msgspec.json.Decoder(_Data).decode


class Cloudevents:
    """The receiver of `POST /events`. An event that comes again is the same change."""

    Config = RowLimits
    makes: ClassVar[Noun] = "changes"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_events(body, headers, self._inflater)
        return gather(items, partial(_told), self._limits, now_ns=now_ns)


def _told(raw: Raw) -> Told:
    event = event_of(raw)
    data = _decode(event.content())
    details = {**data.details, **data.metadata}
    actor = details.pop("deployed_by", None)
    return Told(
        id=xxhash.xxh3_128(msgspec.json.encode([event.source, event.id])).hexdigest(),
        service=data.service or event.subject or event.source.rpartition("/")[2],
        timestamp=event.time,
        kind=data.kind or _kind(event),
        version=data.version or "",
        status=data.status or event.type.rpartition(".")[2],
        actor=data.actor or ("" if actor is None else str(actor)),
        summary=data.summary or "",
        details={**details, "event_type": event.type},
    )


def _kind(event: Event) -> str:
    kind = event.type.lower()
    return DEPLOYMENT if any(word in kind for word in _DEPLOYED) else event.type
