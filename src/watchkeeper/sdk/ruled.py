"""What a server answers about the settings of detection, verdicts and maintenance, as types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


class SettingChange(msgspec.Struct, frozen=True):
    """A setting that is, or would be, another."""

    path: str
    before: Any = None
    after: Any = None


class DetectionSettings(msgspec.Struct, frozen=True):
    """A version of the settings of detection; 0 is what the configuration file says."""

    version: int
    source: str = ""
    since: datetime | None = None
    by: str = ""
    action: str = ""
    position: int = 0
    is_in_force: bool = False
    document: Mapping[str, Any] | None = None
    """None where versions are listed."""
    changed: tuple[SettingChange, ...] = ()
    """By the call that this answers."""
    dry_run: bool = False
    """Nothing was set: `version` is the one that stays in force."""


class VersionList(msgspec.Struct, frozen=True):
    items: tuple[DetectionSettings, ...]


class VerdictChanges(msgspec.Struct, frozen=True):
    limit_before: float
    """What the limit of the series is multiplied by without the verdict, and with it."""
    limit_after: float
    says: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What a principal says of an anomaly."""

    anomaly: str
    verdict: str
    by: str
    at: datetime
    changes: VerdictChanges
    comment: str = ""
    position: int = 0


class VerdictList(msgspec.Struct, frozen=True):
    items: tuple[Verdict, ...]


class MaintenanceWindow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A time in which nobody is woken. One of the settings has no id, and may be weekly."""

    match: Mapping[str, str]
    reason: str
    holds: bool
    id: str | None = None
    source: str = ""
    from_: str | None = None
    to: str | None = None
    weekly: str | None = None
    time_zone: str = "UTC"
    by: str = ""
    position: int = 0


class WindowList(msgspec.Struct, frozen=True):
    items: tuple[MaintenanceWindow, ...]
