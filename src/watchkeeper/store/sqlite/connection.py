"""Opens the state file: pragmas, migrations, and SQLite's errors in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchkeeper.errors import ConfigError, Permanent, Retryable
from watchkeeper.store.sqlite.queries import Migration, migrations, queries

_WAL_BYTES = 64 * 2**20
"""What the file's own log is cut back to after a burst."""

_CACHE_KIB = 16 * 1024
"""The writer's pages: the inner nodes of every index at the default limits, and a burst."""


def open_writer(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """The one connection that writes; the schema is up to date behind it."""
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Used by one thread at a time: first by the opener, then by the writer.
        connection = sqlite3.connect(
            path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit survives loss of power
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(
    path: Path, busy_timeout_s: float, *, untouched: bool = False
) -> sqlite3.Connection:
    """A connection that cannot write, whatever it is asked.

    `untouched`: nobody has the file open, so it is read without the files that SQLite puts beside
    it to speak with others.
    """
    how = "mode=ro&immutable=1" if untouched else "mode=ro"
    with translated(path):
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?{how}",
            uri=True,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )


def damage(path: Path) -> list[str]:
    """What is wrong with a state file, in SQLite's words; empty if nothing is."""
    is_open = path.with_name(f"{path.name}-wal").exists()
    connection = open_reader(path, busy_timeout_s=5.0, untouched=not is_open)
    try:
        with translated(path):
            found = [str(row[0]) for row in connection.execute(queries()["quick_check"])]
    finally:
        connection.close()
    return [] if found == ["ok"] else found


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Foreign errors become ours here, and nowhere else."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Retryable(f"store: {path}: {error}; check free space and permissions") from error
    except sqlite3.DatabaseError as error:
        raise Permanent(
            f"store: {path}: {error}; stop, move the file away and restore a backup, "
            "or start without it: anomalies in the log's reach are found again"
        ) from error
    except OSError as error:
        raise Retryable(f"store: {path}: {error.strerror}; check space and permissions") from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration ("
        "number INTEGER PRIMARY KEY, moment TEXT NOT NULL, name TEXT NOT NULL) STRICT"
    )
    applied = {
        int(number): str(moment)
        for number, moment in connection.execute("SELECT number, moment FROM migration")
    }
    known = {migration.number for migration in migrations()}
    barred = [n for n, moment in applied.items() if n not in known and moment == "post"]
    if barred:
        raise ConfigError(
            f"store: {path} has schema {max(barred)}, this release knows {max(known)}; "
            "run the newer release, or restore the backup made before it"
        )
    for migration in migrations():
        if migration.number not in applied:
            _apply(connection, migration)


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    # executescript commits what is open before it starts, so the transaction is inside the script.
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{migration.script}\n"
        f"INSERT INTO migration VALUES "
        f"({migration.number}, '{migration.when}', '{migration.name}');\nCOMMIT;"
    )
