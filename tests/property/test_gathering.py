"""Whatever spans come, a case of them has causes or none, adds up, and is the same again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telling import spans_of
from watchkeeper.analyze.causes import causes
from watchkeeper.analyze.gathering.assembling import Parts, Wanted, assembled
from watchkeeper.analyze.gathering.spans import Piece, SpanReader
from watchkeeper.analyze.gathering.stretch import Stretch, look
from watchkeeper.model.case import Case
from watchkeeper.model.topology import Topology
from watchkeeper.parts.explain import explainers

AT_S = 1_700_000_000
EXPLAINERS = explainers()
LOOKED = look(AT_S * 10**9, (AT_S + 60) * 10**9, [])
SERVICES = ("a", "b", "größe", "a|b")
TAGS = (
    {},
    {"error": "x"},
    {"peer.service": "a"},
    {"db.system": "redis"},
    {"server.address": "10.0.0.1", "server.port": "80"},
    {"error": "x", "http.status_code": "404"},
)

one_span = st.builds(
    lambda trace, number, parent, service, kind, start, duration, tags: {
        "traceId": f"{trace:032x}",
        "id": f"{number:016x}",
        "parentId": f"{parent:016x}",
        "name": "work",
        **({"kind": kind} if kind else {}),
        "timestamp": (AT_S + start) * 1_000_000,
        "duration": duration,
        "localEndpoint": {"serviceName": service},
        "tags": tags,
    },
    trace=st.integers(1, 3),
    number=st.integers(1, 9),
    parent=st.integers(1, 9),
    service=st.sampled_from(SERVICES),
    kind=st.sampled_from(["", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]),
    start=st.integers(-600, 60),
    duration=st.integers(1, 10**10),
    tags=st.sampled_from(TAGS),
)
some_spans = st.lists(one_span, max_size=25)


def gathered(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> Case:
    parts = Parts()
    reader = SpanReader(parts.names, parts.operations)
    sides = [
        reader.read([Piece(spans_of(one), is_whole=False)] if one else []) for one in (before, now)
    ]
    parts.spans_before, parts.spans = (reader.named(one) for one in sides)
    return assembled(parts, Wanted("a", frozenset(), Topology()), LOOKED, AT_S * 10**9)


@given(before=some_spans, now=some_spans)
def test_probabilities_add_up_and_the_same_spans_give_the_same_bytes(
    before: list[dict[str, Any]], now: list[dict[str, Any]]
) -> None:
    first, again = (causes(gathered(before, now), EXPLAINERS) for _ in range(2))

    total = sum(one.probability for one in first.causes) + first.unknown
    assert total == pytest.approx(1.0)
    assert {one.node for one in first.causes} <= set(gathered(before, now).names)
    assert msgspec.json.encode(first) == msgspec.json.encode(again)


@given(
    onset=st.integers(10**18, 2 * 10**18),
    after=st.integers(-(10**13), 10**13),
    troubles=st.lists(st.tuples(st.integers(0, 2 * 10**18), st.integers(0, 2**62)), max_size=8),
)
def test_what_is_usual_lies_before_what_is_looked_at_and_is_no_trouble(
    onset: int, after: int, troubles: list[tuple[int, int]]
) -> None:
    looked = look(onset, onset + after, troubles)

    assert looked.now.length_ns > 0
    assert looked.before.end_ns <= looked.now.start_ns
    assert looked.before.length_ns > 0
    if looked.is_healthy:
        for begin, end in troubles:
            inside = Stretch(max(begin, looked.before.start_ns), min(end, looked.before.end_ns))
            assert inside.length_ns <= 0
