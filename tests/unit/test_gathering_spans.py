"""Spans of a table as a case holds them: names, peers, failures, traces that are there in part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.cases import Call
from tests.telling import DATABASE, spans_of, zipkin
from watchkeeper.analyze.gathering.spans import Piece, SpanReader, trace_keys
from watchkeeper.analyze.gathering.words import NONE, Words, one_of
from watchkeeper.lake.tables.sources import fitting
from watchkeeper.model.case import SpanColumns
from watchkeeper.model.series import U64
from watchkeeper.model.severity import SpanKind

AT_S = 1_700_000_000.0


def span(
    number: int,
    service: str = "web",
    kind: str | None = "SERVER",
    *,
    parent: int = 0,
    trace: int = 1,
    at_s: float = AT_S,
    **tags: str,
) -> dict[str, Any]:
    return {
        "traceId": f"{trace:032x}",
        "id": f"{number:016x}",
        **({"parentId": f"{parent:016x}"} if parent else {}),
        "name": "work",
        **({"kind": kind} if kind else {}),
        "timestamp": round(at_s * 1e6),
        "duration": 5000,
        "localEndpoint": {"serviceName": service},
        "tags": {name.replace("__", "."): text for name, text in tags.items()},
    }


def read(*told: list[dict[str, Any]], is_whole: bool = True) -> tuple[SpanColumns, Words]:
    """Each a piece of the time."""
    names = Words()
    reader = SpanReader(names, Words())
    found = reader.read([Piece(spans_of(one), is_whole) for one in told])
    return reader.named(found), names


def peers(found: SpanColumns, names: Words) -> list[str]:
    """Of clients, in their order."""
    calls = found.peer[found.kind == SpanKind.CLIENT].tolist()
    return ["" if one == NONE else names.all[one] for one in calls]


def test_words_have_places_by_name_and_not_by_coming() -> None:
    words = Words()

    numbers = [words.number(one) for one in ("b", "c", "", "a", "b")]

    assert numbers == [0, 1, NONE, 2, 0]
    assert words.sorted() == ("a", "b", "c")
    assert words.placed(np.array([0, 2, NONE, 1], np.int32)).tolist() == [1, 0, NONE, 2]


@pytest.mark.parametrize("name", ["a.b", "a|b", "(a)", "a\\b", "postgresql/shop", "größe$"])
def test_a_name_is_meant_as_it_is_whatever_a_regular_expression_makes_of_it(name: str) -> None:
    others = ["a", "b", "axb", ""]

    assert fitting(one_of("service", [name, "z"]), [name, *others]).tolist() == [True, *[False] * 4]


def test_a_request_is_read_with_its_services_and_what_they_call() -> None:
    database = Call("database", silent=True)
    told = zipkin(Call("gateway", calls=(Call("order", calls=(database,)),)), at_s=AT_S, n=2)

    found, names = read(told)

    assert len(found) == len(told)
    assert {names.all[one] for one in found.service} == {"gateway", "order"}
    assert peers(found, names) == ["order", DATABASE] * 2


def test_who_answered_under_a_name_is_meant_by_it_where_nobody_answers() -> None:
    answered = [
        span(1, kind="CLIENT", peer__service="pay.svc.local"),
        span(2, "payment", parent=1),
    ]
    lost = [span(3, kind="CLIENT", trace=2, peer__service="pay.svc.local")]

    found, names = read(answered, lost)

    assert peers(found, names) == ["payment", "payment"]


def test_an_address_means_whoever_answered_at_it_by_its_port() -> None:
    def call(number: int, port: str, trace: int) -> dict[str, Any]:
        told = {"server__address": "127.0.0.1", "server__port": port}
        return span(number, kind="CLIENT", trace=trace, **told)

    told = [
        call(1, "81", 1), span(2, "payment", parent=1),
        call(3, "82", 2), span(4, "stock", parent=3, trace=2),
        call(5, "81", 3), call(6, "82", 4), call(7, "83", 5),
    ]  # fmt: skip

    found, names = read(told)

    assert peers(found, names) == ["payment", "stock", "payment", "stock", ""]


def test_of_several_that_answered_the_most_frequent_is_meant() -> None:
    told = [
        one
        for number, service in enumerate(["stock", "payment", "payment"])
        for one in (
            span(2 * number + 1, kind="CLIENT", trace=number + 1, peer__service="balancer"),
            span(2 * number + 2, service, parent=2 * number + 1, trace=number + 1),
        )
    ]

    found, names = read(told)

    assert set(peers(found, names)) == {"payment"}


@pytest.mark.parametrize(
    ("tags", "failed"),
    [
        ({}, True),
        ({"http__response__status_code": "500"}, True),
        ({"http__response__status_code": "404"}, False),
        ({"http__status_code": "499"}, False),
        ({"http__response__status_code": "429"}, True),
        ({"rpc__grpc__status_code": "1"}, False),
        ({"rpc__grpc__status_code": "14"}, True),
    ],
)
def test_a_wrong_request_or_one_that_was_given_up_is_nobodys_failure(
    tags: dict[str, str], failed: bool
) -> None:
    found, _ = read([span(1, error="yes", **tags)])

    assert found.failed.tolist() == [failed]


def test_what_did_not_fail_is_not_excused_either() -> None:
    found, _ = read([span(1, http__response__status_code="200")])

    assert found.failed.tolist() == [False]


def test_a_trace_that_reading_cut_off_is_left_out_and_others_stay() -> None:
    torn = span(8, "order", parent=7, trace=2)
    whole = [span(1), span(2, "order", parent=1)]
    later = span(9, "order", parent=99, trace=3, at_s=AT_S + 60)

    found, _ = read([torn, *whole, later], is_whole=False)

    assert sorted(found.span.tolist()) == [1, 2, 9]


def test_an_orphan_of_a_stretch_that_is_all_there_stays() -> None:
    found, _ = read([span(8, "order", parent=7)])

    assert found.span.tolist() == [8]


def test_spans_of_nobody_are_left_out() -> None:
    nobody = {key: one for key, one in span(1).items() if key != "localEndpoint"}

    found, names = read([nobody, span(2)])

    assert found.span.tolist() == [2]
    assert names.all == ("web",)


def test_a_host_is_told_with_the_services_that_run_on_it() -> None:
    reader = SpanReader(Words(), Words())

    reader.read([Piece(spans_of([span(1), span(2, "order")], node="pi"), is_whole=True)])

    assert reader.hosts == {("web", "pi"), ("order", "pi")}


def test_nothing_gives_nothing() -> None:
    reader = SpanReader(Words(), Words())

    assert len(reader.named(reader.read([]))) == 0


def test_operations_go_without_the_ids_in_their_names() -> None:
    operations = Words()
    reader = SpanReader(Words(), operations)
    told = [{**span(n), "name": f"GET /orders/{n}00"} for n in (1, 2)]

    reader.read([Piece(spans_of(told), is_whole=True)])

    assert operations.all == ("GET /orders/{id}",)


def test_a_trace_has_one_number_for_lines_and_spans_and_none_has_none() -> None:
    traces: U64 = np.array([[1, 2], [1, 3], [0, 0], [2**64 - 1, 2**64 - 1]], np.uint64)

    found = trace_keys(traces)

    assert found[2] == -1
    assert (found[[0, 1, 3]] >= 0).all()
    assert len(set(found.tolist())) == 4
