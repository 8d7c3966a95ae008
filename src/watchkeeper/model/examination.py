"""How nodes fare beside what is usual: the findings that causes are sought in, as they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeState:
    node: str
    kind: str
    strangeness: float
    """0 to 1, by whatever is known; above a half it is strange."""


@dataclass(frozen=True, slots=True)
class OperationTime:
    """How long a node takes by itself, without those it waits for."""

    node: str
    operation: str
    n: int
    mean_ms: float
    median_ms: float
    usual_n: int
    usual_mean_ms: float
    usual_median_ms: float
    lost_ms: float
    """All that its requests took longer."""
    is_slower: bool
    """Clearly, and not by chance."""


@dataclass(frozen=True, slots=True)
class SeriesShift:
    node: str
    name: str
    value: float
    usual: float
    spreads: float
    """How far off, in units of its own spread, with floors."""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """The strangest come first; equal ones by name."""

    onset_ns: int
    window_ns: tuple[int, int]
    baseline_ns: tuple[int, int]
    healthy_s: float
    nodes: tuple[NodeState, ...] = ()
    operations: tuple[OperationTime, ...] = ()
    """That came in both stretches, by the time that was lost in them."""
    series: tuple[SeriesShift, ...] = ()
    """Those that are far off."""
