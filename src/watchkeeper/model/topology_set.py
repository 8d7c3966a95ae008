"""What is kept of a topology: what was discovered, what people said of it, and both together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.errors import ConfigError
from watchkeeper.model.series import TenantId
from watchkeeper.model.topology import Edge, EdgeKind, EdgeOrigin, Node, NodeKind, Topology

MOST_NODES: Final = 5_000
MOST_EDGES: Final = 20_000
NEVER_SET: Final = 0
"""The version of what nobody has said anything of."""

Name = Annotated[str, Meta(min_length=1, max_length=500)]


class DeclaredNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people know of a node; it need not have been seen."""

    name: Annotated[Name, Meta(description="As telemetry names it.")]
    kind: Annotated[
        NodeKind | None,
        Meta(description="service, database, cache, queue, external or host; else as it is seen."),
    ] = None
    owner: Annotated[str, Meta(max_length=200, description="The team that is asked first.")] = ""
    tier: Annotated[
        Annotated[int, Meta(ge=1, le=4)] | None,
        Meta(description="How much depends on it: 1 for what all depends on, to 4."),
    ] = None
    runbooks: Annotated[
        tuple[Annotated[str, Meta(max_length=1000)], ...],
        Meta(max_length=20, description="Links, each beginning with http:// or https://."),
    ] = ()
    about: Annotated[str, Meta(max_length=1000, description="In a sentence, what it is.")] = ""


class DeclaredEdge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That one depends on another."""

    source: Annotated[Name, Meta(description="Who depends.")]
    target: Annotated[Name, Meta(description="On what.")]
    kind: Annotated[EdgeKind, Meta(description="calls, sends or runs_on.")] = EdgeKind.CALLS


class TopologyDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that people say; what it does not name stays as it was discovered."""

    nodes: Annotated[
        tuple[DeclaredNode, ...], Meta(max_length=MOST_NODES, description="Each once.")
    ] = ()
    edges: Annotated[
        tuple[DeclaredEdge, ...],
        Meta(max_length=MOST_EDGES, description="Besides those that are seen."),
    ] = ()


@dataclass(frozen=True, slots=True)
class Discovered:
    """The graph as it was seen from a time on, until it was seen otherwise."""

    tenant: TenantId
    time_ns: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    position: int = 0


@dataclass(frozen=True, slots=True)
class TopologySet:
    """A version of what people say of a tenant's topology."""

    tenant: TenantId
    version: int
    document: TopologyDocument
    time_ns: int
    principal: str
    action: str = "topology.set"
    request_id: str = ""
    changed: str = ""
    """What became of what, in few words."""


def check(document: TopologyDocument) -> None:
    """Raises ConfigError with everything that does not make sense together."""
    faults = list(_faults(document))
    if faults:
        raise ConfigError(faults)


def merged(discovered: Discovered | None, declared: TopologySet | None) -> Topology:
    """What people say of a kind counts; of an edge that is seen, what was seen of it."""
    kinds: dict[str, NodeKind] = {}
    edges: dict[tuple[str, str], Edge] = {}
    version = 0
    if discovered is not None:
        version += discovered.position
        kinds |= {one.name: one.kind for one in discovered.nodes}
        edges |= {(one.source, one.target): one for one in discovered.edges}
    if declared is not None:
        version += declared.version
        for node in declared.document.nodes:
            kinds[node.name] = node.kind or kinds.get(node.name, NodeKind.SERVICE)
        for told in declared.document.edges:
            new = Edge(told.source, told.target, told.kind, EdgeOrigin.DECLARED)
            edges.setdefault((told.source, told.target), new)
    nodes = tuple(Node(name, kind) for name, kind in sorted(kinds.items()))
    return Topology(nodes, tuple(edges[pair] for pair in sorted(edges)), version)


def ordered(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    return tuple(sorted(edges, key=lambda one: (one.source, one.target)))


def is_same_graph(one: Discovered | None, other: Discovered) -> bool:
    """Whether both have the same nodes and edges, whatever these weigh."""
    return one is not None and _shape(one) == _shape(other)


def _shape(one: Discovered) -> tuple[Sequence[Node], Sequence[Edge]]:
    return one.nodes, [replace(edge, weight=0.0, errors=0.0) for edge in one.edges]


def _faults(document: TopologyDocument) -> Iterator[str]:
    seen: set[str] = set()
    for at, node in enumerate(document.nodes):
        if node.name in seen:
            yield f"nodes[{at}].name: '{node.name}' is there twice; say all of it in one"
        seen.add(node.name)
        for link in node.runbooks:
            if not link.startswith(("http://", "https://")):
                yield f"nodes[{at}].runbooks: '{link[:80]}' is no link; write https://..."
    pairs: set[tuple[str, str]] = set()
    for at, edge in enumerate(document.edges):
        if edge.source == edge.target:
            yield f"edges[{at}]: '{edge.source}' cannot depend on itself"
        if (edge.source, edge.target) in pairs:
            yield f"edges[{at}]: from '{edge.source}' to '{edge.target}' is there twice"
        pairs.add((edge.source, edge.target))
