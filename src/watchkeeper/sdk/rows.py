"""What is written besides samples: log lines, and what somebody changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

Label = str | bool | int | float


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line of a log."""

    message: str
    timestamp: datetime | float | str
    """Seconds since the epoch, or a time; without a zone it is UTC."""
    level: str = ""
    """`info`, `error`, or any other word that is used for it."""
    service: str = ""
    environment: str = ""
    labels: Mapping[str, Label] = {}
    """Where it comes from, besides."""
    attributes: Mapping[str, Label] = {}
    """What this line alone says."""
    trace_id: str = ""
    span_id: str = ""


class ChangeNote(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that was changed on purpose. Told again, it may have another status."""

    service: str
    timestamp: datetime | float | str
    """When it began: one of another time is another change, unless it has an `id`."""
    kind: str = "deployment"
    version: str = ""
    status: str = ""
    actor: str = ""
    summary: str = ""
    details: Mapping[str, Label] = {}
    id: str = ""
