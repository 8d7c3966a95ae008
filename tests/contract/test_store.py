"""Every store keeps the promises of `store/base.py`, whatever it keeps its records in."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from watchkeeper import plugins
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION, ApiKey
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId
from watchkeeper.store import records
from watchkeeper.store.base import Filter, Occupied, Store

DURABLE = sorted(set(plugins.BUILTIN["store"]) - {"memory"})
ALL = Filter(DEFAULT_TENANT)
Build = Callable[..., Store]


@pytest.fixture(params=sorted(plugins.BUILTIN["store"]))
async def store(
    request: pytest.FixtureRequest, build_store: Build, tmp_path: Path
) -> AsyncIterator[Store]:
    built = build_store(request.param, tmp_path)
    yield built
    await built.close()


@pytest.fixture(params=sorted(plugins.BUILTIN["store"]))
async def bounded(
    request: pytest.FixtureRequest, build_store: Build, tmp_path: Path
) -> AsyncIterator[Store]:
    built = build_store(request.param, tmp_path, record_limit=5, outbox_limit=4)
    yield built
    await built.close()


def episode(started_ns: int = 1000, **fields: Any) -> Anomaly:
    """An open anomaly that is told from others by its start."""
    given = {"id": f"{started_ns:032x}", "peak_ns": started_ns, **fields}
    return make.anomaly(started_ns=started_ns, **given)


def closed(anomaly: Anomaly, *, ended_ns: int, position: int) -> Anomaly:
    return replace(anomaly, status=AnomalyStatus.CLOSED, ended_ns=ended_ns, position=position)


async def targets(store: Store) -> list[str]:
    """What the audit trail tells, newest first."""
    page = await store.list(AuditEntry, Filter(INSTALLATION, limit=100))
    return [entry.act.target for entry in page.items]


async def ids(store: Store, query: Filter) -> list[str]:
    return [anomaly.id for anomaly in (await store.list(Anomaly, query)).items]


async def test_what_was_saved_is_read_back_equal(store: Store) -> None:
    saved = episode(expected_high=math.inf, evidence={"level": 3.5, "change": -0.25})

    await store.save([saved])

    assert await store.get(Anomaly, DEFAULT_TENANT, saved.id) == saved


async def test_an_unknown_id_is_none(store: Store) -> None:
    assert await store.get(Anomaly, DEFAULT_TENANT, "none such") is None


async def test_a_newer_version_replaces_the_older(store: Store) -> None:
    first = episode(position=1)
    later = closed(first, ended_ns=first.started_ns + 60, position=7)

    await store.save([first])
    await store.save([later])

    assert await store.get(Anomaly, DEFAULT_TENANT, first.id) == later


async def test_an_older_version_never_replaces_a_newer(store: Store) -> None:
    first = episode(position=1)
    later = closed(first, ended_ns=first.started_ns + 60, position=7)
    last = await store.save([later])

    assert await store.save([first]) == last

    assert await store.get(Anomaly, DEFAULT_TENANT, first.id) == later


async def test_saving_the_same_again_announces_nothing(store: Store) -> None:
    records = [episode(started_ns=start) for start in (1, 2, 3)]
    last = await store.save(records)

    again = await store.save(records)

    assert again == last
    assert len(await store.events(0, 100)) == 3


async def test_a_replay_of_changes_at_one_position_undoes_nothing(store: Store) -> None:
    opened = episode(position=5)
    worse = replace(opened, peak_ns=opened.peak_ns + 1, value=9.0)
    ended = closed(worse, ended_ns=opened.started_ns + 60, position=5)
    last = await store.save([opened, worse, ended])

    for record in (opened, worse, ended):
        assert await store.save([record]) == last

    assert await store.get(Anomaly, DEFAULT_TENANT, opened.id) == ended
    assert [event.record for event in await store.events(0, 100)] == [opened, worse, ended]


async def test_events_come_in_the_order_of_saving(store: Store) -> None:
    first, second = episode(started_ns=9), episode(started_ns=3)

    await store.save([first])
    last = await store.save([second])

    events = await store.events(0, 100)
    assert [event.record for event in events] == [first, second]
    assert events[0].sequence < events[1].sequence == last


async def test_events_start_behind_a_sequence_and_stop_at_the_limit(store: Store) -> None:
    await store.save([episode(started_ns=start) for start in range(5)])
    first, *_ = await store.events(0, 1)

    events = await store.events(first.sequence, 2)

    assert [event.record.started_ns for event in events] == [1, 2]


async def test_the_outbox_is_bounded_and_drops_the_oldest(bounded: Store) -> None:
    for start in range(12):
        await bounded.save([episode(started_ns=start)])

    events = await bounded.events(0, 100)

    assert [event.record.started_ns for event in events] == [8, 9, 10, 11]


async def test_beyond_its_limit_a_store_forgets_the_oldest_that_has_ended(bounded: Store) -> None:
    opened = episode(started_ns=0)
    await bounded.save([opened])
    for start in range(1, 9):
        record = episode(started_ns=start)
        await bounded.save([closed(record, ended_ns=start + 1, position=start)])

    kept = [record.started_ns for record in (await bounded.list(Anomaly, ALL)).items]

    assert kept == [8, 7, 6, 5, 0]


async def test_what_is_saved_and_what_is_forgotten_is_counted(bounded: Store) -> None:
    def counted() -> tuple[float, float, float]:
        forgotten = records.FORGOTTEN
        return records.SAVED.value(), forgotten.value("events"), forgotten.value("records")

    before = counted()

    for start in range(12):
        await bounded.save([closed(episode(started_ns=start), ended_ns=start + 1, position=1)])

    assert [now - then for now, then in zip(counted(), before, strict=True)] == [12, 8, 7]


async def test_one_tenant_sees_nothing_of_another(store: Store) -> None:
    other = TenantId("other")
    mine, theirs = episode(), episode(tenant=other)

    await store.save([mine, theirs])

    assert (await store.list(Anomaly, ALL)).items == [mine]
    assert (await store.list(Anomaly, Filter(other))).items == [theirs]
    assert await store.get(Anomaly, TenantId("third"), mine.id) is None


async def test_pages_are_newest_first_and_end_without_a_cursor(store: Store) -> None:
    await store.save([episode(started_ns=start) for start in (3, 1, 5, 2, 4)])

    first = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=3))
    second = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=3, cursor=first.cursor))

    assert [record.started_ns for record in first.items] == [5, 4, 3]
    assert [record.started_ns for record in second.items] == [2, 1]
    assert second.cursor is None


async def test_a_last_page_that_is_exactly_full_has_no_cursor(store: Store) -> None:
    await store.save([episode(started_ns=start) for start in (1, 2)])

    page = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=2))

    assert len(page.items) == 2
    assert page.cursor is None


async def test_paging_under_concurrent_insert_repeats_and_misses_nothing(store: Store) -> None:
    await store.save([episode(started_ns=start) for start in range(0, 40, 2)])
    seen: list[int] = []
    cursor: str | None = None
    for start in range(100, 200, 3):
        page = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=3, cursor=cursor))
        seen += [record.started_ns for record in page.items]
        cursor = page.cursor
        if cursor is None:
            break
        await store.save([episode(started_ns=start)])

    assert seen == list(range(38, -2, -2))


async def test_records_of_one_start_are_all_listed(store: Store) -> None:
    saved = [episode(id=f"{n:02}", started_ns=7) for n in range(10)]
    await store.save(saved)

    first = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=6))
    second = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=6, cursor=first.cursor))

    assert sorted(record.id for record in [*first.items, *second.items]) == [
        record.id for record in saved
    ]


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"status": "open"}, ["d", "c"]),
        ({"status": "closed"}, ["b", "a"]),
        ({"status": "open", "service": "auth"}, ["d"]),
        ({"service": "auth"}, ["d", "b"]),
        ({"detector": "basic"}, ["c"]),
        ({"since_ns": 150}, ["d", "c", "b"]),
        ({"since_ns": 201}, ["d", "c"]),
        ({"until_ns": 300}, ["b", "a"]),
        ({"since_ns": 121, "until_ns": 301}, ["c", "b"]),
        ({"status": "closed", "service": "auth", "since_ns": 201}, []),
    ],
)
async def test_filters_choose(store: Store, change: dict[str, Any], want: list[str]) -> None:
    auth = Entity(service="auth")
    a = closed(episode(id="a", started_ns=100), ended_ns=120, position=2)
    b = closed(episode(id="b", started_ns=150, entity=auth), ended_ns=200, position=2)
    c = episode(id="c", started_ns=300, detector="basic")
    d = episode(id="d", started_ns=400, entity=auth)
    await store.save([a, b, c, d])

    assert await ids(store, replace(ALL, **change)) == want


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x1a0", "\\", "ü\U0001f600", "'; --", "%s"])
async def test_any_text_is_found_and_paged_as_it_was_saved(store: Store, text: str) -> None:
    """A label's value is any text, and what follows from it is stored, filtered and paged by."""
    entity, tenant = Entity(service=text), TenantId(text)
    saved = [
        episode(id=f"{text}{n}", tenant=tenant, entity=entity, labels={text: text}, detector=text)
        for n in range(3)
    ]
    query = Filter(tenant, service=text, detector=text, limit=2)
    await store.save(saved)

    first = await store.list(Anomaly, query)
    second = await store.list(Anomaly, replace(query, cursor=first.cursor))

    assert [*first.items, *second.items] == saved[::-1]
    assert await store.get(Anomaly, tenant, saved[0].id) == saved[0]
    assert [event.record for event in await store.events(0, 10)] == saved


async def test_a_closed_episode_moves_from_the_open_ones(store: Store) -> None:
    record = episode()
    await store.save([record])

    await store.save([closed(record, ended_ns=record.started_ns + 1, position=2)])

    assert await ids(store, replace(ALL, status="open")) == []
    assert await ids(store, replace(ALL, status="closed")) == [record.id]


@pytest.mark.parametrize("cursor", ["", "%%%", "bm90IG91cnM", "é"])
async def test_a_foreign_cursor_is_refused_with_the_remedy(store: Store, cursor: str) -> None:
    with pytest.raises(BadInput, match="start again without a cursor"):
        await store.list(Anomaly, replace(ALL, cursor=cursor))


async def test_a_limit_below_one_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="limit: 0"):
        await store.list(Anomaly, replace(ALL, limit=0))


async def test_an_unknown_kind_is_refused_and_nothing_is_kept(store: Store) -> None:
    with pytest.raises(Permanent, match=r"keeps no Filter; kinds it keeps: .*Anomaly, "):
        await store.save([episode(), ALL])

    assert await ids(store, ALL) == []
    assert await store.events(0, 10) == []


async def test_an_entry_of_the_trail_is_never_replaced(store: Store) -> None:
    first = make.audit_entry(1, target="a")
    await store.save([first])

    with pytest.raises(Occupied, match="never changed"):
        await store.save([make.audit_entry(1, target="b")])

    assert await targets(store) == ["a"]


async def test_who_comes_too_late_for_a_place_saves_nothing_of_a_batch(store: Store) -> None:
    await store.save([make.audit_entry(1, target="a")])

    with pytest.raises(Occupied):
        await store.save([make.api_key("late"), make.audit_entry(1, target="b")])

    assert await store.get(ApiKey, INSTALLATION, "late") is None


async def test_the_same_entry_may_be_saved_again(store: Store) -> None:
    entry = make.audit_entry(1)
    await store.save([entry])

    await store.save([entry])

    assert (await store.list(AuditEntry, Filter(INSTALLATION))).items == [entry]


async def test_of_many_that_want_one_place_one_gets_it(store: Store) -> None:
    wanted = [make.audit_entry(1, target=str(n)) for n in range(8)]

    outcomes = await asyncio.gather(
        *(store.save([entry]) for entry in wanted), return_exceptions=True
    )

    assert sum(isinstance(outcome, Occupied) for outcome in outcomes) == 7
    assert len(await targets(store)) == 1


async def test_the_trail_is_never_forgotten(bounded: Store) -> None:
    for position in range(1, 15):
        await bounded.save([make.audit_entry(position, target=str(position))])

    assert await targets(bounded) == [str(position) for position in range(14, 0, -1)]


async def test_who_may_do_what_is_no_event(store: Store) -> None:
    await store.save([make.api_key("k"), make.audit_entry(1), make.user("ann")])

    assert await store.events(0, 10) == []


async def test_noting_a_use_does_not_undo_a_revocation(store: Store) -> None:
    key = make.api_key("k")
    await store.save([key])
    await store.save([replace(key, revoked_ns=5, revision=1)])

    await store.save([replace(key, used_ns=10)])

    kept = await store.get(ApiKey, INSTALLATION, "k")
    assert kept is not None
    assert kept.revoked_ns == 5


async def test_saving_nothing_gives_the_last_sequence(store: Store) -> None:
    assert await store.save([]) == 0

    last = await store.save([episode()])

    assert await store.save([]) == last


async def test_concurrent_saves_are_all_kept(store: Store) -> None:
    batches = [[episode(started_ns=10 * n + k) for k in range(10)] for n in range(8)]

    sequences = await asyncio.gather(*(store.save(batch) for batch in batches))

    assert len(set(sequences)) == 8
    assert len((await store.list(Anomaly, replace(ALL, limit=100))).items) == 80
    assert len(await store.events(0, 100)) == 80


async def test_closing_is_safe_twice_and_ends_use(store: Store) -> None:
    await store.close()
    await store.close()

    with pytest.raises(Permanent, match="closed"):
        await store.save([episode()])
    with pytest.raises(Permanent, match="closed"):
        await store.list(Anomaly, ALL)


@pytest.mark.parametrize("name", DURABLE)
async def test_what_was_saved_survives_reopening(
    name: str, build_store: Build, tmp_path: Path
) -> None:
    first = build_store(name, tmp_path)
    record = episode()
    last = await first.save([record])
    await first.close()

    second = build_store(name, tmp_path)

    assert await second.get(Anomaly, DEFAULT_TENANT, record.id) == record
    assert [event.sequence for event in await second.events(0, 10)] == [last]
    assert await second.save([record]) == last
    assert await second.save([replace(record, position=2)]) == last + 1
    await second.close()


@pytest.mark.parametrize("name", DURABLE)
async def test_what_was_saved_is_there_without_a_goodbye(
    name: str, build_store: Build, tmp_path: Path
) -> None:
    """A second opening sees a save that returned, although the first never closed."""
    crashed = build_store(name, tmp_path)
    record = episode()
    await crashed.save([record])

    after = build_store(name, tmp_path)

    assert await after.get(Anomaly, DEFAULT_TENANT, record.id) == record
    await after.close()
    await crashed.close()


@pytest.mark.parametrize("name", DURABLE)
async def test_limits_hold_across_reopening(name: str, build_store: Build, tmp_path: Path) -> None:
    open_store: Callable[[], Store] = lambda: build_store(  # noqa: E731
        name, tmp_path, record_limit=5, outbox_limit=4
    )
    for start in range(9):
        store = open_store()
        record = episode(started_ns=start)
        await store.save([closed(record, ended_ns=start + 1, position=1)])
        await store.close()

    store = open_store()

    assert len(await ids(store, ALL)) == 5
    assert len(await store.events(0, 100)) == 4
    await store.close()
