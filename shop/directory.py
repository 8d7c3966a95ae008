"""`shop.json`: where everything of a running shop is, for whoever watches it or breaks it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from shop.plan import Plan

FILE = "shop.json"
NAMESPACES = Path("/run/netns")


class NotRunning(Exception):
    """There is no shop in that folder."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    port: int
    pid: int | None
    """Of the process that answers there now; null while it is being started again."""
    host: str


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    """Of the process whose end is the end of all."""
    services: Mapping[str, Found]
    gateway: str | None
    database: str
    cache: str
    stores: Mapping[str, Found] = {}
    """PostgreSQL and Redis, where they run."""
    namespace: str | None = None
    """Of the network, where it has a name."""
    cgroup: str | None = None
    watchkeeper: str | None = None
    instrument: str = "sdk"


def of(plan: Plan, pids: Mapping[str, int]) -> Directory:
    """What is told of a shop whose processes have these ids now."""

    def places(ports: Mapping[str, int]) -> dict[str, Found]:
        return {
            name: Found(port=port, pid=pids.get(name), host=plan.host)
            for name, port in ports.items()
        }

    gateway = plan.ports.get("gateway")
    return Directory(
        pid=os.getpid(),
        services=places(plan.ports),
        gateway=None if gateway is None else f"http://{plan.host}:{gateway}",
        database="postgresql" if "postgresql" in plan.stores else "sqlite",
        cache="redis" if "redis" in plan.stores else "memory",
        stores=places(plan.stores),
        namespace=namespace(),
        watchkeeper=plan.watchkeeper or None,
        instrument=plan.instrument,
    )


def read(home: Path) -> Directory:
    """Raises NotRunning, also where a shop ended without taking its name off the door."""
    file = home / FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Directory)
    except FileNotFoundError:
        raise NotRunning(
            f"no shop runs in {home}; start it: python -m shop --home {home}"
        ) from None
    except msgspec.MsgspecError as wrong:
        raise NotRunning(f"{file} is none of ours: {wrong}") from wrong
    if not Path(f"/proc/{found.pid}").exists():
        raise NotRunning(f"the shop in {home} has ended; start it: python -m shop --home {home}")
    return found


@contextmanager
def kept(home: Path) -> Iterator[Path]:
    """The file as long as the shop runs; nothing of it is left."""
    file = home / FILE
    try:
        yield file
    finally:
        with suppress(NotRunning):
            if read(home).pid == os.getpid():
                file.unlink()


def write(directory: Directory, file: Path) -> None:
    """At once: nobody reads half of it."""
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(directory)) + b"\n")
    draft.replace(file)


def namespace(names: Path = NAMESPACES, own: Path = Path("/proc/self/ns/net")) -> str | None:
    """The name of the network namespace that this process is in; None where it has none."""
    try:
        mine = own.stat()
        return next(
            (
                one.name
                for one in sorted(names.iterdir())
                if (one.stat().st_dev, one.stat().st_ino) == (mine.st_dev, mine.st_ino)
            ),
            None,
        )
    except OSError:
        return None
