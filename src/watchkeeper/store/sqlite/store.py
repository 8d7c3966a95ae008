"""The SQLite store: one writer thread, a few readers, every save one durable transaction."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from watchkeeper.errors import Permanent
from watchkeeper.model.series import TenantId
from watchkeeper.store import records, words
from watchkeeper.store.base import Event, Facets, Filter, Page
from watchkeeper.store.sqlite.connection import open_reader, open_writer, translated
from watchkeeper.store.sqlite.queries import queries

R = TypeVar("R")
T = TypeVar("T")
Fetched = Sequence[tuple[Any, ...]]

FILE_NAME: Final = "state.db"
_READERS: Final = 2
_EARLIEST: Final = -(2**63)


class SqliteConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the state file `<data_dir>/state.db`."""

    record_limit: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="Records kept per tenant; beyond it the oldest that have ended are "
            "deleted.",
        ),
    ] = 200_000
    outbox_limit: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="Events kept for readers that resume; who was away for longer starts over.",
        ),
    ] = 100_000
    busy_timeout_s: Annotated[
        float,
        msgspec.Meta(
            gt=0, description="How long to wait for another process that reads the state file."
        ),
    ] = 5.0


class SqliteStore:
    """Opened when it is built, so that a bad file is a fault at start and not later.

    A save is on the disk when it returns (write-ahead log with a sync at every commit).
    """

    Config = SqliteConfig

    def __init__(self, config: SqliteConfig, *, data_dir: Path) -> None:
        self._config = config
        self._path = data_dir / FILE_NAME
        self._connection = open_writer(self._path, config.busy_timeout_s)
        with translated(self._path):
            self._count = {
                (kind, tenant): count
                for kind, tenant, count in self._connection.execute(queries()["count_records"])
            }
            self._last = self._number("last_sequence")
            self._first = self._number("first_sequence")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._reader = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._reading: deque[sqlite3.Connection] = deque()
        self._closed = False

    async def save(self, batch: Sequence[object]) -> int:
        return await self._run(self._writer, lambda: self._save(batch))

    async def get(self, kind: type[R], tenant: TenantId, key: str) -> R | None:
        name = records.kind_name(kind)
        values = {"kind": name, "tenant": tenant, "id": key}
        rows = await self._read("get_record", values)
        found: R | None = records.decode(name, rows[0][0]) if rows else None
        return found

    async def list(self, kind: type[R], query: Filter) -> Page[R]:
        name = records.kind_name(kind)
        limit = records.page_size(query.limit)
        rows = await self._read(_statement(query), _listing(name, query, limit + 1))
        found = rows[:limit]
        more = len(rows) > limit
        cursor = records.to_cursor(found[-1][0], found[-1][1]) if more else None
        return Page([records.decode(name, body) for _, _, body in found], cursor)

    async def facets(self, kind: type[Any], query: Filter) -> Facets:
        limit = records.page_size(query.limit)
        listing = _listing(records.kind_name(kind), replace(query, cursor=None), limit + 1)
        rows = await self._read("list_words", listing)
        return words.count((text for (text,) in rows), limit)

    async def events(self, after: int, limit: int) -> Sequence[Event]:
        rows = await self._read("events_after", {"after": after, "limit": max(0, limit)})
        return [Event(sequence, records.decode(kind, body)) for sequence, kind, body in rows]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._shut)

    def _number(self, statement: str) -> int:
        (number,) = self._connection.execute(queries()[statement]).fetchone()
        return int(number)

    async def _run(self, where: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        if self._closed:
            raise Permanent("store: is closed; nothing can be read or saved any more")
        return await asyncio.get_running_loop().run_in_executor(where, job)

    async def _read(self, statement: str, values: dict[str, Any]) -> Fetched:
        return await self._run(self._reader, lambda: self._fetch(statement, values))

    def _fetch(self, statement: str, values: dict[str, Any]) -> Fetched:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = open_reader(self._path, self._config.busy_timeout_s)
            self._local.connection = connection
            self._reading.append(connection)
        with translated(self._path):
            return connection.execute(queries()[statement], values).fetchall()

    def _save(self, batch: Sequence[object]) -> int:
        rows = [records.row(record) for record in batch]
        execute = self._connection.execute
        with translated(self._path):
            execute("BEGIN IMMEDIATE")
            try:
                count, first, last, n_changed = self._write(rows)
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise
        # Before the first event of all, "the oldest that is left" is 0.
        records.FORGOTTEN.add(max(0, first - max(self._first, 1)), "events")
        records.SAVED.add(n_changed)
        self._count, self._first, self._last = count, first, last
        return self._last

    def _write(
        self, rows: Sequence[records.Row]
    ) -> tuple[dict[tuple[str, str], int], int, int, int]:
        """Inside the transaction; the counters as they are once it is committed, and how many
        records changed."""
        known = self._known(rows)
        changed = records.changes(rows, known)
        told = [(row.kind, row.body) for row in changed if records.is_announced(row)]
        many = self._connection.executemany
        many(queries()["upsert_record"], map(_columns, changed))
        many(queries()["append_event"], told)
        count = dict(self._count)
        for kind, tenant, _ in {row.identity for row in changed} - known.keys():
            count[kind, tenant] = count.get((kind, tenant), 0) + 1
        last = self._last + len(told)
        for group in {(row.kind, row.tenant) for row in changed}:
            # A command may have saved beside us, so a group may be new to us and yet known.
            count[group] = count.get(group, 0)
            count[group] -= self._prune_records(group, count[group])
        return count, self._prune_outbox(last), last, len(changed)

    def _known(self, rows: Sequence[records.Row]) -> dict[records.Identity, records.Known]:
        asked = json.dumps([row.identity for row in rows])
        found = self._connection.execute(queries()["known_versions"], {"identities": asked})
        return {
            (kind, tenant, key): ((position, phase, moment), body)
            for kind, tenant, key, position, phase, moment, body in found
        }

    def _prune_records(self, group: tuple[str, str], count: int) -> int:
        """Deleted in portions, so that a full store does not pay at every save."""
        limit = self._config.record_limit
        if count <= limit + limit // 50:
            return 0
        kind, tenant = group
        values = {"kind": kind, "tenant": tenant, "count": count - limit}
        n_gone = self._connection.execute(queries()["prune_records"], values).rowcount
        records.FORGOTTEN.add(n_gone, "records")
        return n_gone

    def _prune_outbox(self, last: int) -> int:
        """The oldest event that is left."""
        limit = self._config.outbox_limit
        if last - self._first < limit + limit // 50:
            return self._first
        self._connection.execute(queries()["prune_outbox"], {"last": last - limit})
        return last - limit + 1

    def _shut(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        for connection in [*self._reading, self._connection]:
            connection.close()


def _columns(row: records.Row) -> tuple[Any, ...]:
    return (
        *row.identity,
        row.started_ns,
        row.ended_ns,
        row.status,
        row.service,
        row.detector,
        *row.version,
        row.body,
        row.words,
    )


def _statement(query: Filter) -> str:
    if query.where or query.text:
        return "list_records_with_words"
    return "list_records" if query.status is None else "list_records_of_status"


def _listing(kind: str, query: Filter, limit: int) -> dict[str, Any]:
    before = (records.STILL_OPEN, "") if query.cursor is None else records.from_cursor(query.cursor)
    return {
        "kind": kind,
        "tenant": query.tenant,
        "status": query.status,
        "service": query.service,
        "detector": query.detector,
        "before_ns": before[0],
        "before_id": before[1],
        "since_ns": _EARLIEST if query.since_ns is None else query.since_ns,
        "until_ns": records.STILL_OPEN if query.until_ns is None else query.until_ns,
        "limit": limit,
        "words": json.dumps(words.wanted(query)),
    }
