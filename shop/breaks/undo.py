"""How each act of a fault is undone: any number of times, and whatever has become of it."""

from __future__ import annotations

import signal
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shop import directory, release, releases
from shop.breaks import groups, namespaces, record, sql
from shop.breaks.hands import tell
from shop.breaks.processes import Failed, signalled, stop_agents
from shop.breaks.record import Record, Undo
from shop.directory import NotRunning

PATIENCE_S = 30.0
"""A service that burns its own CPU hears late that it is to stop."""


def stop(home: Path, name: str) -> None:
    """Nothing of that fault is left, or Failed says what is; to be tried again then."""
    found = record.read(home, name)
    if found is None:
        return
    left: list[Undo] = []
    why: list[str] = []
    for one in reversed(found.undo):
        try:
            _VERBS[one.verb](home, found, one.given)
        except (Failed, OSError) as error:
            left.insert(0, one)
            why.append(f"{one.verb}: {error}")
    if left:
        record.write(msgspec.structs.replace(found, undo=left), home)
        raise Failed(f"{name} has not ended: {'; '.join(why)}")
    file = record.file_of(home, name)
    file.unlink(missing_ok=True)
    stop_agents(file)  # also one that was started when whoever did so was killed


def _tell(home: Path, _: Record, given: Mapping[str, Any]) -> None:
    """Whoever refuses connections has ended, and comes again without it."""
    try:
        tell(directory.read(home), given["service"], given["path"], PATIENCE_S)
    except (NotRunning, ConnectionError):
        return
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ConnectionError):
            raise


def _continue(_: Path, __: Record, given: Mapping[str, Any]) -> None:
    signalled(given["pid"], given["born"], signal.SIGCONT)


def _agents(home: Path, found: Record, _: Mapping[str, Any]) -> None:
    stop_agents(record.file_of(home, found.name))


def _group(_: Path, __: Record, given: Mapping[str, Any]) -> None:
    groups.remove(Path(given["folder"]), Path(given["back"]))


def _namespace(_: Path, __: Record, given: Mapping[str, Any]) -> None:
    namespaces.remove(given["name"], given["wire_name"])


def _release(home: Path, _: Record, given: Mapping[str, Any]) -> None:
    if releases.current(home, given["service"]).version != given["version"]:
        return
    at = ["--home", str(home), "--by", "shop.breaks"]
    try:
        directory.read(home)
    except NotRunning:
        releases.rollback(home, given["service"])
        return
    if release.main(["rollback", given["service"], *at]):
        raise Failed(f"{given['service']} could not be rolled back from {given['version']}")


def _fault(home: Path, _: Record, given: Mapping[str, Any]) -> None:
    stop(home, given["name"])


def _sql(home: Path, _: Record, given: Mapping[str, Any]) -> None:
    """A shop that has ended has its database no more, or has it in a file."""
    try:
        shop = directory.read(home)
    except NotRunning:
        return
    sql.execute(shop, home, given["statements"])


_VERBS: dict[str, Callable[[Path, Record, Mapping[str, Any]], None]] = {
    "tell": _tell,
    "continue": _continue,
    "agents": _agents,
    "group": _group,
    "namespace": _namespace,
    "release": _release,
    "fault": _fault,
    "sql": _sql,
}
