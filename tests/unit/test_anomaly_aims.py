"""Which spans an anomaly speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests import make
from watchkeeper.api.anomaly_traces import Aim, aim_of
from watchkeeper.model.series import Entity
from watchkeeper.model.severity import SpanKind

SPANS = {"__name__": "span_duration_seconds_count", "derived": "spans", "service": "shop"}
EDGE = {"__name__": "edge_duration_seconds_count", "derived": "spans"}


def aimed(labels: Mapping[str, str], service: str = "") -> Aim | None:
    return aim_of(make.anomaly(labels=labels, entity=Entity(service=service)))


@pytest.mark.parametrize(
    ("labels", "service", "aim"),
    [
        ({"__name__": "cpu"}, "shop", Aim("shop")),
        ({"__name__": "cpu", "service": "shop"}, "", Aim("shop")),
        ({"__name__": "cpu", "service": "other"}, "shop", Aim("shop")),
        ({"__name__": "cpu"}, "", None),
        ({"service": "shop", "symptom": "errors"}, "", Aim("shop")),
        ({}, "", None),
        ({"__name__": "cpu", "operation": "GET /"}, "shop", Aim("shop")),
        ({"__name__": "cpu", "client": "a", "server": "b"}, "shop", Aim("shop")),
    ],
    ids=str,
)
def test_an_anomaly_that_was_not_made_of_spans_is_of_its_service(
    labels: Mapping[str, str], service: str, aim: Aim | None
) -> None:
    assert aimed(labels, service) == aim


@pytest.mark.parametrize(
    ("word", "kinds"),
    [
        ("server", (SpanKind.SERVER,)),
        ("consumer", (SpanKind.CONSUMER,)),
        ("internal", (SpanKind.INTERNAL,)),
        ("", ()),
        ("other", ()),
    ],
)
def test_an_operation_has_the_spans_of_its_kind(word: str, kinds: tuple[int, ...]) -> None:
    found = aimed({**SPANS, "operation": "GET /", "span_kind": word})

    assert found == Aim("shop", kinds, operation="GET /")


@pytest.mark.parametrize(
    ("client", "server", "aim"),
    [
        ("web", "shop", Aim("web", (SpanKind.CLIENT, SpanKind.PRODUCER), peer="shop")),
        ("web", "postgres/users", Aim("web", (3, 4), peer="postgres/users")),
        ("kafka/orders", "shop", Aim("shop", (SpanKind.CONSUMER,), peer="kafka/orders")),
    ],
)
def test_an_edge_has_the_spans_of_whoever_tells_some(client: str, server: str, aim: Aim) -> None:
    found = aimed({**EDGE, "client": client, "server": server})

    assert found is not None
    assert (found.service, found.peer, found.operation) == (aim.service, aim.peer, "")
    if "/" not in server:
        assert found.kinds == aim.kinds


@pytest.mark.parametrize("lacking", ["client", "server"])
def test_half_an_edge_is_none(lacking: str) -> None:
    labels: dict[str, Any] = {**EDGE, "client": "web", "server": "shop"}
    del labels[lacking]

    assert aimed(labels) is None
