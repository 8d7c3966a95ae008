"""Every store finds incidents by their words and text, and counts them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests import make
from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.model.alert import Urgency
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.handling import Happening, IncidentEntry, IncidentHead, IncidentMembers
from watchkeeper.model.incident import ComplaintKey, IncidentId, IncidentStatus, Join, Member
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.store.base import Filter, Store

S = make.NS_PER_S
EPOCH = make.START_NS // S


@pytest.fixture(params=sorted(plugins.BUILTIN["store"]))
async def store(
    request: pytest.FixtureRequest, build_store: Callable[..., Store], tmp_path: Path
) -> AsyncIterator[Store]:
    built = build_store(request.param, tmp_path)
    yield built
    await built.close()


def head(number: int, *services: str, **fields: Any) -> IncidentHead:
    """Number 2 began a second after number 1."""
    usual: dict[str, Any] = {
        "id": IncidentId(f"INC-{EPOCH + number}-{number}"),
        "tenant": DEFAULT_TENANT,
        "status": IncidentStatus.OPEN,
        "title": f"{services[0]} answers too late",
        "opened_ns": make.START_NS + number * S,
        "updated_ns": make.START_NS + number * S,
        "urgency": Urgency.WARNING,
        "representative": ComplaintKey("c1"),
        "service": services[0],
        "services": tuple(sorted(services)),
        "rules": ("HighLatency",),
    }
    return IncidentHead(**(usual | fields))


HEADS = (
    head(1, "payment", "web", urgency=Urgency.CRITICAL, assignee="ann"),
    head(2, "bank", "payment", status=IncidentStatus.ACKNOWLEDGED, rules=("Errors", "Slow")),
    head(3, "search", title="Größe: 100% of the disk is used"),
    head(4, "pay", status=IncidentStatus.RESOLVED, resolved_ns=make.START_NS + 90 * S),
    head(5, "web", status=IncidentStatus.MERGED, merged_into=IncidentId("INC-1-1")),
    head(6, "web", tenant=TenantId("acme")),
)


def numbers(heads: Any) -> list[int]:
    return [int(one.id.rpartition("-")[2]) for one in heads]


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"where": {"shown": "listed"}}, [4, 3, 2, 1]),
        ({"where": {"shown": "active"}}, [3, 2, 1]),
        ({"where": {"service": "payment"}}, [2, 1]),
        ({"where": {"service": "pay"}}, [4]),
        ({"where": {"service": "payment", "urgency": "critical"}}, [1]),
        ({"where": {"rule": "Slow"}}, [2]),
        ({"where": {"rule": "slow"}}, []),
        ({"where": {"assignee": "ann"}}, [1]),
        ({"where": {"status": "acknowledged"}}, [2]),
        ({"status": "resolved"}, [4]),
        ({"status": "resolved", "where": {"service": "web"}}, []),
        ({"text": "ANSWERS too"}, [5, 4, 2, 1]),
        ({"text": "größe: 100%"}, [3]),
        ({"text": "_"}, []),
        ({"text": "bank", "where": {"service": "payment"}}, [2]),
        ({"until_ns": make.START_NS + 3 * S, "where": {"shown": "listed"}}, [2, 1]),
        ({"since_ns": make.START_NS + 91 * S, "where": {"shown": "listed"}}, [3, 2, 1]),
    ],
)
async def test_incidents_are_found_by_words_and_text(
    store: Store, asked: dict[str, Any], want: list[int]
) -> None:
    await store.save(HEADS)

    page = await store.list(IncidentHead, Filter(DEFAULT_TENANT, **asked))

    assert numbers(page.items) == want


async def test_pages_of_what_was_found_go_on_behind_the_one_before(store: Store) -> None:
    await store.save(HEADS)
    query = Filter(DEFAULT_TENANT, where={"shown": "listed"}, limit=3)

    first = await store.list(IncidentHead, query)
    second = await store.list(
        IncidentHead,
        Filter(DEFAULT_TENANT, where={"shown": "listed"}, limit=3, cursor=first.cursor),
    )

    assert numbers([*first.items, *second.items]) == [4, 3, 2, 1]
    assert second.cursor is None


async def test_words_are_counted_the_most_frequent_first(store: Store) -> None:
    await store.save(HEADS)

    found = await store.facets(IncidentHead, Filter(DEFAULT_TENANT, where={"shown": "listed"}))

    assert (found.n, found.is_whole) == (4, True)
    assert list(found.counts["service"].items()) == [
        ("payment", 2),
        ("bank", 1),
        ("pay", 1),
        ("search", 1),
        ("web", 1),
    ]
    assert found.counts["status"] == {"open": 2, "acknowledged": 1, "resolved": 1}
    assert found.counts["urgency"] == {"warning": 3, "critical": 1}
    assert found.counts["rule"] == {"HighLatency": 3, "Errors": 1, "Slow": 1}


async def test_of_too_many_the_newest_are_counted(store: Store) -> None:
    await store.save(HEADS)

    found = await store.facets(IncidentHead, Filter(DEFAULT_TENANT, limit=2))

    assert (found.n, found.is_whole) == (2, False)
    assert set(found.counts["service"]) == {"web", "pay"}


async def test_words_follow_the_newest_version(store: Store) -> None:
    await store.save([head(1, "payment")])

    await store.save([head(1, "payment", "bank", version=2, assignee="bob")])

    found = await store.list(IncidentHead, Filter(DEFAULT_TENANT, where={"service": "bank"}))
    assert [one.assignee for one in found.items] == ["bob"]


async def test_a_word_that_no_record_has_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="no record has 'colour'; there are status, urgency"):
        await store.list(IncidentHead, Filter(DEFAULT_TENANT, where={"colour": "red"}))


async def test_what_has_no_words_is_found_by_none(store: Store) -> None:
    await store.save([make.anomaly()])

    page = await store.list(Anomaly, Filter(DEFAULT_TENANT, text="a"))

    assert list(page.items) == []


async def test_any_name_is_a_word(store: Store) -> None:
    strange = "a\x1fS:b\0 '\"%_\\"
    await store.save([head(1, strange), head(2, "b")])

    found = await store.list(IncidentHead, Filter(DEFAULT_TENANT, where={"service": strange}))

    assert numbers(found.items) == [1]
    assert found.items[0].service == strange


async def test_alerts_and_entries_are_read_back_equal(store: Store) -> None:
    join = Join(ComplaintKey("c1"), 1.5, -0.25, 0.0, 0.5, 2)
    member = Member(
        ComplaintKey("c1"), "Errors", "bank", Urgency.ERROR, 1, 2, None, 3, join, summary="x"
    )
    members = IncidentMembers(IncidentId("INC-5-1"), DEFAULT_TENANT, 5, (member,), {})
    entry = IncidentEntry(
        IncidentId("INC-5-1"), "7-0", 5, Happening.JOINED, complaint=ComplaintKey("c1"), join=join
    )

    await store.save([members, entry])

    assert await store.get(IncidentMembers, DEFAULT_TENANT, "INC-5-1") == members
    assert await store.get(IncidentEntry, DEFAULT_TENANT, "INC-5-1/7-0") == entry


async def test_heads_alone_are_news(store: Store) -> None:
    members = IncidentMembers(IncidentId("INC-5-1"), DEFAULT_TENANT, 5, (), {})
    entry = IncidentEntry(IncidentId("INC-5-1"), "7-0", 5, Happening.OPENED)

    await store.save([members, head(1, "bank"), entry])

    assert [event.record for event in await store.events(0, 10)] == [head(1, "bank")]
