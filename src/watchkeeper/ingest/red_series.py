"""The series that will be derived of spans, registered when their first spans are let in.

Whoever lets spans in says which groups there are: so many operations of a service and edges of a
tenant, the first that come. Everybody behind the log finds them in the catalog.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import red
from watchkeeper.lake.red import Group
from watchkeeper.lake.red_calls import WAIT_NS
from watchkeeper.lake.red_groups import MAX_GROUPS, Groups
from watchkeeper.lake.red_places import Places
from watchkeeper.lake.series import Catalog
from watchkeeper.model.series import I64, METRIC_NAME, Matcher, MatchOp
from watchkeeper.model.signal import NewSeries, SpanBatch

_EARLIER_NS: Final = 10 * NS_PER_S
"""Before everybody else gives a call up, so that the edge is registered by then."""
_IDLE_NS: Final = 3600 * NS_PER_S
_SWEEP_NS: Final = 60 * NS_PER_S
_REFUSED = telemetry.counter(
    "watchkeeper_ingest_red_refused_total",
    "Operations and edges of spans that were not registered: there are too many.",
    ("sort",),
)


class RedSeries:
    """For the ingest thread. `enter` is told of new series, which are to be logged."""

    def __init__(self, catalog: Catalog, enter: Callable[[NewSeries], None]) -> None:
        self._catalog = catalog
        self._enter = enter
        self._groups = Groups(catalog, admit=self._admit)
        self._places = Places(catalog, MAX_GROUPS)
        self._seen_ns: I64 = np.zeros(MAX_GROUPS, np.int64)
        self._n: dict[tuple[str, ...], int] = {}
        """Groups by what limits them."""
        self._now_ns = 0
        self._swept_ns = 0

    def meet(self, batch: SpanBatch, now_ns: int) -> None:
        """Register what a batch will count for."""
        self._now_ns = now_ns
        if now_ns - self._swept_ns > _SWEEP_NS:
            self._sweep()
        found = (
            self._groups.give_up(now_ns - WAIT_NS + _EARLIER_NS).group,
            self._groups.of(batch, now_ns).group,
        )
        numbers = np.unique(np.concatenate(found)).astype(np.int64)
        slots = self._places.of(numbers, self._groups.known)
        for number in numbers[(slots < 0).any(axis=1)].tolist():
            group = self._groups.known[number]
            if group is not None:  # its series had left, or are to come
                self._register(group)
        slots = self._places.of(numbers, self._groups.known)
        self._places.seen(slots, now_ns)
        self._seen_ns[numbers] = now_ns

    def _admit(self, group: Group) -> bool:
        limit = red.MAX_EDGES if group.sort == red.EDGE else red.MAX_OPERATIONS
        labels = dict(group.labels)
        whose = (group.tenant, group.sort, labels.get("service", ""), labels.get("environment", ""))
        if whose not in self._n:
            self._n[whose] = self._registered(group)
        if labels.get("operation") != red.OTHER and self._n[whose] >= limit:
            _REFUSED.add(1, group.sort)
            return False
        self._n[whose] += 1
        return self._register(group)

    def _register(self, group: Group) -> bool:
        labels, kinds = red.blocks([group])
        new = self._catalog.enter(group.tenant, labels, kinds, self._now_ns)
        if new is not None:
            self._enter(new)
        return bool((self._catalog.find(group.tenant, [group.head()])[1] >= 0).all())

    def _registered(self, group: Group) -> int:
        """How many of its sort there are, from before the last start too."""
        wanted = {METRIC_NAME: group.head()[METRIC_NAME]}
        service = dict(group.labels).get("service")
        if service:
            wanted["service"] = service
        matchers = [Matcher(name, MatchOp.EQUAL, value) for name, value in wanted.items()]
        return len(self._catalog.select(group.tenant, matchers))

    def _sweep(self) -> None:
        """Groups that were idle for long make room for others."""
        self._swept_ns = self._now_ns
        numbers = np.flatnonzero(self._groups.partition >= 0)
        idle = numbers[self._seen_ns[numbers] < self._now_ns - _IDLE_NS]
        if len(idle):
            self._groups.lose(idle)
            self._places.forget(idle)
            self._n.clear()
