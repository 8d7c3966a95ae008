"""State in memory: nothing survives the process. For tests and for trying things out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from watchkeeper.errors import Permanent
from watchkeeper.model.series import TenantId
from watchkeeper.store import records, words
from watchkeeper.store.base import Event, Facets, Filter, Page

R = TypeVar("R")


class MemoryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds; what exceeds them is forgotten, oldest first."""

    record_limit: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="Records kept per tenant; beyond it the oldest that have ended are "
            "forgotten.",
        ),
    ] = 10_000
    outbox_limit: Annotated[
        int,
        msgspec.Meta(ge=1, description="Events kept for readers that resume."),
    ] = 10_000


class MemoryStore:
    """A dictionary of rows and a bounded queue of events."""

    Config = MemoryConfig

    def __init__(self, config: MemoryConfig, *, data_dir: Path | None = None) -> None:
        self._config = config
        self._rows: dict[tuple[str, str], dict[str, records.Row]] = {}
        self._outbox: deque[tuple[int, records.Row]] = deque(maxlen=config.outbox_limit)
        self._last = 0
        self._closed = False

    async def save(self, batch: Sequence[object]) -> int:
        self._check_open()
        rows = [records.row(record) for record in batch]
        for row in records.changes(rows, self._known(rows)):
            if records.is_announced(row):
                self._announce(row)
            records.SAVED.add()
            group = self._rows.setdefault((row.kind, row.tenant), {})
            group[row.key] = row
            if len(group) > self._config.record_limit:
                self._forget(group)
        return self._last

    async def get(self, kind: type[R], tenant: TenantId, key: str) -> R | None:
        self._check_open()
        name = records.kind_name(kind)
        row = self._rows.get((name, tenant), {}).get(key)
        found: R | None = None if row is None else records.decode(name, row.body)
        return found

    async def list(self, kind: type[R], query: Filter) -> Page[R]:
        self._check_open()
        name = records.kind_name(kind)
        limit = records.page_size(query.limit)
        before = None if query.cursor is None else records.from_cursor(query.cursor)
        rows = [row for row in self._found(name, query) if before is None or _order(row) < before]
        found = rows[:limit]
        more = len(rows) > limit
        cursor = records.to_cursor(*_order(found[-1])) if more else None
        return Page([records.decode(name, row.body) for row in found], cursor)

    async def facets(self, kind: type[Any], query: Filter) -> Facets:
        self._check_open()
        found = self._found(records.kind_name(kind), query)
        return words.count((row.words for row in found), records.page_size(query.limit))

    async def events(self, after: int, limit: int) -> Sequence[Event]:
        self._check_open()
        behind = (entry for entry in self._outbox if entry[0] > after)
        return [
            Event(sequence, records.decode(row.kind, row.body))
            for sequence, row in (entry for entry, _ in zip(behind, range(limit), strict=False))
        ]

    async def close(self) -> None:
        self._closed = True

    def _found(self, name: str, query: Filter) -> Sequence[records.Row]:
        """Newest first."""
        wanted = words.wanted(query)
        rows = self._rows.get((name, query.tenant), {}).values()
        matching = (row for row in rows if _matches(row, query, wanted))
        return sorted(matching, key=_order, reverse=True)

    def _announce(self, row: records.Row) -> None:
        self._last += 1
        if len(self._outbox) == self._config.outbox_limit:
            records.FORGOTTEN.add(1, "events")
        self._outbox.append((self._last, row))

    def _known(self, rows: Sequence[records.Row]) -> dict[records.Identity, records.Known]:
        found = {}
        for row in rows:
            stored = self._rows.get((row.kind, row.tenant), {}).get(row.key)
            if stored is not None:
                found[row.identity] = (stored.version, stored.body)
        return found

    @staticmethod
    def _forget(group: dict[str, records.Row]) -> None:
        ended = [row for row in group.values() if row.ended_ns != records.STILL_OPEN]
        if ended:
            del group[min(ended, key=_order).key]
            records.FORGOTTEN.add(1, "records")

    def _check_open(self) -> None:
        if self._closed:
            raise Permanent("store: is closed; nothing can be read or saved any more")


def _order(row: records.Row) -> tuple[int, str]:
    return row.started_ns, row.key


def _matches(row: records.Row, query: Filter, wanted: Sequence[str]) -> bool:
    return (
        (query.status is None or row.status == query.status)
        and (query.service is None or row.service == query.service)
        and (query.detector is None or row.detector == query.detector)
        and (query.since_ns is None or row.ended_ns >= query.since_ns)
        and (query.until_ns is None or row.started_ns < query.until_ns)
        and all(word in row.words for word in wanted)
    )
