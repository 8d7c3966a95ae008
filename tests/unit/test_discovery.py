"""Who depends on whom, learned of spans."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cases import Call
from tests.telling import DATABASE, spans_of, zipkin
from watchkeeper.analyze.discovery import (
    FORGOTTEN_NS,
    HALF_LIFE_NS,
    LEAST_CALLS,
    Discovery,
    kind_of,
)
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import red_kernel
from watchkeeper.lake.red_calls import WAIT_NS
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.topology import Edge, EdgeKind, EdgeOrigin, Node, NodeKind

AT_S = 1_700_000_000.0
NOW = round(AT_S) * NS_PER_S
REQUEST = Call(
    "gateway",
    calls=(Call("order", calls=(Call("database", silent=True), Call("payment"))),),
)


def discovery() -> Discovery:
    """Just begun, at a time."""
    found = Discovery(lambda _tenant, service: len(service))
    found.tick(NOW)
    return found


def learned(*calls: Call, n: int = 3, node: str = "") -> Discovery:
    found = discovery()
    found.of_spans(spans_of(zipkin(*calls, at_s=AT_S, n=n), node=node))
    found.tick(NOW + WAIT_NS + NS_PER_S)
    return found


def edges(found: Discovery) -> dict[tuple[str, str], Edge]:
    return {(one.source, one.target): one for one in found.topology(DEFAULT_TENANT).edges}


def kinds(found: Discovery) -> dict[str, NodeKind]:
    return {one.name: one.kind for one in found.topology(DEFAULT_TENANT).nodes}


def span(number: int, service: str, kind: str, **tags: str) -> dict[str, Any]:
    return {
        "traceId": f"{number:032x}",
        "id": f"{number:016x}",
        "name": "work",
        "kind": kind,
        "timestamp": round(AT_S * 1e6),
        "duration": 5000,
        "localEndpoint": {"serviceName": service},
        "tags": {name.replace("__", "."): text for name, text in tags.items()},
    }


def told(*spans: dict[str, Any]) -> Discovery:
    found = discovery()
    found.of_spans(spans_of(list(spans)))
    found.tick(NOW + WAIT_NS + NS_PER_S)
    return found


def test_edges_lead_from_who_calls_to_who_is_called() -> None:
    found = learned(REQUEST)

    assert sorted(edges(found)) == [
        ("gateway", "order"),
        ("order", "payment"),
        ("order", DATABASE),
    ]
    assert {one.kind for one in edges(found).values()} == {EdgeKind.CALLS}
    assert {one.origin for one in edges(found).values()} == {EdgeOrigin.TRACES}


def test_an_edge_weighs_its_calls_and_those_of_them_that_failed() -> None:
    failed = Call("gateway", calls=(Call("order", failed=True),))

    one = edges(learned(Call("gateway", calls=(Call("order"),)), failed, n=4))["gateway", "order"]

    assert one.weight == pytest.approx(8.0, rel=1e-3)
    assert one.errors == pytest.approx(4.0, rel=1e-3)


def test_two_calls_are_no_edge_yet_and_the_third_makes_one() -> None:
    found = learned(REQUEST, n=LEAST_CALLS - 1)
    assert edges(found) == {}

    found.of_spans(spans_of(zipkin(REQUEST, at_s=AT_S, n=1, first=9)))

    assert ("gateway", "order") in edges(found)


def test_ends_that_come_in_several_batches_are_one_call() -> None:
    found = discovery()

    for one in zipkin(REQUEST, at_s=AT_S, n=3):
        found.of_spans(spans_of([one]))

    assert edges(found)["gateway", "order"].weight == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("name", "sort", "kind"),
    [
        ("postgresql/shop", red_kernel.DATABASE, NodeKind.DATABASE),
        ("redis", red_kernel.DATABASE, NodeKind.CACHE),
        ("Redis/0", red_kernel.DATABASE, NodeKind.CACHE),
        ("rediset", red_kernel.DATABASE, NodeKind.DATABASE),
        ("kafka/orders", red_kernel.QUEUE, NodeKind.QUEUE),
    ],
)
def test_what_a_peer_is_follows_from_what_it_is_called_and_how(
    name: str, sort: int, kind: NodeKind
) -> None:
    assert kind_of(name, sort) == kind


def test_services_and_databases_have_their_kinds() -> None:
    assert kinds(learned(REQUEST)) == {
        "gateway": NodeKind.SERVICE,
        "order": NodeKind.SERVICE,
        "payment": NodeKind.SERVICE,
        DATABASE: NodeKind.DATABASE,
    }


def test_both_who_sends_and_who_takes_depend_on_a_queue() -> None:
    queue = {"messaging__system": "kafka", "messaging__destination__name": "orders"}
    spans = [span(n, "order", "PRODUCER", **queue) for n in (1, 2, 3)]
    spans += [span(n, "mail", "CONSUMER", **queue) for n in (4, 5, 6)]

    found = told(*spans)

    assert {pair: one.kind for pair, one in edges(found).items()} == {
        ("order", "kafka/orders"): EdgeKind.SENDS,
        ("mail", "kafka/orders"): EdgeKind.SENDS,
    }
    assert kinds(found)["kafka/orders"] == NodeKind.QUEUE


def test_who_is_called_by_a_name_and_never_tells_of_itself_is_outside() -> None:
    found = told(*(span(n, "order", "CLIENT", peer__service="bank.example") for n in (1, 2, 3)))

    assert kinds(found)["bank.example"] == NodeKind.EXTERNAL


def test_an_address_at_which_nobody_answers_is_no_node() -> None:
    found = told(*(span(n, "order", "CLIENT", server__address="10.0.0.7") for n in (1, 2, 3)))

    assert edges(found) == {}


def test_who_answered_under_a_name_is_meant_by_it_when_nobody_answers() -> None:
    spans = [span(n, "order", "CLIENT", peer__service="pay.local") for n in (1, 2, 3, 4)]
    answer = {**span(9, "payment", "SERVER"), "traceId": f"{1:032x}", "parentId": f"{1:016x}"}

    found = told(spans[0], answer, *spans[1:])

    assert edges(found)["order", "payment"].weight == pytest.approx(4.0, rel=1e-3)
    assert "pay.local" not in kinds(found)


def test_services_run_on_the_hosts_that_they_tell_of() -> None:
    found = learned(REQUEST, node="pi")

    assert edges(found)["payment", "pi"].kind == EdgeKind.RUNS_ON
    assert kinds(found)["pi"] == NodeKind.HOST


def test_a_weight_halves_in_a_day_and_a_week_later_the_edge_is_forgotten() -> None:
    found = learned(REQUEST, n=8)

    found.tick(NOW + HALF_LIFE_NS)
    half = edges(found)["gateway", "order"].weight
    found.tick(NOW + FORGOTTEN_NS + NS_PER_S + WAIT_NS * 2)

    assert half == pytest.approx(4.0, rel=0.01)
    assert edges(found) == {}
    assert kinds(found) == {}


def test_what_is_still_called_stays_when_other_edges_are_forgotten() -> None:
    found = learned(REQUEST)
    found.tick(NOW + FORGOTTEN_NS - NS_PER_S)
    later = zipkin(Call("user", calls=(Call("database", silent=True),)), at_s=AT_S, n=3, first=5)
    found.of_spans(spans_of(later))

    found.tick(NOW + FORGOTTEN_NS + WAIT_NS * 2)

    assert set(edges(found)) == {("user", DATABASE)}
    assert kinds(found)[DATABASE] == NodeKind.DATABASE


def test_the_same_spans_cut_into_other_batches_give_the_same_graph() -> None:
    spans = zipkin(REQUEST, at_s=AT_S, n=6)
    whole, pieces = discovery(), discovery()

    whole.of_spans(spans_of(spans))
    for at in range(0, len(spans), 5):
        pieces.of_spans(spans_of(spans[at : at + 5]))
    whole.tick(NOW + 2 * WAIT_NS)
    pieces.tick(NOW + 2 * WAIT_NS)

    assert whole.topology(DEFAULT_TENANT) == pieces.topology(DEFAULT_TENANT)


def test_a_checkpoint_goes_on_where_it_was_also_with_calls_that_wait_for_an_answer() -> None:
    spans = zipkin(REQUEST, at_s=AT_S, n=5)
    whole = discovery()
    whole.of_spans(spans_of(spans))
    before, after = discovery(), discovery()
    before.of_spans(spans_of(spans[:7]))

    after.load(0, before.dump(0))
    after.of_spans(spans_of(spans[7:]))
    for one in (whole, after):
        one.tick(NOW + 2 * WAIT_NS)

    assert after.topology(DEFAULT_TENANT) == whole.topology(DEFAULT_TENANT)


def test_a_partition_that_is_taken_over_empty_or_of_another_release_begins_anew() -> None:
    found = learned(REQUEST)

    found.load(0, b"")

    assert edges(found) == {}
    assert found.tenants == []


def test_a_partition_without_tenants_has_nothing_to_keep() -> None:
    assert learned(REQUEST).dump(17) == b""


def test_there_are_no_more_edges_than_are_bearable() -> None:
    found = Discovery(lambda _tenant, _service: 0, most_edges=5)
    spans = [span(n + 1, "order", "CLIENT", db__system="x", db__name=f"d{n}") for n in range(9)]

    for _ in range(LEAST_CALLS):
        found.of_spans(spans_of(spans))

    assert len(edges(found)) == 5


def test_a_service_that_calls_itself_depends_on_nobody() -> None:
    assert edges(learned(Call("gateway", calls=(Call("gateway"),)))) == {}


def test_nothing_is_known_of_a_stranger() -> None:
    found = discovery().topology(DEFAULT_TENANT, position=4)

    assert (found.nodes, found.edges, found.position) == ((), (), 4)


def test_nodes_and_edges_are_told_in_the_order_of_their_names() -> None:
    found = learned(REQUEST, node="pi").topology(DEFAULT_TENANT)

    assert list(found.nodes) == sorted(found.nodes, key=lambda one: one.name)
    assert list(found.edges) == sorted(found.edges, key=lambda one: (one.source, one.target))
    assert Node("pi", NodeKind.HOST) in found.nodes
