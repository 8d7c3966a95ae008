"""The PostgreSQL store: one writer at a time in the whole installation, readers beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from watchkeeper.model.series import TenantId
from watchkeeper.store import records, words
from watchkeeper.store.base import Event, Facets, Filter, Page
from watchkeeper.store.postgres.lines import Lines
from watchkeeper.store.postgres.plan import Limits, Plan, Stored, plan
from watchkeeper.store.postgres.queries import query
from watchkeeper.store.postgres.server import Connection, PostgresConfig, Server
from watchkeeper.store.postgres.texts import kept, meant, shown

R = TypeVar("R")

_READERS: Final = 2
_EARLIEST: Final = -(2**63)


class PostgresStore:
    """Prepared when it is built, so that a bad address is a fault at start and not later. While
    the server is away everything is Retryable, and goes on by itself when it is back; a save whose
    answer was lost may have been kept.

    Every save locks the same row first, so events are committed in the order of their numbers.
    """

    Config = PostgresConfig

    def __init__(self, config: PostgresConfig, *, data_dir: Path | None = None) -> None:
        self._limits = Limits(config.record_limit, config.outbox_limit)
        server = Server(config)
        server.prepare()
        self._writer = Lines(server, 1, name="store-writer", timeout_s=config.timeout_s)
        self._reader = Lines(server, _READERS, name="store-reader", timeout_s=config.timeout_s)

    @staticmethod
    def reach(config: PostgresConfig) -> str:
        """Where the server is, if it can be used; raises why it cannot. Changes nothing."""
        server = Server(config)
        server.look()
        return server.place

    async def save(self, batch: Sequence[object]) -> int:
        return await self._writer.run(lambda connection: self._save(connection, batch))

    async def get(self, kind: type[R], tenant: TenantId, key: str) -> R | None:
        name = records.kind_name(kind)
        values = {"kind": name, "tenant": kept(tenant), "id": kept(key)}
        rows = await self._read("get_record", values)
        found: R | None = records.decode(name, rows[0][0]) if rows else None
        return found

    async def list(self, kind: type[R], query: Filter) -> Page[R]:
        name = records.kind_name(kind)
        limit = records.page_size(query.limit)
        rows = await self._read(_statement(query), _listing(name, query, limit + 1))
        found = rows[:limit]
        more = len(rows) > limit
        cursor = records.to_cursor(found[-1][0], meant(found[-1][1])) if more else None
        return Page([records.decode(name, body) for _, _, body in found], cursor)

    async def facets(self, kind: type[Any], query: Filter) -> Facets:
        limit = records.page_size(query.limit)
        listing = _listing(records.kind_name(kind), replace(query, cursor=None), limit + 1)
        rows = await self._read("list_words", listing)
        return words.count((meant(text) for (text,) in rows), limit)

    async def events(self, after: int, limit: int) -> Sequence[Event]:
        rows = await self._read("events_after", {"after": after, "limit": max(0, limit)})
        return [Event(sequence, records.decode(kind, body)) for sequence, kind, body in rows]

    async def shared_key(self, ours: bytes) -> bytes:
        def keep(connection: Connection) -> bytes:
            connection.execute(query("keep_key"), {"key": ours})
            (key,) = connection.execute(query("get_key"), binary=True).fetchall()[0]
            return bytes(key)

        return await self._writer.run(keep)

    async def close(self) -> None:
        await asyncio.gather(self._writer.close(), self._reader.close())

    async def _read(self, statement: str, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        return await self._reader.run(
            lambda connection: connection.execute(query(statement), values, binary=True).fetchall()
        )

    def _save(self, connection: Connection, batch: Sequence[object]) -> int:
        rows = [records.row(record) for record in batch]
        with connection.pipeline(), connection.transaction():
            stored = _read_stored(connection, rows)
            planned = plan(rows, stored, self._limits)
            n_forgotten = _write(connection, planned, stored) if planned.n_changed else 0
        records.SAVED.add(planned.n_changed)
        records.FORGOTTEN.add(planned.oldest - stored.oldest, "events")
        records.FORGOTTEN.add(n_forgotten, "records")
        return planned.last


def _read_stored(connection: Connection, rows: Sequence[records.Row]) -> Stored:
    """Behind the lock, so that it stays true to the end of the transaction."""
    bounds = connection.execute(query("lock_bounds"))
    if not rows:
        oldest, last = bounds.fetchall()[0]
        return Stored(oldest, last, {}, {})
    by_identity = {tuple(map(kept, row.identity)): row.identity for row in rows}
    kinds, tenants, ids = map(list, zip(*by_identity, strict=True))
    versions = connection.execute(
        query("known_versions"), {"kinds": kinds, "tenants": tenants, "ids": ids}, binary=True
    )
    groups = {(kind, tenant): identity[:2] for (kind, tenant, _), identity in by_identity.items()}
    kinds, tenants = map(list, zip(*groups, strict=True))
    counts = connection.execute(query("count_records"), {"kinds": kinds, "tenants": tenants})
    oldest, last = bounds.fetchall()[0]
    return Stored(
        oldest,
        last,
        {
            by_identity[kind, tenant, key]: ((position, phase, moment), body)
            for kind, tenant, key, position, phase, moment, body in versions.fetchall()
        },
        {groups[kind, tenant]: n for kind, tenant, n in counts.fetchall()},
    )


def _write(connection: Connection, planned: Plan, stored: Stored) -> int:
    """How many records were forgotten."""
    execute = connection.execute
    execute(query("upsert_records"), _columns(planned.latest))
    if planned.told:
        kinds, bodies = [row.kind for row in planned.told], [row.body for row in planned.told]
        execute(query("append_events"), {"last": stored.last, "kinds": kinds, "bodies": bodies})
        execute(query("set_bounds"), {"oldest": planned.oldest, "last": planned.last})
    if planned.oldest > stored.oldest:
        execute(query("prune_outbox"), {"oldest": planned.oldest})
    for (kind, tenant), n_records in planned.n_records.items():
        values = {"kind": kind, "tenant": kept(tenant), "n_records": n_records}
        execute(query("set_tally"), values)
    pruned = [
        execute(query("prune_records"), {"kind": kind, "tenant": kept(tenant), "count": count})
        for (kind, tenant), count in planned.excess.items()
    ]
    return sum(n for cursor in pruned for (n,) in cursor.fetchall())


def _columns(rows: Sequence[records.Row]) -> dict[str, Any]:
    return {
        "kinds": [row.kind for row in rows],
        "tenants": [kept(row.tenant) for row in rows],
        "ids": [kept(row.key) for row in rows],
        "started_ns": [row.started_ns for row in rows],
        "ended_ns": [row.ended_ns for row in rows],
        "statuses": [kept(row.status) for row in rows],
        "services": [kept(row.service) for row in rows],
        "detectors": [kept(row.detector) for row in rows],
        "positions": [row.version[0] for row in rows],
        "phases": [row.version[1] for row in rows],
        "moments": [row.version[2] for row in rows],
        "bodies": [row.body for row in rows],
        "shown": [shown(row) for row in rows],
        "words": [kept(row.words) for row in rows],
    }


def _statement(query: Filter) -> str:
    if query.where or query.text:
        return "list_records_with_words"
    return "list_records" if query.status is None else "list_records_of_status"


def _listing(kind: str, query: Filter, limit: int) -> dict[str, Any]:
    before = (records.STILL_OPEN, "") if query.cursor is None else records.from_cursor(query.cursor)
    return {
        "kind": kind,
        "tenant": kept(query.tenant),
        "status": None if query.status is None else kept(query.status),
        "service": None if query.service is None else kept(query.service),
        "detector": None if query.detector is None else kept(query.detector),
        "before_ns": before[0],
        "before_id": kept(before[1]),
        "since_ns": _EARLIEST if query.since_ns is None else query.since_ns,
        "until_ns": records.STILL_OPEN if query.until_ns is None else query.until_ns,
        "limit": limit,
        "words": [kept(word) for word in words.wanted(query)],
    }
