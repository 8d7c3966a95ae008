"""However spans come, are cut, and are taken over, the same graph is discovered of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.telling import spans_of
from watchkeeper.analyze.discovery import LEAST_CALLS, Discovery
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.red_calls import WAIT_NS
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.topology import Topology
from watchkeeper.model.topology_set import Discovered, is_same_graph, merged

AT_S = 1_700_000_000
NOW = AT_S * NS_PER_S
PEERS = (
    {},
    {"peer.service": "b"},
    {"peer.service": "outside"},
    {"db.system": "redis", "db.name": "x"},
    {"messaging.system": "kafka", "messaging.destination.name": "t"},
    {"server.address": "10.0.0.1"},
)

one_span = st.builds(
    lambda trace, number, parent, service, kind, tags: {
        "traceId": f"{trace:032x}",
        "id": f"{number:016x}",
        **({"parentId": f"{parent:016x}"} if parent else {}),
        "name": "work",
        "kind": kind,
        "timestamp": AT_S * 1_000_000,
        "duration": 1000,
        "localEndpoint": {"serviceName": service},
        "tags": tags,
    },
    trace=st.integers(1, 4),
    number=st.integers(1, 30),
    parent=st.integers(0, 30),
    service=st.sampled_from(["a", "b", "c"]),
    kind=st.sampled_from(["CLIENT", "SERVER", "PRODUCER", "CONSUMER"]),
    tags=st.sampled_from(PEERS),
)
some_spans = st.lists(one_span, min_size=1, max_size=40)


def begun() -> Discovery:
    found = Discovery(lambda _tenant, _service: 0)
    found.tick(NOW)
    return found


def graph(found: Discovery) -> Discovered:
    found.tick(NOW + 2 * WAIT_NS)
    return found.topology(DEFAULT_TENANT)


@given(spans=some_spans, cut=st.integers(0, 40))
def test_how_batches_are_cut_changes_nothing(spans: list[dict[str, Any]], cut: int) -> None:
    whole, pieces = begun(), begun()

    whole.of_spans(spans_of(spans))
    for part in (spans[:cut], spans[cut:]):
        if part:
            pieces.of_spans(spans_of(part))

    assert graph(whole) == graph(pieces)


@given(spans=some_spans, cut=st.integers(1, 40))
def test_a_checkpoint_anywhere_changes_nothing(spans: list[dict[str, Any]], cut: int) -> None:
    whole, before, after = begun(), begun(), begun()
    whole.of_spans(spans_of(spans))
    before.of_spans(spans_of(spans[:cut]))

    after.load(0, before.dump(0))
    if spans[cut:]:
        after.of_spans(spans_of(spans[cut:]))

    assert graph(whole) == graph(after)


@given(spans=some_spans)
def test_an_edge_has_two_ends_calls_enough_and_no_more_failures_than_calls(
    spans: list[dict[str, Any]],
) -> None:
    found = begun()
    found.of_spans(spans_of(spans))

    told = graph(found)

    names = {one.name for one in told.nodes}
    for edge in told.edges:
        assert edge.source != edge.target
        assert {edge.source, edge.target} <= names
        assert edge.weight > LEAST_CALLS - 1
        assert 0.0 <= edge.errors <= edge.weight
    assert isinstance(merged(told, None), Topology)
    assert is_same_graph(told, told)
