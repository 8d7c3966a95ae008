"""Who depends on whom: services and what they need, as a versioned graph.

An edge leads from who depends to what it depends on: from caller to callee, from guest to host.
Trouble travels against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_HOPS: Final = 8
"""How far is looked where nobody says: longer chains of calls are loops or mistakes."""


class NodeKind(StrEnum):
    SERVICE = "service"
    DATABASE = "database"
    CACHE = "cache"
    QUEUE = "queue"
    EXTERNAL = "external"
    HOST = "host"


class EdgeKind(StrEnum):
    CALLS = "calls"
    SENDS = "sends"
    """Through a queue, without waiting for an answer."""
    RUNS_ON = "runs_on"


class EdgeOrigin(StrEnum):
    """How it is known."""

    TRACES = "traces"
    DECLARED = "declared"
    CONNECTIONS = "connections"
    """Of open connections, or of a load balancer's log."""
    INFERRED = "inferred"
    """Reckoned from how series move together; never a reason to keep something quiet."""


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    kind: NodeKind = NodeKind.SERVICE


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    """Who depends."""
    target: str
    """On what."""
    kind: EdgeKind = EdgeKind.CALLS
    origin: EdgeOrigin = EdgeOrigin.TRACES
    weight: float = 1.0
    """Calls, where they are counted."""
    confidence: float = 1.0
    """That there is one, 0 to 1."""
    errors: float = 0.0
    """Of the calls, those that failed."""


@dataclass(frozen=True, slots=True)
class Topology:
    """A state of the graph. A node that only an edge names is a service.

    Loops and calls to oneself may be there; whoever walks the graph sees each node once.
    Everything is told in an order that depends on names alone.
    """

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    version: int = 0
    """Grows with every change; where in the log it changed, if it was made of one."""
    _kinds: Mapping[str, NodeKind] = field(init=False, repr=False, compare=False)
    _callees: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _callers: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = {name for edge in self.edges for name in (edge.source, edge.target)}
        kinds = dict.fromkeys(sorted(ends), NodeKind.SERVICE)
        kinds.update((node.name, node.kind) for node in self.nodes)
        pairs = {(e.source, e.target) for e in self.edges if e.source != e.target}
        object.__setattr__(self, "_kinds", dict(sorted(kinds.items())))
        object.__setattr__(self, "_callees", _adjacent(pairs))
        object.__setattr__(self, "_callers", _adjacent((b, a) for a, b in pairs))

    @property
    def names(self) -> tuple[str, ...]:
        """Of all nodes, sorted."""
        return tuple(self._kinds)

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def kind(self, name: str) -> NodeKind | None:
        """None for a stranger."""
        return self._kinds.get(name)

    def callees(self, name: str) -> tuple[str, ...]:
        """What it depends on at first hand, sorted; empty for a stranger."""
        return self._callees.get(name, ())

    def callers(self, name: str) -> tuple[str, ...]:
        """Who depends on it at first hand, sorted; empty for a stranger."""
        return self._callers.get(name, ())

    def descendants(self, name: str, max_hops: int = MAX_HOPS) -> dict[str, int]:
        """What it depends on, with the fewest hops to it, nearest first; without itself."""
        return _within(self._callees, name, max_hops)

    def ancestors(self, name: str, max_hops: int = MAX_HOPS) -> dict[str, int]:
        """Who depends on it, with the fewest hops from there, nearest first; without itself."""
        return _within(self._callers, name, max_hops)


def _adjacent(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for source, target in sorted(pairs):
        found.setdefault(source, []).append(target)
    return {name: tuple(others) for name, others in found.items()}


def _within(adjacent: Mapping[str, tuple[str, ...]], name: str, max_hops: int) -> dict[str, int]:
    """Level by level, so the first sight of a node is by the fewest hops."""
    hops, level = {name: 0}, [name]
    for distance in range(1, max_hops + 1):
        level = sorted({o for n in level for o in adjacent.get(n, ()) if o not in hops})
        if not level:
            break
        hops.update(dict.fromkeys(level, distance))
    del hops[name]
    return hops
