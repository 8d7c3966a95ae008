"""Operations and edges: how they are named, when they are told, and what bounds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.make import NS_PER_S, START_NS
from tests.red import Call, Works, spans, ticks
from watchkeeper.analyze.red import IDLE_NS, QUIET_NS, STEP_NS
from watchkeeper.lake import red
from watchkeeper.lake.red_groups import LATE_NS
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import SampleBatch

CART = "{GET /cart shop server}"
COUNT = f"span_duration_seconds_count{CART}"
STEP_S = STEP_NS // NS_PER_S
CLIENT, SERVER = 3, 2


@pytest.fixture
def works() -> Works:
    """It has heard a first tick, and knows where it is in time."""
    found = Works()
    found.tick(0)
    return found


def names(works: Works, *calls: Call) -> set[str]:
    """Operations or edges that spans are counted for."""
    works.take(spans(*calls))
    told = works.tick(STEP_S)
    return {
        name.partition("{")[2].rstrip("}")
        for name, value in told.items()
        if "_count" in name and value
    }


def rows(works: Works, after_s: float) -> list[tuple[str, float, float]]:
    """(series, seconds after the start, value) of all that is told at a tick."""
    told = works.red.tick(START_NS + round(after_s * NS_PER_S))
    return [row for batch in told for row in works.rows(batch)]


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("GET /v1/users/4711/cart", "GET /v1/users/{id}/cart"),
        ("GET /v12/s3/k8s", "GET /v12/s3/k8s"),
        ("/a/3f2a9c1e-77b1-4c7e/b", "/a/{id}/b"),
        ("/a/deadbeef0", "/a/{id}"),
        ("/a/deadbeef", "/a/deadbeef"),
        ("/find?q=4711&x=y", "/find"),
        ("/page#part", "/page"),
        ("7", "{id}"),
        ("grüße 12", "grüße {id}"),
        ("", "unnamed"),
        ("x" * 500, "x" * 120),
    ],
)
def test_an_operation_is_named_without_the_ids_in_it(works: Works, name: str, masked: str) -> None:
    assert names(works, Call(name=name)) == {f"{masked} shop server"}


@pytest.mark.parametrize(
    ("kind", "parent", "counts"),
    [(2, 7, True), (5, 7, True), (1, 0, True), (1, 7, False), (3, 0, False), (4, 0, False)],
)
def test_an_operation_is_what_a_service_is_asked_for_or_begins_itself(
    works: Works, kind: int, parent: int, counts: bool
) -> None:
    assert bool(names(works, Call(kind=kind, parent=parent))) is counts


def test_a_span_of_no_service_is_not_counted(works: Works) -> None:
    assert names(works, Call(service="")) == set()


@pytest.mark.parametrize(
    ("kind", "attributes", "edge"),
    [
        (3, {"db.system": "postgresql", "db.name": "orders"}, "shop postgresql/orders"),
        (3, {"db.system.name": "redis"}, "shop redis"),
        (4, {"messaging.system": "kafka", "messaging.destination.name": "paid"}, "shop kafka/paid"),
        (5, {"messaging.system": "kafka", "messaging.destination.name": "paid"}, "kafka/paid shop"),
    ],
)
def test_a_database_or_queue_is_a_peer_by_its_attributes(
    works: Works, kind: int, attributes: dict[str, str], edge: str
) -> None:
    assert edge in names(works, Call(kind=kind, attributes=attributes))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_call_is_an_edge_when_both_its_ends_have_come(
    works: Works, order: tuple[int, int]
) -> None:
    ends = (
        Call("web", kind=CLIENT, span=7, parent=1, duration_s=0.5),
        Call("shop", kind=SERVER, span=8, parent=7, duration_s=0.3, failed=True),
    )
    for which in order:
        works.take(spans(ends[which]))

    told = works.tick(STEP_S)

    assert told["edge_duration_seconds_sum{web shop}"] == 0.5
    assert told["edge_errors_total{web shop}"] == 1.0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_tenants_that_tell_of_the_same_trace_learn_nothing_of_each_other(
    works: Works, order: tuple[int, int]
) -> None:
    """Ids are for the sender to choose, and those of others can be guessed or overheard."""
    ends = (
        spans(Call("web", kind=CLIENT, span=7, parent=1)),
        replace(spans(Call("secret", kind=SERVER, span=8, parent=7)), tenant=TenantId("acme")),
    )
    for which in order:
        works.take(ends[which])

    told = works.tick(STEP_S)

    assert told
    assert not [name for name in told if name.startswith("edge")]


def test_a_call_that_nobody_answers_is_one_to_the_peer_it_names(works: Works) -> None:
    call = Call("web", kind=CLIENT, attributes={"server.address": "bank.example"})
    works.take(spans(call))
    works.tick(STEP_S)
    works.let_in(spans(Call("web", kind=CLIENT, span=99)), 25.0)

    told = [works.tick(10.0 * number) for number in range(2, 6)][-1]

    assert told["edge_duration_seconds_count{web bank.example}"] == 1.0


def test_a_call_that_nobody_answers_is_one_to_who_answered_under_that_name_before(
    works: Works,
) -> None:
    call = Call("web", kind=CLIENT, span=7, attributes={"server.address": "10.0.0.7"})
    works.take(spans(call, Call("shop", parent=7)))
    works.tick(STEP_S)
    works.take(spans(Call("web", kind=CLIENT, span=8, trace=2, attributes=call.attributes)))

    told = [works.tick(10.0 * number) for number in range(2, 6)][-1]

    assert told["edge_duration_seconds_count{web shop}"] == 2.0


def test_a_peer_without_a_name_is_an_address_like_all_others(works: Works) -> None:
    call = Call("web", kind=CLIENT, attributes={"server.address": "2001:db8::7"})
    works.take(spans(call))
    works.tick(STEP_S)
    works.let_in(spans(Call("web", kind=CLIENT, span=99)), 25.0)

    told = [works.tick(10.0 * number) for number in range(2, 6)][-1]

    assert told["edge_duration_seconds_count{web address}"] == 1.0


def test_a_new_group_begins_with_zeros_at_the_boundary_before(works: Works) -> None:
    works.take(spans(Call(duration_s=0.02)))

    found = rows(works, STEP_S)

    assert [one for one in found if one[0] == COUNT] == [(COUNT, 0.001, 0.0), (COUNT, 10.0, 1.0)]
    assert len(found) == 2 * red.N_SERIES


def test_boundaries_are_told_once(works: Works) -> None:
    works.take(spans(Call()))
    works.tick(STEP_S)
    works.take(spans(Call()))

    assert [rows(works, STEP_S + second) for second in range(1, STEP_S)] == [[]] * (STEP_S - 1)
    assert works.tick(2 * STEP_S)[COUNT] == 2.0


def test_a_group_that_counts_nothing_is_told_for_five_minutes(works: Works) -> None:
    works.take(spans(Call()))
    last = STEP_S + QUIET_NS // NS_PER_S

    told = [second for second in range(10, last + 60, 10) if works.tick(second)]

    assert told == list(range(10, last + 1, 10))


def test_a_group_that_wakes_begins_where_it_was(works: Works) -> None:
    works.take(spans(Call()))
    for second in range(10, 1000, 10):
        works.tick(second)
    works.take(spans(Call()), 995.0)

    found = rows(works, 1000)

    assert [one for one in found if one[0] == COUNT] == [(COUNT, 990.001, 1.0), (COUNT, 1000, 2.0)]


def test_a_group_that_is_idle_for_an_hour_begins_again(works: Works) -> None:
    works.take(spans(Call()))
    for second in range(10, 30 + IDLE_NS // NS_PER_S, 10):
        works.tick(second)
    works.take(spans(Call(start_s=3600.0)))

    told = works.tick(40 + IDLE_NS // NS_PER_S)

    assert told[COUNT] == 1.0


def test_a_span_that_comes_an_hour_late_is_not_counted(works: Works) -> None:
    late_s = -LATE_NS / NS_PER_S

    told = names(works, Call(start_s=late_s - 1), Call(name="b", start_s=late_s + 1))

    assert told == {"b shop server"}


def test_operations_beyond_the_first_are_counted_together(works: Works) -> None:
    letters = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(red.MAX_OPERATIONS + 5)]
    works.take(spans(*(Call(name=f"do {one}") for one in letters)))

    told = {name: value for name, value in works.tick(STEP_S).items() if "_count" in name}

    assert len(told) == red.MAX_OPERATIONS + 1
    assert told["span_duration_seconds_count{other shop server}"] == 5.0


def test_operations_stay_within_their_limit_when_the_door_was_closed(works: Works) -> None:
    letters = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(red.MAX_OPERATIONS)]
    works.take(spans(*(Call(name=f"do {one}") for one in letters)))
    again = Works(works.catalog)
    again.tick(0)

    again.take(spans(Call(name="one more"), Call(name="do aa")))

    told = {name: value for name, value in again.tick(STEP_S).items() if "_count" in name}
    assert told == {
        "span_duration_seconds_count{other shop server}": 1.0,
        "span_duration_seconds_count{do aa shop server}": 1.0,
    }


def test_what_is_not_registered_is_not_counted(works: Works) -> None:
    works.red.of_spans(spans(Call()))

    assert works.tick(STEP_S) == {}


def test_only_live_partitions_are_counted(works: Works) -> None:
    live = np.zeros(256, np.bool_)
    live[works.catalog.partition_of(spans(Call()).tenant, "shop")] = True
    batch = spans(Call("web", name="GET /"), Call())
    works.let_in(batch)

    works.red.of_spans(batch, live)

    assert {name for name in works.tick(STEP_S) if "_count" in name} == {COUNT}


def test_what_the_lake_keeps_has_quantiles_of_spans_too(works: Works) -> None:
    works.let_in(spans(Call()))
    whole = works.whole
    for record in ticks(0, 10):
        whole(record)
    whole(spans(*[Call(duration_s=0.02)] * 100))

    kept = [whole(record) for record in ticks(11, 20)][-1]

    assert isinstance(kept, SampleBatch)
    quantile = "span_duration_seconds:p95{GET /cart shop server}"
    assert works.told(kept)[quantile] == pytest.approx(0.01 + 0.015 * 0.95)


def test_a_step_without_memory_begins_from_zero_as_a_counter_does(works: Works) -> None:
    works.take(spans(Call(), Call()))
    works.tick(STEP_S)
    fresh = Works(works.catalog)
    fresh.tick(STEP_S + 1)

    fresh.red.of_spans(spans(Call()))

    found = [one for one in rows(fresh, 2 * STEP_S) if one[0] == COUNT]
    assert found == [(COUNT, 10.001, 0.0), (COUNT, 20.0, 1.0)]


def test_a_partition_that_is_forgotten_begins_again(works: Works) -> None:
    works.take(spans(Call()))
    works.tick(STEP_S)
    partition = works.catalog.partition_of(spans(Call()).tenant, "shop")

    works.red.forget(partition)
    works.tick(2 * STEP_S)
    works.take(spans(Call()))

    assert works.tick(3 * STEP_S)[COUNT] == 1.0
