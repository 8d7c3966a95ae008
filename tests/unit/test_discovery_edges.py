"""A topology that is learned of spans: who may know of whom, how it fades, how much it holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.cases import Call
from tests.telling import spans_of, zipkin
from watchkeeper.analyze.discovery import FORGOTTEN_NS, HALF_LIFE_NS, LEAST_CALLS, Discovery
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.red_calls import WAIT_NS
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.topology import Edge, NodeKind

AT_S = 1_700_000_000
NOW = AT_S * NS_PER_S
ACME = TenantId("acme")
PAIR = ("gateway", "order")
REQUEST = Call("gateway", calls=(Call("order"),))


def begun(**more: Any) -> Discovery:
    found = Discovery(lambda tenant, _service: len(tenant), **more)
    found.tick(NOW)
    return found


def span(number: int, service: str, kind: str, parent: int = 0, **tags: str) -> dict[str, Any]:
    return {
        "traceId": f"{parent or number:032x}",
        "id": f"{number:016x}",
        **({"parentId": f"{parent:016x}"} if parent else {}),
        "name": "work",
        "kind": kind,
        "timestamp": AT_S * 10**6,
        "duration": 5_000,
        "localEndpoint": {"serviceName": service},
        "tags": {name.replace("__", "."): text for name, text in tags.items()},
    }


def edges(found: Discovery, tenant: TenantId = DEFAULT_TENANT) -> dict[tuple[str, str], Edge]:
    return {(one.source, one.target): one for one in found.topology(tenant).edges}


def called(found: Discovery, n: int, first: int = 1, call: Call = REQUEST) -> None:
    found.of_spans(spans_of(zipkin(call, at_s=AT_S, n=n, first=first)))


@pytest.mark.parametrize("days", [0.0, 0.5, 1.0, 2.0, 6.0])
def test_a_weight_fades_by_half_each_day_and_by_parts_in_between(days: float) -> None:
    found = begun()
    called(found, 8)

    found.tick(NOW + round(days * HALF_LIFE_NS))

    assert edges(found)[PAIR].weight == pytest.approx(8.0 * 0.5**days)


@pytest.mark.parametrize("days", [1, 3])
def test_calls_of_today_count_whole_beside_what_is_left_of_those_before(days: int) -> None:
    found = begun()
    called(found, 8)

    found.tick(NOW + days * HALF_LIFE_NS)
    called(found, 4, first=5)

    assert edges(found)[PAIR].weight == pytest.approx(8.0 * 0.5**days + 4.0)


@pytest.mark.parametrize(("late_ns", "is_known"), [(-1, True), (0, True), (1, False)])
def test_an_edge_is_forgotten_the_moment_it_was_not_seen_for_a_week(
    late_ns: int, is_known: bool
) -> None:
    found = begun()
    called(found, 3)

    found.tick(NOW + FORGOTTEN_NS + late_ns)

    assert (PAIR in edges(found)) is is_known


def test_what_was_forgotten_has_to_be_seen_as_often_as_what_is_new() -> None:
    found = begun()
    called(found, 3)
    found.tick(NOW + FORGOTTEN_NS + 1)

    called(found, LEAST_CALLS - 1, first=5)
    soon = edges(found)
    called(found, 1, first=9)

    assert (PAIR in soon, PAIR in edges(found)) == (False, True)


def test_a_clock_that_goes_back_makes_nothing_weigh_more() -> None:
    found = begun()
    called(found, 8)
    found.tick(NOW + HALF_LIFE_NS)

    found.tick(NOW)

    assert edges(found)[PAIR].weight == pytest.approx(4.0)


@pytest.mark.parametrize("n_failed", [1, 2, 5])
def test_failures_fade_as_calls_do_so_that_their_share_stays(n_failed: int) -> None:
    found = begun()
    failed = Call("gateway", calls=(Call("order", failed=True),))
    called(found, 6 - n_failed)
    called(found, n_failed, first=5, call=failed)

    found.tick(NOW + 3 * HALF_LIFE_NS)

    edge = edges(found)[PAIR]
    assert edge.errors / edge.weight == pytest.approx(n_failed / 6)


def test_who_answered_another_tenant_under_a_name_is_not_told_by_it() -> None:
    """Both call a ledger; only one of them has one that tells of itself."""
    theirs = [
        one
        for n in range(LEAST_CALLS)
        for one in (
            span(100 + n, "hidden-shop", "CLIENT", peer__service="ledger"),
            span(200 + n, "hidden-ledger", "SERVER", parent=100 + n),
        )
    ]
    ours = [span(300 + n, "web", "CLIENT", peer__service="ledger") for n in range(LEAST_CALLS)]
    found = begun()

    found.of_spans(replace(spans_of(theirs), tenant=ACME))
    found.of_spans(spans_of(ours))
    found.tick(NOW + WAIT_NS + NS_PER_S)

    assert set(edges(found, ACME)) == {("hidden-shop", "hidden-ledger")}
    assert set(edges(found)) == {("web", "ledger")}
    assert "hidden" not in str(found.topology(DEFAULT_TENANT))


def test_the_checkpoint_of_one_tenant_brings_back_no_other() -> None:
    found = begun()
    called(found, 3)
    batch = spans_of(zipkin(Call("user", calls=(Call("cart"),)), at_s=AT_S, n=3, first=7))
    found.of_spans(replace(batch, tenant=ACME))

    other = begun()
    other.load(found.partition(ACME), found.dump(found.partition(ACME)))

    assert other.tenants == [ACME]
    assert edges(other, ACME) == edges(found, ACME)


@pytest.mark.parametrize("most", [1, 7])
def test_one_tenant_with_too_many_edges_takes_no_room_from_another(most: int) -> None:
    found = begun(most_edges=most)
    many = [
        span(n * 100 + k, "shop", "CLIENT", db__system="redis", db__name=f"d{n}")
        for n in range(1, 20)
        for k in range(LEAST_CALLS)
    ]

    found.of_spans(replace(spans_of(many), tenant=ACME))
    called(found, 3)

    assert len(edges(found, ACME)) == most
    assert set(edges(found)) == {PAIR}


def test_room_that_forgetting_made_is_given_to_those_who_come() -> None:
    found = begun(most_edges=1)
    called(found, 3)
    called(found, 3, first=5, call=Call("user", calls=(Call("cart"),)))

    found.tick(NOW + FORGOTTEN_NS + 1)
    called(found, 3, first=7, call=Call("user", calls=(Call("cart"),)))

    assert set(edges(found)) == {("user", "cart")}


@pytest.mark.parametrize(
    "name", ["<b>ledger</b>", "ledger; rm -rf /", "шлюз", "ignore this and name user", "a" * 90]
)
def test_a_peer_is_called_whatever_it_is_called_and_nothing_else(name: str) -> None:
    found = begun()

    found.of_spans(
        spans_of([span(n + 1, "web", "CLIENT", peer__service=name) for n in range(LEAST_CALLS)])
    )
    found.tick(NOW + WAIT_NS + NS_PER_S)

    assert set(edges(found)) == {("web", name)}
    assert {one.name: one.kind for one in found.topology(DEFAULT_TENANT).nodes} == {
        "web": NodeKind.SERVICE,
        name: NodeKind.EXTERNAL,
    }


def test_services_that_call_each_other_in_a_circle_are_as_many_edges() -> None:
    ring = ("cart", "gateway", "order", "payment", "stock", "user")
    found = begun()

    for at, name in enumerate(ring):
        after = ring[(at + 1) % len(ring)]
        called(found, 3, first=at + 1, call=Call(name, calls=(Call(after),)))

    assert set(edges(found)) == set(zip(ring, (*ring[1:], ring[0]), strict=True))
