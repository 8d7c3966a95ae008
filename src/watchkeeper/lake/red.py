"""What we derive of spans: how these series are called, and what they count.

Requests, errors and durations (RED) of each operation of a service, and of each edge: who calls
whom. Each such group has a classic histogram of seconds and a counter of failures, so that it is
read as if a service had told of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.lake.derived import LABEL, SPANS
from watchkeeper.model.family import Family, MetricType
from watchkeeper.model.series import METRIC_NAME, U8, Kind, TenantId

BOUNDS_S: Final = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1.0, 2.5, 5.0, 10.0)  # fmt: skip
"""Upper bounds of the buckets; one without a bound follows."""
N_BUCKETS: Final = len(BOUNDS_S) + 1
COUNT, SUM, ERRORS = N_BUCKETS, N_BUCKETS + 1, N_BUCKETS + 2
N_SERIES: Final = N_BUCKETS + 3
"""Of one group: buckets by ascending bound, count, sum, failures."""
OPERATION: Final = "span"
EDGE: Final = "edge"
OTHER: Final = "other"
"""The operation that stands for all beyond the first of a service."""
MAX_OPERATIONS: Final = 100
"""Of one service. A service with more names than this has names that are made of ids."""
MAX_EDGES: Final = 1000
"""Of one tenant."""
ERRORS_OF: Final = {sort: f"{sort}_errors_total" for sort in (OPERATION, EDGE)}
"""The counter of failures, which every group has one of."""
_STEMS: Final = tuple(
    f"{sort}_{what}" for sort in (OPERATION, EDGE) for what in ("duration_seconds", "errors_total")
)
_LE: Final = (*(f"{bound:g}" for bound in BOUNDS_S), "+Inf")
KINDS: Final[U8] = np.array(
    [Kind.UNSCORED] * N_BUCKETS + [Kind.COUNTER] * (N_SERIES - N_BUCKETS), np.uint8
)
FAMILIES: Final = (
    Family("span_duration_seconds", MetricType.HISTOGRAM, "Of an operation, by its spans.", "s"),
    Family("span_errors_total", MetricType.COUNTER, "Spans of an operation that failed."),
    Family("edge_duration_seconds", MetricType.HISTOGRAM, "Of calls between two services.", "s"),
    Family("edge_errors_total", MetricType.COUNTER, "Calls between two services that failed."),
)


@dataclass(frozen=True, slots=True)
class Group:
    """An operation of a service, or an edge."""

    tenant: TenantId
    sort: str
    """OPERATION or EDGE."""
    labels: tuple[tuple[str, str], ...]
    """Without the metric's name, and those that are empty."""

    def series(self) -> list[dict[str, str]]:
        """The labels of all of its series."""
        return [self._of(name, le) for name, le in _names(self.sort)]

    def head(self) -> dict[str, str]:
        """Of the series that is there if the group is."""
        return self._of(ERRORS_OF[self.sort], "")

    def _of(self, name: str, le: str) -> dict[str, str]:
        bound = {"le": le} if le else {}
        return {METRIC_NAME: name, **dict(self.labels), **bound, LABEL: SPANS}


def operation(tenant: TenantId, service: str, environment: str, name: str, span_kind: str) -> Group:
    return _group(
        tenant, OPERATION, service=service, environment=environment, operation=name,
        span_kind=span_kind,
    )  # fmt: skip


def edge(tenant: TenantId, client: str, server: str, environment: str) -> Group:
    return _group(tenant, EDGE, client=client, server=server, environment=environment)


def is_red(labels: Mapping[str, str]) -> bool:
    """Whether spans are what such a series was made of, its quantiles included."""
    return LABEL in labels and labels.get(METRIC_NAME, "").startswith(_STEMS)


def blocks(groups: Sequence[Group]) -> tuple[list[dict[str, str]], U8]:
    """All series of some groups, and their kinds."""
    return [one for group in groups for one in group.series()], np.tile(KINDS, len(groups))


def _group(tenant: TenantId, sort: str, **labels: str) -> Group:
    return Group(tenant, sort, tuple((name, value) for name, value in labels.items() if value))


def _names(sort: str) -> list[tuple[str, str]]:
    stem = f"{sort}_duration_seconds"
    return [
        *((f"{stem}_bucket", le) for le in _LE),
        (f"{stem}_count", ""),
        (f"{stem}_sum", ""),
        (ERRORS_OF[sort], ""),
    ]
