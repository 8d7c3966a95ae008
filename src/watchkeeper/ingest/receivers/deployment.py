"""Deployments, one or a list: `{"timestamp", "service", "version", "status", "metadata"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.changes import Told, gather
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.signal import WireRows


class _Event(Struct):
    service: str
    timestamp: Time = None
    version: str | None = None
    status: str | None = None
    metadata: dict[str, LabelValue] = field(default_factory=dict)
    """`deployed_by` is who did it; `commit` and all else are details."""


_decode = msgspec.json.Decoder(_Event).decode


class Deployment:
    """The receiver of `POST /ingest/deployment`. A bad event costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "changes"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_items(
            body, headers, self._inflater, is_single_allowed=True, listed_under="deployments"
        )
        return gather(items, _told, self._limits, now_ns=now_ns)


def _told(raw: Raw) -> Told:
    event = _decode(raw)
    actor = event.metadata.pop("deployed_by", None)
    return Told(
        service=event.service,
        timestamp=event.timestamp,
        version=event.version or "",
        status=event.status or "",
        actor="" if actor is None else str(actor),
        details=event.metadata,
    )
