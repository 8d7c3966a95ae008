"""Requests about the settings of detection, pages, verdicts and maintenance; as in `calls.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from watchkeeper.sdk.calls import Call, decoded
from watchkeeper.sdk.paged import Noisy, Objectives
from watchkeeper.sdk.ruled import (
    DetectionSettings,
    MaintenanceWindow,
    Verdict,
    VerdictList,
    VersionList,
    WindowList,
)

_SETTINGS: Final = "/api/v1/config/detection"
_WINDOWS: Final = "/api/v1/maintenance"
_JSON: Final = {"content-type": "application/json"}
_YAML: Final = {"content-type": "application/yaml"}


def noisy(at_least: int, limit: int) -> Call[Noisy]:
    params = {"at_least": str(at_least), "limit": str(limit)}
    return Call("GET", "/api/v1/detection/noisy", lambda r: decoded(r, Noisy), params)


def slos() -> Call[Objectives]:
    return Call("GET", "/api/v1/slos", lambda r: decoded(r, Objectives))


def detection(version: int | None = None) -> Call[DetectionSettings]:
    path = _SETTINGS if version is None else f"{_SETTINGS}/versions/{version}"
    return Call("GET", path, lambda r: decoded(r, DetectionSettings))


def detection_versions() -> Call[tuple[DetectionSettings, ...]]:
    return Call("GET", f"{_SETTINGS}/versions", lambda r: decoded(r, VersionList).items)


def set_detection(
    document: Mapping[str, Any] | str, *, expected: int | None, dry_run: bool
) -> Call[DetectionSettings]:
    """A text is YAML, of which JSON is a part."""
    is_text = isinstance(document, str)
    params = {} if expected is None else {"expected": str(expected)}
    return Call(
        "PUT",
        _SETTINGS,
        lambda r: decoded(r, DetectionSettings),
        params | ({"dry_run": "true"} if dry_run else {}),
        content=document.encode() if isinstance(document, str) else msgspec.json.encode(document),
        headers=_YAML if is_text else _JSON,
    )


def restore_detection(version: int, *, expected: int | None) -> Call[DetectionSettings]:
    params = {} if expected is None else {"expected": str(expected)}
    path = f"{_SETTINGS}/versions/{version}/restore"
    return Call("POST", path, lambda r: decoded(r, DetectionSettings), params)


def verdicts(identity: str) -> Call[tuple[Verdict, ...]]:
    return Call("GET", _verdict(identity), lambda r: decoded(r, VerdictList).items)


def give_verdict(identity: str, verdict: str, comment: str) -> Call[Verdict]:
    content = msgspec.json.encode({"verdict": verdict, "comment": comment})
    return Call(
        "POST",
        _verdict(identity),
        lambda r: decoded(r, Verdict),
        content=content,
        headers=_JSON,
    )


def withdraw_verdict(identity: str) -> Call[Verdict]:
    return Call("DELETE", _verdict(identity), lambda r: decoded(r, Verdict))


def maintenance(*, over: bool) -> Call[tuple[MaintenanceWindow, ...]]:
    params = {"over": "true"} if over else {}
    return Call("GET", _WINDOWS, lambda r: decoded(r, WindowList).items, params)


def add_maintenance(
    match: Mapping[str, str], duration: str, reason: str, start: str | None
) -> Call[MaintenanceWindow]:
    wanted = {"match": match, "duration": duration, "reason": reason, "start": start}
    return Call(
        "POST",
        _WINDOWS,
        lambda r: decoded(r, MaintenanceWindow),
        content=msgspec.json.encode(wanted),
        headers=_JSON,
    )


def end_maintenance(identity: str) -> Call[MaintenanceWindow]:
    path = f"{_WINDOWS}/{quote(identity, safe='')}"
    return Call("DELETE", path, lambda r: decoded(r, MaintenanceWindow))


def _verdict(identity: str) -> str:
    return f"/api/v1/anomalies/{quote(identity, safe='')}/verdict"
