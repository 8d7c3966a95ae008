"""Changes that were read one by one: what the receivers of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import xxhash
from msgspec import Raw

from watchkeeper.ingest.receivers import json_records
from watchkeeper.ingest.receivers.json_items import LabelValue, Time, as_texts, time_ns_of
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.change import Change
from watchkeeper.model.signal import WireRows

DEPLOYMENT: Final = "deployment"
_MAX_ID_BYTES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A change as its sender told it."""

    service: str
    timestamp: Time
    id: str = ""
    kind: str = DEPLOYMENT
    version: str = ""
    status: str = ""
    actor: str = ""
    summary: str = ""
    details: Mapping[str, LabelValue]


def gather(
    items: list[Raw], told_by: Callable[[Raw], Told], limits: RowLimits, *, now_ns: int
) -> WireRows:
    """Every item that is sound, and how many are not."""

    def to_change(raw: Raw) -> tuple[Change, bool]:
        told = told_by(raw)
        return _change(told, time_ns_of(told.timestamp, now_ns)), told.timestamp is None

    return json_records.gather(items, to_change, limits)


def _change(told: Told, time_ns: int) -> Change:
    if not told.service:
        raise ValueError("the change has no service")
    if not -(2**63) <= time_ns < 2**63:
        raise ValueError("its time is outside the years 1678 to 2262")
    if len(told.id.encode()) > _MAX_ID_BYTES:
        raise ValueError(f"its id has more than {_MAX_ID_BYTES} bytes")
    return Change(
        id=told.id or _id(told, time_ns),
        kind=told.kind,
        time_ns=time_ns,
        service=told.service,
        version=told.version,
        status=told.status,
        actor=told.actor,
        summary=told.summary,
        details=as_texts(told.details),
    )


def _id(told: Told, time_ns: int) -> str:
    """The same for the same change, whatever its status has become."""
    named = msgspec.json.encode([told.kind, told.service, told.version, time_ns])
    return xxhash.xxh3_128(named).hexdigest()
