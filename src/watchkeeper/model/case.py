"""A case: all that was gathered of one incident, for those who look for its cause.

Names of nodes, operations and templates are told once; columns hold their places, -1 for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Self

import numpy as np

from watchkeeper.model.change import Change
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import F64, I32, I64, U8, U64, Mask
from watchkeeper.model.topology import Topology


class Symptom(StrEnum):
    """What users feel."""

    UNKNOWN = "unknown"
    LATENCY = "latency"
    ERRORS = "errors"


def _i64() -> I64:
    return np.empty(0, np.int64)


def _u64() -> U64:
    return np.empty(0, np.uint64)


def _i32() -> I32:
    return np.empty(0, np.int32)


def _u8() -> U8:
    return np.empty(0, np.uint8)


def _mask() -> Mask:
    return np.empty(0, np.bool_)


def _matrix() -> F64:
    return np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class SpanColumns:
    """Spans of one stretch of time, in any order."""

    trace: I64 = field(default_factory=_i64)
    span: U64 = field(default_factory=_u64)
    parent: U64 = field(default_factory=_u64)
    """0 for none."""
    service: I32 = field(default_factory=_i32)
    operation: I32 = field(default_factory=_i32)
    peer: I32 = field(default_factory=_i32)
    """Whom a client's span names as its other end."""
    kind: U8 = field(default_factory=_u8)
    """As `SpanKind`."""
    failed: Mask = field(default_factory=_mask)
    """By the fault of who served: a request that was wrong, or that its sender gave up, did not."""
    start_ns: I64 = field(default_factory=_i64)
    duration_ns: I64 = field(default_factory=_i64)

    def __len__(self) -> int:
        return len(self.trace)

    def take(self, rows: I64 | Mask) -> Self:
        """Some of the rows."""
        return type(self)(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})


@dataclass(frozen=True, slots=True)
class LineColumns:
    """Log lines of one stretch of time, in any order."""

    service: I32 = field(default_factory=_i32)
    template: I32 = field(default_factory=_i32)
    trace: I64 = field(default_factory=_i64)
    """-1 for a line of none."""
    severity: U8 = field(default_factory=_u8)
    """As `Severity`."""
    time_ns: I64 = field(default_factory=_i64)

    def __len__(self) -> int:
        return len(self.service)


@dataclass(frozen=True, slots=True)
class MetricRow:
    """Which series a row of a matrix is."""

    node: int
    name: str
    metric_class: MetricClass = MetricClass.OTHER
    unit: str = ""
    """`%`, `bytes`, `s` ...; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class MetricMatrix:
    """Series of one grid, a row each; NaN where nothing came."""

    rows: tuple[MetricRow, ...] = ()
    before: F64 = field(default_factory=_matrix)
    now: F64 = field(default_factory=_matrix)
    step_s: float = 60.0


@dataclass(frozen=True, slots=True)
class CallRates:
    """Of each node what it was asked and how it answered, a row each; NaN where nothing came.

    What is known of calls where there are no traces.
    """

    node: I32 = field(default_factory=_i32)
    requests_before: F64 = field(default_factory=_matrix)
    latency_before: F64 = field(default_factory=_matrix)
    """Mean of a stretch, in seconds."""
    errors_before: F64 = field(default_factory=_matrix)
    """The share that failed, 0 to 1."""
    requests: F64 = field(default_factory=_matrix)
    latency: F64 = field(default_factory=_matrix)
    errors: F64 = field(default_factory=_matrix)


@dataclass(frozen=True, slots=True)
class Finding:
    """An anomaly or an alert of the incident, as far as it tells of a cause."""

    node: str
    kind: str
    """Its metric class, or the alert's name."""
    started_ns: int
    strength: float = 1.0
    """0 to 1."""
    template: str = ""
    """Of log lines that it is about."""


@dataclass(frozen=True, slots=True)
class PastCause:
    """What people said of earlier incidents with the same signature."""

    signature: str
    node: str
    n_confirmed: int
    n_refuted: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """Pure values; nothing in it is looked up later."""

    names: tuple[str, ...]
    """Of nodes: services, databases, hosts ..."""
    onset_ns: int = 0
    until_ns: int = 0
    entry: str = ""
    """Where it was felt; empty where nobody knows."""
    symptom: Symptom = Symptom.UNKNOWN
    healthy_s: float = 0.0
    """How much time without trouble is behind what is said of before."""
    operations: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    spans: SpanColumns = field(default_factory=SpanColumns)
    spans_before: SpanColumns = field(default_factory=SpanColumns)
    lines: LineColumns = field(default_factory=LineColumns)
    lines_before: LineColumns = field(default_factory=LineColumns)
    metrics: Sequence[MetricMatrix] = ()
    rates: CallRates = field(default_factory=CallRates)
    topology: Topology = field(default_factory=Topology)
    changes: Sequence[Change] = ()
    findings: Sequence[Finding] = ()
    history: Sequence[PastCause] = ()
    signature: str = ""
    """Of the incident; what its history goes by."""
