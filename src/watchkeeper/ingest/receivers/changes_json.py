"""Changes of any kind as plain JSON: `{"changes": [{"service", "kind", "version", ...}]}`, a list,
or one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct, field

from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.changes import DEPLOYMENT, Told, gather
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, read_items
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.signal import WireRows


class _Item(Struct):
    service: str
    timestamp: Time = None
    id: str | None = None
    kind: str | None = None
    version: str | None = None
    status: str | None = None
    actor: str | None = None
    summary: str | None = None
    details: dict[str, LabelValue] = field(default_factory=dict)


_decode = msgspec.json.Decoder(_Item).decode


class ChangesJson:
    """The receiver of `POST /api/v1/changes`. A bad item costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "changes"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        items = read_items(
            body, headers, self._inflater, is_single_allowed=True, listed_under="changes"
        )
        return gather(items, _told, self._limits, now_ns=now_ns)


def _told(raw: Raw) -> Told:
    item = _decode(raw)
    return Told(
        service=item.service,
        timestamp=item.timestamp,
        id=item.id or "",
        kind=item.kind or DEPLOYMENT,
        version=item.version or "",
        status=item.status or "",
        actor=item.actor or "",
        summary=item.summary or "",
        details=item.details,
    )
