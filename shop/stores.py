"""PostgreSQL and Redis of the shop's own, where they are installed: found, prepared, and run by its
supervisor beside the services."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from shop.plan import Plan

POSTGRES, REDIS = "postgresql", "redis"
DATABASES = ("auto", POSTGRES, "sqlite")
CACHES = ("auto", REDIS, "memory")
DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNTS = ("postgres", "nobody")
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_SMALL = ("shared_buffers=16MB", "max_connections=40", "unix_socket_directories=")
_CLIENTS = {POSTGRES: "psycopg", REDIS: "redis"}


class Missing(Exception):
    """What was asked for is not installed."""


class Program(NamedTuple):
    """What a supervisor runs besides the services."""

    name: str
    command: str
    folder: Path
    user: str | None = None
    stop: str = "TERM"


def installed(name: str, debian: Path = DEBIAN) -> Path | None:
    """A server's program; Debian keeps PostgreSQL's off the path."""
    beside = sorted(debian.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (beside[-1] if beside else None)
    return None if found is None else Path(found).absolute()


def chosen(
    database: str, cache: str, find: Callable[[str], Path | None] = installed
) -> tuple[str, ...]:
    """Which servers run: those asked for, or those that can. Raises Missing."""
    found = []
    for name, wanted in ((POSTGRES, database), (REDIS, cache)):
        lacking = _lacking(name, find)
        if wanted == name and lacking:
            raise Missing(f"{lacking} is not installed; install it, or leave out --{_option(name)}")
        if wanted in (name, "auto") and not lacking:
            found.append(name)
    return tuple(found)


@contextmanager
def prepared(plan: Plan) -> Iterator[Sequence[Program]]:
    """What there is to run; folders that had to be elsewhere are gone in the end."""
    programs = []
    with tempfile.TemporaryDirectory(prefix="watchkeeper-shop-") as elsewhere:
        for name, port in plan.stores.items():
            build = {POSTGRES: _postgres, REDIS: _redis}[name]
            programs.append(build(Path(plan.folder), Path(elsewhere), plan.host, port))
        yield programs


def _postgres(home: Path, elsewhere: Path, host: str, port: int) -> Program:
    """It refuses to run as root, so there it is of an account that may do nothing else, in a
    folder that this may enter."""
    user = _account() if os.geteuid() == 0 else None
    if user is None or may_be_entered(home):
        data = home / POSTGRES
    else:
        elsewhere.chmod(0o711)
        data = elsewhere / POSTGRES
    data.mkdir(exist_ok=True)
    as_user: dict[str, Any] = {}
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(data, account.pw_uid, account.pw_gid)
        as_user = {"user": user, "group": account.pw_gid, "extra_groups": []}
    if not (data / "PG_VERSION").exists():
        make = [str(installed("initdb")), "-D", str(data), "-U", "shop", "-A", "trust",
                "-E", "UTF8", "--locale", "C", "--no-sync"]  # fmt: skip
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=data, **as_user)
    trusted = {"127.0.0.1", host}
    (data / "pg_hba.conf").write_text(
        "".join(f"host all all {address}/32 trust\n" for address in sorted(trusted))
    )
    (data / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed; ports differ
    given = (f"port={port}", f"listen_addresses={host}", *_SMALL, *_NOT_DURABLE)
    settings = " ".join(f"-c {one}" for one in given)
    command = f"{installed('postgres')} -D {data} {settings}"
    return Program(POSTGRES, command, data, user, stop="INT")


def _redis(home: Path, elsewhere: Path, host: str, port: int) -> Program:
    keeps_nothing = "--save '' --appendonly no --protected-mode no"
    small = "--maxmemory 64mb --maxmemory-policy allkeys-lru"
    command = f"{installed('redis-server')} --port {port} --bind {host} {keeps_nothing} {small}"
    return Program(REDIS, command, home)


def _lacking(name: str, find: Callable[[str], Path | None]) -> str | None:
    """What of it is not there: a program, or its client."""
    programs = ("postgres", "initdb") if name == POSTGRES else ("redis-server",)
    client = _CLIENTS[name]
    lacking = [one for one in programs if find(one) is None]
    return next(iter(lacking), None if find_spec(client) else f"the Python package {client}")


def _option(name: str) -> str:
    return f"database {name}" if name == POSTGRES else f"cache {name}"


def _account() -> str:
    known = {one.pw_name for one in pwd.getpwall()}
    found = next((name for name in _ACCOUNTS if name in known), None)
    if found is None:
        raise Missing(f"no account called {' or '.join(_ACCOUNTS)} can run PostgreSQL; add one")
    return found


def may_be_entered(folder: Path) -> bool:
    """Whether everybody may pass through it."""
    return all(one.stat().st_mode & 0o001 for one in (folder, *folder.parents))
