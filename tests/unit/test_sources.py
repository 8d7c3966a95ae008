"""Who sends, and how that goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.make import NS_PER_S, START_NS
from watchkeeper.api.sources import to_json
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest import sources
from watchkeeper.ingest.prepare import Accepted, Request
from watchkeeper.ingest.sources import Sources
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.signal import Reject
from watchkeeper.model.source import Source

OTHER = TenantId("other")


def request(
    protocol: str = "loki", sender: str = "promtail", tenant: TenantId = DEFAULT_TENANT
) -> Request:
    return Request(protocol, b"12345", {"user-agent": sender}, tenant)


def only(known: Sources) -> Source:
    (source,) = known.of()
    return source


def test_what_was_taken_is_counted_with_its_time() -> None:
    known = Sources()

    known.told(request(), Accepted(7), START_NS)
    known.told(request(), Accepted(3), START_NS + NS_PER_S)

    found = only(known)
    assert (found.n_bodies, found.n_bytes, found.n_accepted) == (2, 10, 10)
    assert (found.first_seen_ns, found.last_seen_ns) == (START_NS, START_NS + NS_PER_S)
    assert found.last_accepted_ns == START_NS + NS_PER_S
    assert found.last_problem_ns is None


def test_a_repeated_body_is_heard_of_and_brings_nothing() -> None:
    known = Sources()

    known.told(request(), Accepted(0, repeated=True), START_NS)

    assert only(known).n_repeated == 1
    assert only(known).last_accepted_ns is None


def test_what_was_left_out_is_counted_by_reason_and_the_newest_is_told() -> None:
    known = Sources()
    rejects = (Reject("future", 2, "ahead of our clock"), Reject("too_old", 1, "beyond 30 d"))

    known.told(request(), Accepted(5, rejects), START_NS)
    known.told(request(), Accepted(0, rejects[:1]), START_NS + 1)

    assert only(known).rejected == {"future": 4, "too_old": 1}
    assert only(known).last_problem == "future: ahead of our clock"
    assert only(known).last_problem_ns == START_NS + 1


@pytest.mark.parametrize(
    ("error", "counts"),
    [(BadInput("no JSON"), (1, 0)), (Retryable("full"), (0, 1))],
    ids=["refused", "put off"],
)
def test_a_body_that_was_not_taken_is_counted_with_its_reason(
    error: BadInput | Retryable, counts: tuple[int, int]
) -> None:
    known = Sources()

    known.told(request(), error, START_NS)

    found = only(known)
    assert (found.n_refused, found.n_put_off) == counts
    assert found.last_problem == str(error)


def test_senders_protocols_and_tenants_are_apart_and_the_last_heard_comes_first() -> None:
    known = Sources()

    for at, one in enumerate(
        [request(), request("zipkin"), request(sender="alloy"), request(tenant=OTHER), request()]
    ):
        known.told(one, Accepted(1), START_NS + at)

    listed = [(one.tenant, one.protocol, one.sender) for one in known.of()]
    assert listed == [
        ("default", "loki", "promtail"),
        ("other", "loki", "promtail"),
        ("default", "loki", "alloy"),
        ("default", "zipkin", "promtail"),
    ]
    assert [one.tenant for one in known.of(OTHER)] == ["other"]


def test_as_many_are_kept_as_there_is_room_for_and_the_most_silent_goes() -> None:
    known = Sources()

    for number in range(sources.MAX_SOURCES + 1):
        known.told(request(sender=f"s{number}"), Accepted(1), START_NS)
        known.told(request(sender="s0"), Accepted(1), START_NS)

    names = {one.sender for one in known.of()}
    assert len(names) == sources.MAX_SOURCES
    assert "s0" in names
    assert "s1" not in names


def test_a_sender_cannot_fill_memory_with_names_reasons_or_words() -> None:
    known = Sources()
    many = tuple(Reject(f"r{number}", 1) for number in range(2 * sources.MAX_REASONS))

    known.told(request(sender="x" * 10_000), Accepted(1, many), START_NS)
    known.told(request(sender="x" * 10_000), BadInput("y" * 10_000), START_NS)

    found = only(known)
    assert len(found.sender) == 100
    assert len(found.rejected) == sources.MAX_REASONS + 1
    assert found.rejected["other"] == sources.MAX_REASONS
    assert len(found.last_problem) == 500


def test_a_source_is_told_in_json() -> None:
    known = Sources()
    known.told(request(), BadInput("no JSON"), START_NS)

    told: dict[str, Any] = json.loads(json.dumps(to_json(only(known))))

    assert told["refused"] == 1
    assert told["last_accepted_at"] is None
    assert told["last_problem_at"] == told["last_seen_at"]
