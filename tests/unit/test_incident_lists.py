"""Lists of incidents: each filter alone and with others, pages while new ones come, and counts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.model.alert import Urgency
from watchkeeper.model.handling import IncidentHead
from watchkeeper.model.incident import ComplaintKey, IncidentId, IncidentStatus
from watchkeeper.model.series import DEFAULT_TENANT, TenantId

PATH: Final = "/api/v1/incidents"
S: Final = make.NS_PER_S
ACME: Final = TenantId("acme")
STATUSES: Final = tuple(IncidentStatus)
OVER: Final = frozenset({"resolved", "closed", "merged"})
SERVICES: Final = ("bank", "payment", "search")
WHO: Final = ("", "ann", "bob")


def head(n: int, tenant: TenantId = DEFAULT_TENANT) -> IncidentHead:
    """The n-th: of each kind in turns, with periods that have nothing in common."""
    opened_ns = make.START_NS + n * 60 * S
    status = STATUSES[n % len(STATUSES)]
    return IncidentHead(
        id=IncidentId(f"INC-{opened_ns // S}-{n}"),
        tenant=tenant,
        status=status,
        title=f"Trouble {n} of the {'disk' if n % 2 else 'Größe'}",
        opened_ns=opened_ns,
        updated_ns=opened_ns,
        urgency=tuple(Urgency)[n // 2 % 4],
        representative=ComplaintKey("a"),
        service=SERVICES[n % 3],
        services=tuple(sorted({SERVICES[n % 3], SERVICES[n // 3 % 3]})),
        rules=(f"Rule{n % 5}",),
        assignee=WHO[n // 4 % 3],
        resolved_ns=opened_ns + 600 * S if status in OVER else None,
        version=1,
        position=0,
    )


HEADS: Final = [head(n) for n in range(60)]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    """With sixty incidents, and as many of somebody else."""
    async with api(tmp_path) as found:
        await found.store.save([*HEADS, *(head(n, ACME) for n in range(60))])
        yield found


def matches(told: IncidentHead, asked: dict[str, str]) -> bool:
    """Whether a list by these words has an incident, told from the words' meaning alone."""
    status = asked.get("status")
    shown = {
        None: told.status != "merged",
        "active": told.status not in OVER,
    }.get(status, told.status == status)
    text = asked.get("text", "").lower()
    searched = " ".join((told.id, told.title, *told.services, *told.rules)).lower()
    return (
        shown
        and asked.get("service", told.service) in told.services
        and asked.get("urgency", told.urgency.name.lower()) == told.urgency.name.lower()
        and asked.get("rule", told.rules[0]) == told.rules[0]
        and asked.get("assignee", told.assignee) == told.assignee
        and text in searched
    )


WORDS: Final[dict[str, tuple[str, ...]]] = {
    "status": ("active", *(status.value for status in STATUSES)),
    "service": (*SERVICES, "nobody"),
    "urgency": tuple(urgency.name.lower() for urgency in Urgency),
    "rule": ("Rule0", "Rule4", "Rule9"),
    "assignee": ("ann", "bob", "eve"),
    "text": ("DISK", "größe", "trouble 7", "rule3", "%", "_", "' OR 1=1"),
}
ALONE: Final = [{name: word} for name, words in WORDS.items() for word in words]
TOGETHER: Final = [
    {first: WORDS[first][n % len(WORDS[first])], second: WORDS[second][n % len(WORDS[second])]}
    for first, second in itertools.combinations(WORDS, 2)
    for n in (0, 1)
]


def newest_first(asked: dict[str, str]) -> list[str]:
    return [told.id for told in reversed(HEADS) if matches(told, asked)]


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for item in answer["items"]]


async def test_each_filter_alone_lists_what_has_that_word_and_nothing_else(one: Api) -> None:
    found = [ids(await one.get(PATH, **asked)) for asked in ALONE]

    for asked, listed in zip(ALONE, found, strict=True):
        assert listed == newest_first(asked), asked
    assert [] in found
    assert sum(map(bool, found)) > len(ALONE) / 2


async def test_two_filters_list_what_both_do(one: Api) -> None:
    for asked in TOGETHER:
        listed = ids(await one.get(PATH, **asked))

        assert listed == newest_first(asked), asked


async def test_all_filters_at_once_find_the_one_that_has_all_words(one: Api) -> None:
    wanted = HEADS[31]
    asked = {
        "status": wanted.status.value,
        "service": wanted.services[0],
        "urgency": wanted.urgency.name.lower(),
        "rule": wanted.rules[0],
        "assignee": wanted.assignee,
        "text": wanted.id.lower(),
        "since": str(wanted.opened_ns // S),
        "until": str(wanted.opened_ns // S + 1),
    }

    assert ids(await one.get(PATH, **asked)) == [wanted.id]
    for name in asked:
        listed = ids(await one.get(PATH, **{key: asked[key] for key in asked if key != name}))
        assert wanted.id in listed


async def test_what_began_before_and_was_not_over_is_of_that_time(one: Api) -> None:
    for minutes in (0, 7, 59, 90):
        at_ns = make.START_NS + minutes * 60 * S + S

        answer = await one.get(PATH, since=str(at_ns // S), until=str(at_ns // S))

        assert ids(answer) == [
            told.id
            for told in reversed(HEADS)
            if told.status != "merged"
            and told.opened_ns < at_ns
            and (told.resolved_ns is None or told.resolved_ns >= at_ns)
        ]


@pytest.mark.parametrize("limit", ["4", "50"])
async def test_pages_have_every_incident_once_while_new_ones_come(one: Api, limit: str) -> None:
    listed: list[str] = []
    page: dict[str, Any] = {"cursor": ""}
    for n in itertools.count(100):
        asked = {"cursor": page["cursor"]} if page["cursor"] else {}
        page = await one.get(PATH, limit=limit, **asked)
        listed += ids(page)
        if page["cursor"] is None:
            break
        await one.store.save([head(n)])

    assert listed == newest_first({})


async def test_a_page_of_a_filter_goes_on_within_it(one: Api) -> None:
    for asked in ({}, {"status": "active"}, {"service": "bank", "text": "disk"}):
        first = await one.get(PATH, limit="3", **asked)
        second = await one.get(PATH, limit="1000", cursor=first["cursor"], **asked)

        assert ids(first) + ids(second) == newest_first(asked)


async def test_a_cursor_that_nobody_gave_is_refused_with_what_to_do(one: Api) -> None:
    for cursor in ("x", "🦉", "0" * 5000, "'; --", "../../etc"):
        answer = await one.http.get(PATH, params={"cursor": cursor})

        assert answer.status_code == 400, cursor
        assert "cursor" in answer.json()["detail"]


async def test_facets_count_what_the_list_lists(one: Api) -> None:
    for asked in [{}, *ALONE, *TOGETHER[::3]]:
        answer = await one.get(PATH, facets="true", limit="1000", **asked)

        items, facets = answer["items"], answer["facets"]
        assert answer["counted"] == {"incidents": len(items), "all": True}
        for name, of in (
            ("status", lambda item: [item["status"]]),
            ("urgency", lambda item: [item["urgency"]]),
            ("service", lambda item: item["services"]),
            ("rule", lambda item: item["rules"]),
            ("assignee", lambda item: [item["assignee"]] if item["assignee"] else []),
        ):
            counted = Counter(word for item in items for word in of(item))
            assert facets.get(name, {}) == counted, (asked, name)


async def test_facets_count_all_that_match_whatever_the_page(one: Api) -> None:
    whole = await one.get(PATH, facets="true")
    page = await one.get(PATH, facets="true", limit="2")
    behind = await one.get(PATH, facets="true", limit="2", cursor=page["cursor"])

    assert len(page["items"]) == len(behind["items"]) == 2
    assert whole["facets"] == page["facets"] == behind["facets"]


async def test_a_tenant_that_has_nothing_sees_nothing_of_any_other(one: Api) -> None:
    for asked in ({}, {"facets": "true"}, {"status": "merged"}, {"text": "a"}):
        answer = await one.http.get(PATH, params=asked, headers={"x-scope-orgid": "nobody"})

        told = answer.json()
        assert (told["items"], told["cursor"]) == ([], None)
        assert told.get("counted", {"incidents": 0})["incidents"] == 0
        assert not any(told.get("facets", {}).values())


async def test_what_one_tenant_does_is_seen_by_nobody_else(one: Api) -> None:
    incident, theirs = HEADS[0].id, {"x-scope-orgid": ACME}

    done = await one.http.post(
        f"{PATH}/{incident}/comment", json={"comment": "ours"}, headers=theirs
    )

    paths = (f"{PATH}/{incident}", f"{PATH}/{incident}/timeline")
    mine = [(await one.get(path)) for path in paths]
    shown = [(await one.http.get(path, headers=theirs)).json() for path in paths]
    assert done.status_code == 200
    assert (mine[0]["comments"], mine[1]["items"]) == (0, [])
    assert (shown[0]["comments"], [item["text"] for item in shown[1]["items"]]) == (1, ["ours"])


TEXTS: Final = {
    "markup": "<script>alert('x')</script><img src=x onerror=alert(1)>",
    "sql": "'; DROP TABLE records; --",
    "templates": "{{7*7}} ${jndi:ldap://x} %s {0}",
    "control": "a\x00b\x1b[2J\x1fT:closed\x1f\r\nSet-Cookie: x=1",
    "unicode": "größe 🦉 \u202eevil\u202c \ufeff\u2028",
    "longest": "y" * 4000,
}


async def test_a_comment_comes_back_as_it_was_said_and_does_nothing(one: Api) -> None:
    there = [told.id for told in HEADS if told.status == "open"]
    for incident, text in zip(there, TEXTS.values(), strict=False):
        answer = await one.http.post(f"{PATH}/{incident}/comment", json={"comment": text})

        (entry,) = (await one.get(f"{PATH}/{incident}/timeline"))["items"]
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert (entry["text"], entry["what"]) == (text, "commented")
    assert ids(await one.get(PATH)) == newest_first({})


async def test_what_is_too_long_is_refused_and_not_logged(one: Api) -> None:
    for verb, name, size in (
        ("comment", "comment", 4001),
        ("comment", "comment", 3_000_000),
        ("assign", "assignee", 201),
        ("merge", "into", 101),
    ):
        answer = await one.http.post(f"{PATH}/{HEADS[0].id}/{verb}", json={name: "y" * size})

        assert answer.status_code in (413, 422)
    assert one.deciding.logged == []


def by_status() -> Iterator[tuple[str, int]]:
    """What comes of it if somebody acknowledges one of each."""
    for status in STATUSES:
        yield status.value, 200 if status.value not in OVER else 409


async def test_of_many_each_is_done_or_refused_for_itself_in_the_order_that_was_asked(
    one: Api,
) -> None:
    of_each = [HEADS[n].id for n in range(len(STATUSES))]
    wanted = ["INC-1-1", *of_each, "\u202e", of_each[0]]

    answer = await one.http.post(f"{PATH}/bulk", json={"verb": "acknowledge", "incidents": wanted})

    told = answer.json()
    statuses = [status for _, status in by_status()]
    assert [item["id"] for item in told["results"]] == wanted[:-1]
    assert [item["status"] for item in told["results"]] == [404, *statuses, 404]
    assert (told["done"], told["refused"]) == (3, 5)
    for item in told["results"]:
        assert bool(item["detail"]) is (item["status"] >= 400) is (item["incident"] is None)


async def test_of_many_those_that_were_overtaken_are_told_so(one: Api) -> None:
    wanted = [HEADS[0].id, HEADS[1].id]
    await one.http.post(f"{PATH}/{wanted[0]}/assign", json={"assignee": "eve"})

    answer = await one.http.post(
        f"{PATH}/bulk",
        json={"verb": "resolve", "incidents": wanted, "expected": 1},
    )

    assert [item["status"] for item in answer.json()["results"]] == [412, 200]
    assert [(await one.get(f"{PATH}/{name}"))["status"] for name in wanted] == ["open", "resolved"]
