"""The doctor's checks: each looks at one thing, changes nothing, and knows the remedy."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from watchkeeper import plugins
from watchkeeper.cli import words
from watchkeeper.cli.findings import Finding, State
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.compiled import jit
from watchkeeper.config.sections import Chosen, Config
from watchkeeper.config.sent import written
from watchkeeper.errors import Permanent, Retryable, WatchkeeperError
from watchkeeper.know.decisions_stage import newest_settings
from watchkeeper.know.settings_stage import source
from watchkeeper.lake.inspection import Tell, catalog_damage, lake_damage, log_damage
from watchkeeper.lake.tables.inspection import table_damage
from watchkeeper.sdk import Client, Retry
from watchkeeper.store.base import Store
from watchkeeper.store.installation import FILE_NAME, KEY_BYTES
from watchkeeper.store.sqlite.connection import damage as state_damage
from watchkeeper.store.sqlite.store import FILE_NAME as STATE_FILE
from watchkeeper.telemetry import Secret

_FEW_BYTES: Final = 1 << 30
_FEW_SHARE: Final = 0.1
_SLOW_SYNC_S: Final = 0.02
_BAD_SYNC_S: Final = 0.2
_N_SYNCS: Final = 15
_FEW_FILES: Final = 4096
_BEFORE_S: Final = 1_735_689_600
"""2025: no machine that runs this lives before it."""
_CONNECT_S: Final = 3.0


def folder(config: Config) -> Iterator[Finding]:
    """Whether the data folder can be used."""
    path = config.data_dir.resolve()
    existing = next(part for part in (path, *path.parents) if part.exists())
    if not existing.is_dir():
        yield Finding("folder", State.BAD, f"{existing} is no folder", "set another data_dir")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("folder", State.BAD, f"{existing} may not be written to by this user",
                      "run as its owner, change its owner, or set another data_dir")  # fmt: skip
    elif existing != path:
        yield Finding("folder", State.OK, f"{path} is not there yet; `run` makes it")
    else:
        yield Finding("folder", State.OK, str(path))


def key(config: Config) -> Iterator[Finding]:
    """Whether the installation's key is there and private."""
    path = config.data_dir / FILE_NAME
    try:
        size, mode = path.stat().st_size, path.stat().st_mode & 0o777
    except (FileNotFoundError, NotADirectoryError):
        yield Finding("key", State.SKIPPED, "none yet; made at the first start")
        return
    if size != KEY_BYTES:
        yield Finding("key", State.BAD, f"{path} holds {size} bytes, not {KEY_BYTES}",
                      "restore it from a backup")  # fmt: skip
    elif mode & 0o077:
        yield Finding("key", State.WARN, f"{path} may be read by others (mode {mode:o})",
                      f"chmod 600 {path}")  # fmt: skip
    else:
        yield Finding("key", State.OK, "there, and private")


def space(config: Config) -> Iterator[Finding]:
    """Whether the disk has room."""
    existing = _existing(config.data_dir)
    usage = shutil.disk_usage(existing)
    said = f"{words.size(usage.free)} of {words.size(usage.total)} free"
    if usage.free < _FEW_BYTES:
        yield Finding("space", State.BAD, said, "make room, or lower lake retention")
    elif usage.free < _FEW_SHARE * usage.total:
        yield Finding("space", State.WARN, said, "make room soon, or lower lake retention")
    else:
        yield Finding("space", State.OK, said)


def sync(config: Config) -> Iterator[Finding]:
    """How long the disk takes to make a small write durable: every acknowledgement waits for it."""
    existing = _existing(config.data_dir)
    try:
        took = list(_syncs(existing))
    except OSError as error:
        yield Finding("sync", State.SKIPPED, f"cannot write to {existing}: {error.strerror}")
        return
    yield judge_syncs(took)


def judge_syncs(took_s: list[float]) -> Finding:
    """What the times of some syncs mean."""
    median = statistics.median(took_s)
    said = f"{words.lasting(median)} in the middle, {words.lasting(max(took_s))} at worst"
    remedy = "use a local SSD; on network storage every acknowledgement waits that long"
    if median > _BAD_SYNC_S:
        return Finding("sync", State.BAD, said, remedy)
    if median > _SLOW_SYNC_S:
        return Finding("sync", State.WARN, said, remedy)
    return Finding("sync", State.OK, said)


def port(config: Config) -> Iterator[Finding]:
    """Whether the server can listen, or does already."""
    host, number = config.server.host, config.server.port
    is_6 = ":" in host
    family = socket.AF_INET6 if is_6 else socket.AF_INET
    url = f"http://[{host}]:{number}" if is_6 else f"http://{host}:{number}"
    try:
        with socket.create_server((host, number), family=family):
            yield Finding("port", State.OK, f"{host}:{number} is free; no server runs here")
            return
    except OSError as error:
        why = error.strerror
    try:
        with Client(url, retry=Retry(attempts=1, timeout_s=5.0)) as client:
            health = client.health()
    except (Permanent, Retryable) as error:
        yield Finding("port", State.BAD, f"{host}:{number}: {why}, and no Watchkeeper ({error})",
                      "stop what listens there, or set another server.port")  # fmt: skip
        return
    yield Finding("port", State.OK, f"a Watchkeeper listens on {host}:{number}")
    for name, check in health.checks.items():
        state = State.OK if check.ok else State.BAD
        yield Finding(f"server: {name}", state, check.detail or ("well" if check.ok else "unwell"),
                      "" if check.ok else "see the server's log")  # fmt: skip


def log(config: Config, tell: Tell) -> Iterator[Finding]:
    """Whether every acknowledged record of the log can be read."""
    remedy = "check the disk; restore the lost stretch from a backup if it matters"
    yield from _damage("log", log_damage(config.data_dir / "log", tell), remedy)


def catalog(config: Config) -> Iterator[Finding]:
    """Whether every record of series can be read."""
    remedy = "check the disk; queries find a lost series again once it is sent again"
    yield from _damage("catalog", catalog_damage(config.data_dir / "catalog"), remedy)


def lake(config: Config, tell: Tell) -> Iterator[Finding]:
    """Whether every segment can be read."""
    remedy = "check the disk; restore this file from a backup"
    yield from _damage("lake", lake_damage(config.data_dir / "lake", tell), remedy)


def tables(config: Config, tell: Tell) -> Iterator[Finding]:
    """Whether every file of lines, spans and the like can be read."""
    remedy = "check the disk; restore this file from a backup"
    home = config.data_dir / "tables"
    for folder_of_one in sorted(home.iterdir()) if home.is_dir() else ():
        yield from _damage(folder_of_one.name, table_damage(folder_of_one, tell), remedy)


def state(config: Config) -> Iterator[Finding]:
    """Whether the state file is sound."""
    if config.store.use != "sqlite":
        yield Finding("state", State.SKIPPED, f"is kept by the store {config.store.use}")
        return
    path = config.data_dir / STATE_FILE
    if not path.exists():
        yield Finding("state", State.SKIPPED, "none yet; made at the first start")
        return
    try:
        found = state_damage(path)
    except WatchkeeperError as error:
        found = [str(error)]
    yield from _damage("state", found, "restore it from a backup")


def settings(config: Config) -> Iterator[Finding]:
    """Whose settings of detection are in force."""
    if config.store.use != "sqlite" or not (config.data_dir / STATE_FILE).exists():
        return
    try:
        yield Finding("settings", State.OK, asyncio.run(_settings(config)))
    except WatchkeeperError as error:
        yield Finding("settings", State.WARN, str(error), "see what is said of the state")


async def _settings(config: Config) -> str:
    store: Store = config.store.build(data_dir=config.data_dir)
    try:
        return source(await newest_settings(store), written(config.detection))
    finally:
        await store.close()


def peers(config: Config) -> Iterator[Finding]:
    """Whether the servers that plugins name can be reached."""
    for chosen in (config.bus, config.store, config.lake):
        reach = getattr(plugins.load(chosen.kind, chosen.use), "reach", None)
        if reach is not None:
            yield _reached(chosen, reach)
            continue
        for field in msgspec.structs.fields(type(chosen.settings)):
            value = getattr(chosen.settings, field.name)
            if not field.name.endswith("url") or not value:
                continue
            name, setting = f"{chosen.kind} {chosen.use}", f"{chosen.kind}.{field.name}"
            place = _place(value.reveal() if isinstance(value, Secret) else str(value))
            if place is None:
                yield Finding(name, State.BAD, f"{setting} is no address of a server",
                              "write redis://host:port/database")  # fmt: skip
                continue
            where, address = place
            try:
                _connect(address)
            except OSError as error:
                yield Finding(name, State.BAD, f"{where} cannot be reached: {error}",
                              f"start it, or set {setting}")  # fmt: skip
            else:
                yield Finding(name, State.OK, f"{where} answers")


def _reached(chosen: Chosen, reach: Callable[[Any], str]) -> Finding:
    """What a plugin says that knows how to ask its server."""
    name = f"{chosen.kind} {chosen.use}"
    try:
        return Finding(name, State.OK, f"{reach(chosen.settings)} answers")
    except WatchkeeperError as error:
        why, _, remedy = str(error).rpartition("; ")
        return Finding(name, State.BAD, why, remedy)


def clock(config: Config, now: Clock) -> Iterator[Finding]:
    """Whether the clock can be right: not before this program, not before what it has written."""
    now_s = now.now_ns() / NS_PER_S
    newest = max((path.stat().st_mtime for path in _files(config.data_dir)), default=0.0)
    said = words.moment_of(now_s)
    if now_s < _BEFORE_S:
        yield Finding("clock", State.BAD, f"says {said} UTC", "set it, best by NTP")
    elif newest > now_s + 60:
        yield Finding("clock", State.BAD,
                      f"says {said} UTC, {words.lasting(newest - now_s)} before the newest file",
                      "set it, best by NTP; or wait until it has caught up")  # fmt: skip
    else:
        yield Finding("clock", State.OK, f"{said} UTC")


def limits() -> Iterator[Finding]:
    """Whether the process may have enough files open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield judge_files(files)


def judge_files(limit: int) -> Finding:
    """What a limit on open files means; -1 is none."""
    if 0 < limit < _FEW_FILES:
        remedy = f"ulimit -n {_FEW_FILES}, or LimitNOFILE= in the unit"
        return Finding("open files", State.WARN, f"at most {limit}", remedy)
    return Finding("open files", State.OK, "enough" if limit > 0 else "without limit")


def compiled() -> Iterator[Finding]:
    """Whether compiled code can be kept from start to start."""
    home = Path(jit.__file__).parent
    cache = home / "__pycache__"
    if os.access(cache if cache.exists() else home, os.W_OK):
        yield Finding("compiled code", State.OK, "is kept")
    else:
        yield Finding("compiled code", State.WARN, f"{cache} may not be written to",
                      "a start takes a minute longer; set NUMBA_CACHE_DIR")  # fmt: skip


def _damage(name: str, found: list[str], remedy: str) -> Iterator[Finding]:
    if not found:
        yield Finding(name, State.OK, "all of it can be read")
    for one in found:
        yield Finding(name, State.BAD, one, remedy)


def _place(url: str) -> tuple[str, tuple[str, int] | str] | None:
    """A server as people name it, without what is secret in its URL, and its address; None if it
    is no URL of a server."""
    try:
        parts = urlsplit(url)
        host, number = parts.hostname, parts.port or 6379
    except ValueError:
        return None
    if parts.scheme == "unix":
        return parts.path, parts.path
    return None if host is None else (f"{host}:{number}", (host, number))


def _connect(address: tuple[str, int] | str) -> None:
    """Raises OSError where nobody answers."""
    if not isinstance(address, str):
        socket.create_connection(address, _CONNECT_S).close()
        return
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(_CONNECT_S)
        way.connect(address)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    whole = path.resolve()
    return next(part for part in (whole, *whole.parents) if part.is_dir())


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (one for one in path.iterdir() if one.is_file())


def _syncs(existing: Path) -> Iterator[float]:
    with tempfile.TemporaryFile(dir=existing) as file:
        for _ in range(_N_SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            yield time.perf_counter() - began
