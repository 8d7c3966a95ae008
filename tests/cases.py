"""Cases out of small stories: requests as trees of calls, before and now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from watchkeeper.model.case import (
    CallRates,
    Case,
    LineColumns,
    MetricMatrix,
    MetricRow,
    SpanColumns,
)
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import F64
from watchkeeper.model.severity import Severity, SpanKind
from watchkeeper.model.topology import Edge, Topology

MS = 10**6
NAMES = ("cart", "database", "gateway", "order", "payment", "stock", "user")
OPERATIONS = ("ask", "connect", "serve", "work")
TEMPLATES = ("begin", "done", "failed", "retry")


@dataclass(frozen=True, slots=True)
class Call:
    """What a service does for one request. Who calls it has a client's span around its own."""

    service: str
    own_ms: float = 4.0
    calls: tuple[Call, ...] = ()
    failed: bool = False
    seen_failed: bool | None = None
    """By its caller; as it is, where nothing is said."""
    silent: bool = False
    """Tells no spans itself, as a database does not."""
    gap_ms: float = 1.0
    operation: str = "serve"

    @property
    def duration_ms(self) -> float:
        return self.own_ms + sum(one.duration_ms + one.gap_ms for one in self.calls)


@dataclass(slots=True)
class Spans:
    """Rows, to which requests are added."""

    names: Sequence[str] = NAMES
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    n_traces: int = 0

    def add(self, call: Call, start_ms: float = 0.0) -> None:
        self.n_traces += 1
        self._serve(call, 0, start_ms)

    def _serve(self, call: Call, parent: int, start_ms: float) -> None:
        kind = SpanKind.SERVER
        mine = self._row(call, parent, (start_ms, call.duration_ms), kind, failed=call.failed)
        at = start_ms + call.own_ms / 2
        for one in call.calls:
            length = one.duration_ms + one.gap_ms
            seen = one.failed if one.seen_failed is None else one.seen_failed
            waiting = Call(call.service, operation="ask")
            client = self._row(
                waiting, mine, (at, length), SpanKind.CLIENT, peer=one.service, failed=seen
            )
            if not one.silent:
                self._serve(one, client, at + one.gap_ms / 2)
            at += length

    def _row(
        self,
        call: Call,
        parent: int,
        times: tuple[float, float],
        kind: int,
        *,
        peer: str = "",
        failed: bool = False,
    ) -> int:
        span = len(self.rows) + 1
        self.rows.append(
            (
                self.n_traces,
                span,
                parent,
                self.names.index(call.service),
                OPERATIONS.index(call.operation),
                self.names.index(peer) if peer else -1,
                kind,
                failed,
                round(times[0] * MS),
                round(times[1] * MS),
            )
        )
        return span

    def columns(self) -> SpanColumns:
        return columns(self.rows)


def columns(rows: Sequence[tuple[Any, ...]]) -> SpanColumns:
    """Rows of trace, span, parent, service, operation, peer, kind, failed, start, duration."""
    kinds = (np.int64, np.uint64, np.uint64, np.int32, np.int32, np.int32, np.uint8, np.bool_)
    turned = list(zip(*rows, strict=True)) if rows else [()] * 10
    each = zip(turned, (*kinds, np.int64, np.int64), strict=True)
    return SpanColumns(*(np.array(column, kind) for column, kind in each))


def requests(*calls: Call, n: int = 30, seed: int = 1) -> SpanColumns:
    """Each call n times, a second apart, its own times a tenth up or down."""
    random = np.random.default_rng(seed)
    spans = Spans()
    for number in range(n):
        for call in calls:
            spans.add(_varied(call, random), number * 1_000.0)
    return spans.columns()


def _varied(call: Call, random: np.random.Generator) -> Call:
    own = call.own_ms * random.uniform(0.9, 1.1)
    return Call(
        call.service,
        own,
        tuple(_varied(one, random) for one in call.calls),
        call.failed,
        call.seen_failed,
        call.silent,
        call.gap_ms,
        call.operation,
    )


def lines(told: Iterable[tuple[str, str, int]], severity: int = Severity.INFO) -> LineColumns:
    """Rows of service, template, trace, in order of time."""
    rows = list(told)
    return LineColumns(
        np.array([NAMES.index(one[0]) for one in rows], np.int32),
        np.array([TEMPLATES.index(one[1]) for one in rows], np.int32),
        np.array([one[2] for one in rows], np.int64),
        np.full(len(rows), severity, np.uint8),
        np.arange(len(rows), dtype=np.int64),
    )


def matrix(
    before: dict[str, Sequence[float]],
    now: dict[str, Sequence[float]],
    *,
    name: str = "cpu",
    of: MetricClass = MetricClass.RESOURCE,
    unit: str = "",
) -> MetricMatrix:
    """One series of each node."""
    rows = tuple(MetricRow(NAMES.index(node), name, of, unit) for node in before)
    return MetricMatrix(rows, _rows(before.values()), _rows(now[node] for node in before))


def rates(
    before: dict[str, tuple[float, float, float]], now: dict[str, tuple[float, float, float]]
) -> CallRates:
    """Requests, latency and share of failures of each node: constant but for a hundredth."""
    random = np.random.default_rng(3)
    noise = random.uniform(0.99, 1.01, (len(before), 40))
    old = [np.array([before[node][at] for node in before])[:, None] * noise for at in range(3)]
    new = [
        np.array([now[node][at] for node in before])[:, None] * np.ones((1, 5)) for at in range(3)
    ]
    return CallRates(np.array([NAMES.index(node) for node in before], np.int32), *old, *new)


def graph(*pairs: tuple[str, str]) -> Topology:
    return Topology(edges=tuple(Edge(*pair) for pair in pairs))


def case(before: SpanColumns | None = None, now: SpanColumns | None = None, **told: Any) -> Case:
    return Case(
        NAMES,
        operations=OPERATIONS,
        templates=TEMPLATES,
        spans=now or SpanColumns(),
        spans_before=before or SpanColumns(),
        **told,
    )


def _rows(series: Iterable[Sequence[float]]) -> F64:
    return np.array([list(one) for one in series], np.float64)
