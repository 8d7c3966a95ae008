"""Where the shop keeps rows: PostgreSQL by a few connections that stay, or SQLite in a file.

Statements are the same for both; a value's place is `%s`.
"""

from __future__ import annotations

import queue
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import psycopg

Row = Sequence[Any]
Watch = Callable[[str], AbstractContextManager[object]]
"""Is told of every statement, such as `SELECT stock`, and is open while it runs."""
Where = Callable[[], tuple[str, int]]
"""Host and port just now."""

POOL = 4
FREE_S = 5.0
"""So long one waits for a connection that others use."""
STATEMENT_MS = 5_000
CONNECT_S = 3
READY_S = 30.0
_TABLE = re.compile(r"(?:FROM|INTO|UPDATE|ON|EXISTS)\s+(\w+)", re.IGNORECASE)


class Exhausted(Exception):
    """All connections were in use for too long."""


class Database(Protocol):
    def rows(self, statement: str, *values: object) -> Sequence[Row]:
        """What it selects."""
        ...

    def change(self, statement: str, *values: object) -> int:
        """How many rows it changed."""
        ...


def nobody(statement: str) -> AbstractContextManager[object]:
    """Watches nothing."""
    return nullcontext()


def called(statement: str) -> str:
    """What it does, to what: `SELECT stock`."""
    table = _TABLE.search(statement)
    verb = statement.split(maxsplit=1)[0].upper()
    return f"{verb} {table[1]}" if table else verb


class Sqlite:
    """A connection a statement: SQLite's are of one thread."""

    def __init__(self, file: Path, watch: Watch = nobody) -> None:
        self._file, self._watch = file, watch
        with closing(self._open()) as db:
            db.execute("PRAGMA journal_mode = WAL")

    def rows(self, statement: str, *values: object) -> Sequence[Row]:
        with self._watch(called(statement)), closing(self._open()) as db:
            return db.execute(_marked(statement), values).fetchall()

    def change(self, statement: str, *values: object) -> int:
        with self._watch(called(statement)), closing(self._open()) as db, db:
            return db.execute(_marked(statement), values).rowcount

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=5.0)
        db.execute("PRAGMA synchronous = OFF")  # nobody misses a shop that lost its last second
        return db


def _marked(statement: str) -> str:
    return statement.replace("%s", "?")


class _Held(NamedTuple):
    where: tuple[str, int]
    connection: psycopg.Connection[Any]


class Postgres:
    """So many connections at most; each is made when it is first needed, and again where it broke
    or its server is asked elsewhere."""

    def __init__(
        self, where: Where, size: int = POOL, watch: Watch = nobody, free_s: float = FREE_S
    ) -> None:
        self._where, self._size, self._watch, self._free_s = where, size, watch, free_s
        self._free: queue.LifoQueue[_Held | None] = queue.LifoQueue()
        for _ in range(size):
            self._free.put(None)

    def rows(self, statement: str, *values: object) -> Sequence[Row]:
        with self._cursor() as cursor, self._watch(called(statement)):
            return cursor.execute(statement.encode(), values).fetchall()

    def change(self, statement: str, *values: object) -> int:
        with self._cursor() as cursor, self._watch(called(statement)):
            return cursor.execute(statement.encode(), values).rowcount

    def await_ready(self, until_s: float = READY_S) -> None:
        """Returns once it answers; the last refusal is raised."""
        import psycopg

        until = time.monotonic() + until_s
        while time.monotonic() < until:
            with suppress(psycopg.OperationalError):
                self.rows("SELECT 1")
                return
            time.sleep(0.1)
        self.rows("SELECT 1")

    @contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[Any]]:
        import psycopg

        try:
            held = self._free.get(timeout=self._free_s)
        except queue.Empty:
            raise Exhausted(
                f"none of {self._size} connections came free in {self._free_s:g} s"
            ) from None
        try:
            held = self._connected(held)
            with held.connection.cursor() as cursor:
                yield cursor
        except psycopg.OperationalError:
            if held is not None:
                held.connection.close()
            raise
        finally:
            self._free.put(held)

    def _connected(self, held: _Held | None) -> _Held:
        import psycopg

        where = self._where()
        if held is not None:
            if held.where == where and not held.connection.closed:
                return held
            held.connection.close()
        connection = psycopg.connect(
            host=where[0],
            port=where[1],
            user="shop",
            dbname="postgres",
            connect_timeout=CONNECT_S,
            options=f"-c statement_timeout={STATEMENT_MS}",
            autocommit=True,
        )
        return _Held(where, connection)
