"""What is derived of spans is what plain counting says, however batches are cut."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.red import Call, Works, spans
from watchkeeper.lake.red import BOUNDS_S
from watchkeeper.model.severity import SpanKind

NAMES = {
    "GET /cart": "GET /cart",
    "GET /users/1234": "GET /users/{id}",
    "GET /users/98?q=1": "GET /users/{id}",
    "/orders/3f2a9c1e-77": "/orders/{id}",
    "POST /v1/pay": "POST /v1/pay",
    "": "unnamed",
}
CLIENTS = {SpanKind.CLIENT: SpanKind.SERVER, SpanKind.PRODUCER: SpanKind.CONSUMER}
ASKED = {SpanKind.SERVER, SpanKind.CONSUMER}

calls = st.builds(
    Call,
    service=st.sampled_from(["shop", "web", "pay"]),
    name=st.sampled_from(sorted(NAMES)),
    kind=st.sampled_from([0, 1, 2, 3, 4, 5]),
    duration_s=st.sampled_from([0.0, 0.0005, 0.001, 0.03, 0.7, 2.5, 30.0]),
    failed=st.booleans(),
    trace=st.integers(1, 6),
    span=st.integers(1, 12),
    parent=st.integers(0, 3),
    attributes=st.sampled_from(
        [{}, {"db.system": "redis"}, {"a": '\\"x', "messaging.destination.name": "jobs"}]
    ),
)


def plain(given: Sequence[Call]) -> Counter[str]:
    """Counts, failures and buckets of operations, and of calls between services."""
    found: Counter[str] = Counter()
    for one in given:
        kind = SpanKind(one.kind)
        if kind in ASKED or (not one.parent and kind not in CLIENTS):
            group = f"{{{NAMES[one.name]} {one.service} {kind.name.lower()}}}"
            add(found, "span", group, one.duration_s, failed=one.failed)
        peer = peer_of(one)
        if peer is not None:
            add(found, "edge", peer, one.duration_s, failed=one.failed)
    for client in given:
        for server in given:
            answers = (client.trace, client.span) == (server.trace, server.parent)
            if answers and asks(client) and server.kind in ASKED:
                is_message = server.kind == SpanKind.CONSUMER
                took = server.duration_s if is_message else client.duration_s
                group = f"{{{client.service} {server.service}}}"
                add(found, "edge", group, took, failed=client.failed or server.failed)
    return found


def asks(one: Call) -> bool:
    """Whether it may have an answer: databases and queues tell no spans of their own."""
    if one.kind == SpanKind.PRODUCER:
        return "db.system" not in one.attributes
    return one.kind == SpanKind.CLIENT and len(one.attributes) == 0


def peer_of(one: Call) -> str | None:
    if "db.system" in one.attributes and one.kind in CLIENTS:
        return f"{{{one.service} redis}}"
    if "messaging.destination.name" in one.attributes and one.kind in CLIENTS:
        return f"{{{one.service} jobs}}"
    if "messaging.destination.name" in one.attributes and one.kind == SpanKind.CONSUMER:
        return f"{{jobs {one.service}}}"
    return None


def add(found: Counter[str], sort: str, group: str, took_s: float, *, failed: bool) -> None:
    found[f"{sort}_duration_seconds_count{group}"] += 1
    found[f"{sort}_errors_total{group}"] += failed
    for bound in BOUNDS_S[bisect_left(BOUNDS_S, took_s) :]:
        found[f"{sort}_duration_seconds_bucket{group} {bound:g}"] += 1
    found[f"{sort}_duration_seconds_bucket{group} +Inf"] += 1


def few_answers(given: Sequence[Call]) -> bool:
    """No span meets more others than are looked at."""
    asked = Counter((one.trace, one.span) for one in given if one.kind in CLIENTS)
    answers = Counter((one.trace, one.parent) for one in given if one.kind in ASKED)
    return max([0, *asked.values(), *answers.values()]) <= 4


@settings(max_examples=30)
@given(
    st.lists(calls, min_size=1, max_size=40).filter(few_answers),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_counters_are_those_of_plain_counting_however_batches_are_cut(
    given: list[Call], cuts: list[int]
) -> None:
    works = Works()
    works.tick(0)
    edges = sorted({0, len(given), *(cut for cut in cuts if cut < len(given))})
    for begin, end in pairwise(edges):
        works.take(spans(*given[begin:end]))

    told = works.tick(10)

    assert {name: n for name, n in told.items() if n and "_sum" not in name} == {
        name: n for name, n in plain(given).items() if n
    }


@settings(max_examples=12)
@given(
    st.lists(st.lists(calls, max_size=8), min_size=3, max_size=8),
    st.integers(0, 7),
)
def test_a_step_that_goes_on_from_a_dump_tells_what_the_first_one_tells(
    batches: list[list[Call]], cut: int
) -> None:
    """Of all partitions, in another process' memory."""
    works = Works()
    works.tick(0)
    second = None
    for number, batch in enumerate(batches):
        if number == cut:
            second = Works(works.catalog)
            for partition in range(64):
                second.red.load(partition, works.red.dump(partition))
        if batch:
            works.take(spans(*batch))
            if second is not None:
                second.red.of_spans(spans(*batch))
        now_s = 7 * (number + 1)
        expected = works.tick(now_s)

        if second is not None:
            assert second.tick(now_s) == expected
