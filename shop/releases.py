"""Versions of services: what each of them does otherwise, and which one runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

FOLDER = "releases"
KEPT = 20
"""So many versions back at most."""


class BadRelease(Exception):
    """It cannot be, or there is none to go back to."""


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A version's code, and its configuration, as far as versions differ."""

    version: Annotated[str, Meta(min_length=1, max_length=100)] = "v1.0.0"
    delay_ms: Annotated[float, Meta(ge=0, le=60_000)] = 0.0
    """Its code takes so much longer for every answer."""
    error_rate: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Its code fails for such a share of them."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 8
    """How many requests it serves at once."""
    pool: Annotated[int, Meta(ge=1, le=64)] = 4
    """How many connections to the database it holds."""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    """How long it waits for other services."""


FIRST = Release()
SETTINGS = tuple(name for name in Release.__struct_fields__ if name != "version")


def made(version: str, settings: Sequence[str]) -> Release:
    """A release from `name=value` as it is written on a command line. Raises BadRelease."""
    given: dict[str, str] = {"version": version}
    for one in settings:
        name, is_set, value = one.partition("=")
        if name not in SETTINGS or not is_set:
            known = ", ".join(SETTINGS)
            raise BadRelease(f"'{one}' sets nothing; write NAME=VALUE with one of {known}")
        given[name] = value
    try:
        return msgspec.convert(given, Release, strict=False)
    except msgspec.ValidationError as wrong:
        raise BadRelease(f"{version}: {wrong}") from wrong


def history(home: Path, service: str) -> list[Release]:
    """Oldest first; the last one runs."""
    try:
        return msgspec.json.decode(_file(home, service).read_bytes(), type=list[Release])
    except FileNotFoundError:
        return [FIRST]


def current(home: Path, service: str) -> Release:
    return history(home, service)[-1]


def deploy(home: Path, service: str, release: Release) -> None:
    """It is the one that runs, as soon as the service begins anew."""
    _write(home, service, [*history(home, service), release][-KEPT:])


def rollback(home: Path, service: str) -> Release:
    """The one before is again the one that runs. Raises BadRelease where there is none."""
    found = history(home, service)
    if len(found) < 2:
        raise BadRelease(f"{service} has no version before {found[-1].version} to go back to")
    _write(home, service, found[:-1])
    return found[-2]


def _write(home: Path, service: str, found: Sequence[Release]) -> None:
    file = _file(home, service)
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(found))
    draft.replace(file)


def _file(home: Path, service: str) -> Path:
    return home / FOLDER / f"{service}.json"
