"""Every store answers as the memory store does, whatever is saved in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper import plugins
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.series import Entity, TenantId
from watchkeeper.store import records
from watchkeeper.store.base import Filter, Store

TENANTS = ("default", "other")
SERVICES = ("", "auth", "payment")


def episode(**drawn: Any) -> Anomaly:
    closed = drawn.pop("closed")
    start, lasts = drawn.pop("start"), drawn.pop("lasts")
    return make.anomaly(
        id=drawn.pop("key"),
        started_ns=start,
        entity=Entity(service=drawn.pop("service")),
        status=AnomalyStatus.CLOSED if closed else AnomalyStatus.OPEN,
        ended_ns=start + lasts if closed else None,
        **drawn,
    )


EPISODES = st.builds(
    episode,
    # A start belongs to an id, as it does where ids are made.
    key=st.just(""),
    start=st.integers(0, 5),
    lasts=st.integers(0, 3),
    closed=st.booleans(),
    tenant=st.sampled_from(TENANTS),
    service=st.sampled_from(SERVICES),
    detector=st.sampled_from(["basic", "fk"]),
    position=st.integers(0, 4),
    peak_ns=st.integers(0, 3),
    value=st.floats(allow_nan=True, allow_infinity=True),
).map(lambda one: replace(one, id=f"{one.started_ns}-{one.detector}"))
BATCHES = st.lists(st.lists(EPISODES, max_size=5), max_size=8)
FILTERS = st.builds(
    Filter,
    tenant=st.sampled_from(TENANTS).map(TenantId),
    status=st.sampled_from([None, "open", "closed"]),
    service=st.sampled_from([None, *SERVICES]),
    detector=st.sampled_from([None, "basic"]),
    since_ns=st.none() | st.integers(0, 8),
    until_ns=st.none() | st.integers(0, 8),
    limit=st.integers(1, 4),
)


async def everything(store: Store, query: Filter) -> list[bytes]:
    """All pages, as they are kept: a NaN equals nothing, but its bytes equal themselves."""
    found: list[bytes] = []
    cursor: str | None = None
    while True:
        page = await store.list(Anomaly, replace(query, cursor=cursor))
        assert len(page.items) <= query.limit
        found += [records.row(one).body for one in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


async def outbox(store: Store) -> list[tuple[int, bytes]]:
    return [(one.sequence, records.row(one.record).body) for one in await store.events(0, 1000)]


@pytest.mark.parametrize("name", sorted(set(plugins.BUILTIN["store"]) - {"memory"}))
@settings(max_examples=20)  # each one opens a store and syncs it to the disk
@given(BATCHES, FILTERS)
def test_a_store_answers_as_memory_does(
    build_store: Callable[..., Store],
    name: str,
    batches: Sequence[Sequence[Anomaly]],
    query: Filter,
) -> None:
    async def both(folder: Path) -> None:
        store, memory = build_store(name, folder), build_store("memory", folder)
        for batch in batches:
            assert await store.save(batch) == await memory.save(batch)
        assert await everything(store, query) == await everything(memory, query)
        assert await outbox(store) == await outbox(memory)
        await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(both(Path(folder)))


@given(BATCHES)
def test_a_replay_changes_and_announces_nothing(batches: Sequence[Sequence[Anomaly]]) -> None:
    """What was saved in order of position may be saved again from the start."""
    ordered = sorted(
        (one for batch in batches for one in batch), key=lambda one: records.row(one).version
    )

    async def replayed() -> None:
        store: Store = plugins.build("store", {"use": "memory"})
        last = await store.save(ordered)
        before = {tenant: await everything(store, Filter(TenantId(tenant))) for tenant in TENANTS}
        kept = [
            one
            for tenant in TENANTS
            for one in (await store.list(Anomaly, Filter(TenantId(tenant)))).items
        ]
        assert await store.save(kept) == last
        older = [one for one in ordered if records.row(one).version < _newest(kept, one)]
        assert await store.save(older) == last
        for tenant in TENANTS:
            assert await everything(store, Filter(TenantId(tenant))) == before[tenant]

    asyncio.run(replayed())


def _newest(kept: Sequence[Anomaly], one: Anomaly) -> records.Version:
    identity = records.row(one).identity
    return next(records.row(k).version for k in kept if records.row(k).identity == identity)


@given(st.integers(-(2**62), 2**62), st.text(max_size=40))
def test_a_cursor_says_where_it_was(started_ns: int, key: str) -> None:
    assert records.from_cursor(records.to_cursor(started_ns, key)) == (started_ns, key)
