"""A PostgreSQL of one's own: on 127.0.0.1, on a free port, in a folder that goes with it."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg

from bench.peers import Unmeasurable, free_port
from watchkeeper.store.postgres.server import PostgresConfig, Server
from watchkeeper.store.postgres.store import PostgresStore
from watchkeeper.telemetry import Secret

_DEBIAN = Path("/usr/lib/postgresql")
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_START_S = 60.0
_STOP_S = 10.0
WITH_PASSWORD = "locked"
"""The user of whom a password is asked; a test makes it."""
_WHO_MAY_ENTER = f"""
host all {WITH_PASSWORD} 127.0.0.1/32 scram-sha-256
host all stranger 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""


class NotInstalled(Unmeasurable):
    """A server is not on this machine; the message says how it comes there."""


def installed(name: str) -> Path:
    """A program of the server, which Debian keeps off the path. Raises NotInstalled."""
    beside = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (beside[-1] if beside else None)
    if found is None:
        raise NotInstalled(
            f"{name} is not installed; `make test` as root installs it where apt is, "
            "or install it yourself (Debian: apt-get install postgresql)"
        )
    return Path(found).resolve()


class Cluster:
    """A server that can be stopped, killed and started again. It refuses to run as root, so there
    it runs as the user `postgres` that its package made."""

    def __init__(self, *settings: str, durable: bool = True) -> None:
        self._postgres = installed("postgres")
        self._settings = [*(() if durable else _FAST), *settings]
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="watchkeeper-postgres-"))
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        make = [str(installed("initdb")), "-D", str(self._data), "-U", "tester", "-A", "trust",
                "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"]  # fmt: skip
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, **self._as_user())
        (self._data / "pg_hba.conf").write_text(_WHO_MAY_ENTER)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        given = [f"port={self.port}", "listen_addresses=127.0.0.1", "shared_buffers=32MB",
                 f"unix_socket_directories={self.folder}", "max_connections=50"]  # fmt: skip
        settings = [part for one in (*given, *self._settings) for part in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(self._postgres), "-D", str(self._data), *settings],
                stdout=log, stderr=log, **self._as_user(),
            )  # fmt: skip
        self._await_ready()

    def stop(self) -> None:
        """Fast: sessions are ended, what was committed is written. Where one does not end, by
        force, so that a test that failed leaves no server behind."""
        try:
            self._end(signal.SIGINT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """The server and all that it forked, at once, with no chance to put anything in order."""
        assert self._server is not None
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        os.kill(self.pid, signal.SIGSTOP)  # forks no more
        for pid in (self.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(number)
            self._server.wait(timeout=_STOP_S)
            self._server = None

    def execute(self, statement: str, *, user: str = "tester") -> Sequence[tuple[Any, ...]]:
        where = f"host=127.0.0.1 port={self.port} dbname=postgres user={user}"
        with psycopg.connect(where, autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def store(self, data_dir: Path, **settings: Any) -> PostgresStore:
        """One over this server. Of the same folder again: the same state."""
        return PostgresStore(self.config(data_dir, **settings), data_dir=data_dir)

    def server(self, data_dir: Path, **settings: Any) -> Server:
        """What such a store has its connections from."""
        return Server(self.config(data_dir, **settings))

    def config(self, data_dir: Path, **settings: Any) -> PostgresConfig:
        given = {"url": Secret(self.url), "schema": schema_of(data_dir), **settings}
        return PostgresConfig(**given)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self.folder}
        return {"cwd": self.folder, "user": self._user, "group": self._user, "extra_groups": []}

    def _await_ready(self) -> None:
        assert self._server is not None
        end_s = time.monotonic() + _START_S
        while time.monotonic() < end_s and self._server.poll() is None:
            with suppress(psycopg.OperationalError):
                self.execute("SELECT 1")
                return
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(timeout=0.02)
        raise AssertionError(f"postgres did not start:\n{(self.folder / 'log').read_text()}")


def schema_of(data_dir: Path) -> str:
    """Stores of one folder share a schema, those of different ones do not."""
    return f"of_{hashlib.blake2b(bytes(data_dir), digest_size=12).hexdigest()}"
