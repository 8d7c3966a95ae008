"""Traces as they really come: out of step, twice, in pieces, very wide. The cause stays found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.cases import MS, NAMES, Call, case, columns, graph, matrix, requests
from watchkeeper import plugins
from watchkeeper.analyze.causes import causes
from watchkeeper.model.case import SpanColumns
from watchkeeper.model.cause import Ranking
from watchkeeper.model.severity import SpanKind
from watchkeeper.model.topology import Edge, Topology

EXPLAINERS = [plugins.build("explainer", {"use": name}) for name in plugins.BUILTIN["explainer"]]
HOUR_S = 3_600.0
GATEWAY, ORDER, STOCK = (NAMES.index(name) for name in ("gateway", "order", "stock"))

Bend = Callable[[SpanColumns], SpanColumns]


def shop(stock_ms: float = 4.0, *, failed: bool = False) -> SpanColumns:
    """A request passes order on its way to stock and payment."""
    stock = Call("stock", stock_ms, failed=failed)
    order = Call("order", calls=(stock, Call("payment")), failed=failed)
    return requests(Call("gateway", calls=(order,), failed=failed))


def ranked(before: SpanColumns, now: SpanColumns, **told: object) -> Ranking:
    return causes(replace(case(before, now, **told), healthy_s=HOUR_S), EXPLAINERS)


def first(before: SpanColumns, now: SpanColumns, **told: object) -> str:
    """The cause, or nothing where none is called so."""
    found = ranked(before, now, **told)
    return "" if found.abstains else found.causes[0].node


def twice(spans: SpanColumns) -> SpanColumns:
    """A sender that had no answer sends all of it again."""
    return spans.take(np.repeat(np.arange(len(spans)), 2))


def shuffled(spans: SpanColumns) -> SpanColumns:
    return spans.take(np.random.default_rng(7).permutation(len(spans)))


def fast_clock(spans: SpanColumns) -> SpanColumns:
    """Stock's clock is two minutes ahead of all others."""
    ahead = np.where(spans.service == STOCK, 120_000 * MS, 0)
    return replace(spans, start_ns=spans.start_ns + ahead)


def slow_clock(spans: SpanColumns) -> SpanColumns:
    """The gateway's clock is a minute behind: its callees seem to begin after it ended."""
    behind = np.where(spans.service == GATEWAY, 60_000 * MS, 0)
    return replace(spans, start_ns=spans.start_ns - behind)


def stepped_clock(spans: SpanColumns) -> SpanColumns:
    """The clock was set back while payment worked: a span lasts less than nothing."""
    of_payment = spans.service == NAMES.index("payment")
    return replace(spans, duration_ns=np.where(of_payment, -spans.duration_ns, spans.duration_ns))


def without_roots(spans: SpanColumns) -> SpanColumns:
    """Sampled behind the gateway."""
    return spans.take(spans.service != GATEWAY)


def two_roots(spans: SpanColumns) -> SpanColumns:
    """Order's spans have lost their parents, and are roots of the same traces."""
    lost = (spans.service == ORDER) & (spans.kind == SpanKind.SERVER)
    return replace(spans, parent=np.where(lost, np.uint64(0), spans.parent))


def own_parents(spans: SpanColumns) -> SpanColumns:
    """An instrumentation that names the gateway's spans as their own parents."""
    own = spans.service == GATEWAY
    return replace(spans, parent=np.where(own, spans.span, spans.parent))


def huge_ids(spans: SpanColumns) -> SpanColumns:
    """Ids use all of their 64 bits."""
    top = np.uint64(2**64 - 1 - len(spans))
    parent = np.where(spans.parent == 0, np.uint64(0), spans.parent + top)
    return replace(spans, span=spans.span + top, parent=parent)


BENDS: dict[str, Bend] = {
    bend.__name__: bend
    for bend in (
        twice,
        shuffled,
        fast_clock,
        slow_clock,
        stepped_clock,
        without_roots,
        two_roots,
        own_parents,
        huge_ids,
    )
}


@pytest.mark.parametrize("how", BENDS)
def test_who_is_slow_is_found_in_traces_that_are_bent(how: str) -> None:
    bend = BENDS[how]

    found = ranked(bend(shop()), bend(shop(90.0)))

    assert found.causes[0].node == "stock"
    assert found.causes[0].probability > 1.5 * found.causes[1].probability


@pytest.mark.parametrize("how", BENDS)
def test_who_fails_is_found_in_traces_that_are_bent(how: str) -> None:
    bend = BENDS[how]

    assert first(bend(shop()), bend(shop(failed=True))) == "stock"


@pytest.mark.parametrize("how", BENDS)
def test_bent_traces_in_which_nothing_happened_have_no_cause(how: str) -> None:
    bend = BENDS[how]

    assert first(bend(shop()), bend(shop())) == ""


@pytest.mark.parametrize("how", ["fast_clock", "slow_clock", "twice"])
def test_a_way_of_telling_that_begins_with_the_trouble_names_nobody_else(how: str) -> None:
    """Before, clocks agreed and nothing came twice."""
    found = ranked(shop(), BENDS[how](shop(90.0)))

    assert found.causes[0].node == "stock"


def test_a_caller_that_does_not_wait_for_its_callee_is_not_blamed_for_its_length() -> None:
    """The gateway answers at once; what it asked for goes on long after."""

    def story(stock_ms: int) -> SpanColumns:
        rows = [
            row
            for trace in range(30)
            for row in (
                (trace, 10 * trace + 1, 0, GATEWAY, 2, -1, SpanKind.SERVER, False,
                 trace * 1000 * MS, 5 * MS),
                (trace, 10 * trace + 2, 10 * trace + 1, STOCK, 2, -1, SpanKind.SERVER, False,
                 (trace * 1000 + 4) * MS, (stock_ms + trace % 3) * MS),
            )
        ]  # fmt: skip
        return columns(rows)

    found = ranked(story(8), story(300))

    assert found.causes[0].node == "stock"
    assert "gateway" not in {one.node for one in found.causes if one.probability > 0.2}


@pytest.mark.parametrize("n_children", [1, 50, 500])
def test_a_request_may_fan_out_wide(n_children: int) -> None:
    """One of the callees is slow, however many there are beside it."""

    def story(stock_ms: float) -> SpanColumns:
        others = tuple(Call("cart", 1.0) for _ in range(n_children))
        return requests(Call("gateway", calls=(*others, Call("stock", stock_ms))), n=6)

    assert ranked(story(4.0), story(900.0)).causes[0].node == "stock"


def test_a_chain_of_callers_is_walked_to_its_end() -> None:
    """A retry of a retry: sixty levels of the same two services, and the last is slow."""

    def story(stock_ms: float) -> SpanColumns:
        told = Call("stock", stock_ms)
        for _ in range(30):
            told = Call("order", 0.1, (Call("gateway", 0.1, (told,), gap_ms=0.1),), gap_ms=0.1)
        return requests(told, n=6)

    assert ranked(story(4.0), story(500.0)).causes[0].node == "stock"


def test_a_call_that_its_caller_gave_up_is_the_callees_slowness() -> None:
    """The caller hangs up after 100 ms, and neither says that it failed."""
    before = requests(Call("gateway", calls=(Call("stock", 4.0),)))
    now = requests(Call("gateway", 1.0, (Call("stock", 100.0),)))

    assert first(before, now) == "stock"


def test_a_service_whose_spans_stop_is_found_by_those_who_ask_it() -> None:
    """Stock is frozen: its spans are gone, and its callers wait and fail."""
    waits = Call("stock", 1_000, silent=True, failed=True)
    now = requests(
        Call("gateway", calls=(Call("order", calls=(waits,), failed=True),), failed=True)
    )

    assert first(shop(), now) == "stock"


def test_an_edge_that_was_taken_away_meanwhile_is_known_by_its_spans() -> None:
    """The topology is younger than the calls."""
    told = graph(("gateway", "order"))

    assert first(shop(), shop(90.0), topology=told) == "stock"


def test_an_edge_that_was_only_reckoned_misleads_nobody() -> None:
    told = Topology(edges=(Edge("stock", "user"), Edge("stock", "cart")))

    assert first(shop(), shop(90.0), topology=told) == "stock"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e300, 1e300, 0.0])
def test_a_metric_that_cannot_be_outweighs_no_trace(value: float) -> None:
    """A reset counter, a division by nothing, a sensor gone mad: on another node."""
    strange = matrix({"user": [1.0] * 40}, {"user": [value] * 5})

    assert ranked(shop(), shop(400.0), metrics=[strange]).causes[0].node == "stock"


def test_ties_are_told_by_name() -> None:
    """Both callees are slow by the very same times."""

    def story(own_ms: float) -> SpanColumns:
        rows = []
        for trace in range(30):
            at, root = trace * 1000 * MS, 10 * trace + 1
            whole = (2 * own_ms + 4) * MS
            rows.append((trace, root, 0, GATEWAY, 2, -1, SpanKind.SERVER, False, at, whole))
            for place, service in enumerate((STOCK, ORDER)):
                begin = at + round((1 + place * own_ms) * MS)
                rows.append(
                    (trace, root + 1 + place, root, service, 2, -1, SpanKind.SERVER, False,
                     begin, own_ms * MS)
                )  # fmt: skip
        return columns(rows)

    found = ranked(story(4), story(90))

    assert [one.node for one in found.causes[:2]] == ["order", "stock"]
    assert found.causes[0].probability == pytest.approx(found.causes[1].probability)
    assert found.abstains


@pytest.mark.parametrize("how", BENDS)
def test_bent_traces_are_ranked_to_the_byte_as_before(how: str) -> None:
    bend = BENDS[how]

    told = {msgspec.msgpack.encode(ranked(bend(shop()), bend(shop(90.0)))) for _ in range(3)}

    assert len(told) == 1
