"""Who depends on whom, by spans: edges from callers to callees, and from services to hosts.

A pure step over accepted records in the order of the log: the same records give the same graph. An
edge is known when three calls of it came, its weight halves in a day, and what was not seen for a
week is forgotten. Spans that were sampled away by their sender weigh nothing.

Blind to calls whose two ends come to different processes, and to peers that are named by an address
at which nobody ever answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import red_kernel
from watchkeeper.lake.red_calls import WAIT_NS, Calls, Pairs
from watchkeeper.lake.red_peers import ADDRESS, Peers
from watchkeeper.lake.red_services import Service, Services
from watchkeeper.model.row import Origin
from watchkeeper.model.series import I64, U64, Mask, TenantId
from watchkeeper.model.severity import SpanStatus
from watchkeeper.model.signal import SpanBatch
from watchkeeper.model.topology import Edge, EdgeKind, Node, NodeKind
from watchkeeper.model.topology_set import Discovered, ordered

LEAST_CALLS: Final = 3
HALF_LIFE_NS: Final = 86_400 * NS_PER_S
FORGOTTEN_NS: Final = 7 * HALF_LIFE_NS
MOST_EDGES: Final = 5_000
"""Of one tenant; what would be more is not learned until others are forgotten."""
VERSION: Final = 1
CACHES: Final = frozenset({
    "redis", "valkey", "keydb", "dragonfly", "memcached", "hazelcast", "ignite", "geode",
    "infinispan", "ehcache",
})  # fmt: skip
"""OpenTelemetry calls them databases, too."""
_REFUSED = telemetry.counter(
    "watchkeeper_analyze_topology_refused_total",
    "Edges of the topology that were not learned: there are too many.",
)

Pair = tuple[str, str]


class _Seen(msgspec.Struct, array_like=True):
    """Of an edge."""

    kind: EdgeKind
    calls: float = 0.0
    """As of `at_ns`, older ones by how old they are."""
    errors: float = 0.0
    at_ns: int = 0
    n: int = 0
    """All that ever came, up to `LEAST_CALLS`."""


class _Kept(msgspec.Struct, array_like=True):
    """A checkpoint of one partition."""

    version: int
    edges: dict[str, list[tuple[str, str, _Seen]]]
    kinds: dict[str, dict[str, NodeKind]]
    ends: bytes
    peers: dict[int, str]
    answered: dict[int, str]


_decoder = msgspec.msgpack.Decoder(_Kept)


class Discovery:
    """State by tenant. For one thread."""

    def __init__(
        self, partition_of: Callable[[TenantId, str], int], *, most_edges: int = MOST_EDGES
    ) -> None:
        self._partition_of = partition_of
        self._services = Services(partition_of)
        self._peers = Peers(self._services)
        self._calls = Calls(self._services)
        self._edges: dict[TenantId, dict[Pair, _Seen]] = {}
        self._kinds: dict[TenantId, dict[str, NodeKind]] = {}
        """Of what tells nothing of itself."""
        self._answered: dict[int, str] = {}
        """Who answered where a peer was named so."""
        self._now_ns = 0
        self._most_edges = most_edges

    @property
    def tenants(self) -> list[TenantId]:
        return sorted(self._edges)

    def partition(self, tenant: TenantId) -> int:
        """Where all of a tenant's topology is kept."""
        return self._partition_of(tenant, "")

    def of_spans(self, batch: SpanBatch) -> None:
        """Learn of them."""
        whose = [
            Service(batch.tenant, one.entity.service, one.entity.environment)
            for one in batch.origins
        ]
        service = self._services.numbers(whose)
        named = self._peers.named(batch, service)
        pairs = self._calls.meet(batch, service, named, self._now_ns)
        self._direct(batch, service[batch.origin], named)
        self._of_pairs(pairs)
        used, counts = np.unique(batch.origin, return_counts=True)
        for at, n in zip(used.tolist(), counts.tolist(), strict=True):
            self._on_host(batch.tenant, batch.origins[at], n)

    def tick(self, now_ns: int) -> None:
        """What nobody answered is a call all the same; what is old is forgotten."""
        if not self._now_ns:
            self._calls.begin(now_ns)
        self._now_ns = max(self._now_ns, now_ns)
        self._of_pairs(self._calls.give_up(now_ns - WAIT_NS))
        for tenant, edges in self._edges.items():
            old = [one for one, seen in edges.items() if seen.at_ns < now_ns - FORGOTTEN_NS]
            for pair in old:
                del edges[pair]
            if old:
                ends = {name for pair in edges for name in pair}
                kinds = self._kinds.get(tenant, {})
                self._kinds[tenant] = {name: one for name, one in kinds.items() if name in ends}

    def topology(self, tenant: TenantId, position: int = 0) -> Discovered:
        """As it is now."""
        known = {
            pair: seen
            for pair, seen in self._edges.get(tenant, {}).items()
            if seen.n >= LEAST_CALLS
        }
        callers = {source for source, _ in known}
        kinds = self._kinds.get(tenant, {})
        nodes = {
            name: NodeKind.SERVICE if name in callers else kinds.get(name, NodeKind.SERVICE)
            for pair in known
            for name in pair
        }
        edges = ordered(
            Edge(
                *pair,
                seen.kind,
                weight=seen.calls * (faded := _faded(self._now_ns - seen.at_ns)),
                errors=seen.errors * faded,
            )
            for pair, seen in known.items()
        )
        told = tuple(Node(name, kind) for name, kind in sorted(nodes.items()))
        return Discovered(tenant, self._now_ns, told, edges, position)

    def dump(self, partition: int) -> bytes:
        """What is known of a partition, for `load`."""
        ours = [one for one in self.tenants if self.partition(one) == partition]
        if not ours:
            return b""
        kept = _Kept(
            VERSION,
            {one: [(*pair, seen) for pair, seen in self._edges[one].items()] for one in ours},
            {one: self._kinds.get(one, {}) for one in ours},
            self._calls.dump(partition),
            self._peers.names,
            self._answered,
        )
        return msgspec.msgpack.encode(kept)

    def load(self, partition: int, state: bytes) -> None:
        """Go on from a dump; what was known of the partition is forgotten."""
        for tenant in [one for one in self.tenants if self.partition(one) == partition]:
            del self._edges[tenant]
            self._kinds.pop(tenant, None)
        self._calls.forget(partition)
        kept = _decoder.decode(state) if state else None
        if kept is None or kept.version != VERSION:
            return
        for name, edges in kept.edges.items():
            tenant = TenantId(name)
            self._edges[tenant] = {(source, target): seen for source, target, seen in edges}
            self._kinds[tenant] = kept.kinds.get(name, {})
        self._calls.load(kept.ends)
        for key, peer in kept.peers.items():
            self._peers.remember(key, peer)
        self._answered |= kept.answered

    def _direct(self, batch: SpanBatch, service: Any, named: tuple[U64, Any]) -> None:
        """Edges of which one span tells all: to databases and queues. Who takes from a queue
        depends on it as much as who puts something in."""
        key, sort = named
        rows = np.flatnonzero((sort > red_kernel.CALL) & (service >= 0))
        failed = batch.status[rows] == SpanStatus.ERROR
        for (number, peer, what), n, n_failed in _counted(
            (service[rows], key[rows], sort[rows]), failed
        ):
            own, name = self._services.known[number], self._peers.name(peer)
            kind = EdgeKind.SENDS if what == red_kernel.QUEUE else EdgeKind.CALLS
            if name and self._add(own.tenant, (own.name, name), kind, n, n_failed):
                self._kinds.setdefault(own.tenant, {})[name] = kind_of(name, what)

    def _of_pairs(self, pairs: Pairs) -> None:
        columns = (pairs["client"], pairs["server"], pairs["key"], pairs["peer"])
        for (client, server, key, peer), n, n_failed in _counted(columns, pairs["failed"] > 0):
            own = self._services.known[client]
            if server >= 0:
                name = self._services.known[server].name
                if peer and len(self._answered) < MOST_EDGES:
                    self._answered[peer] = name
                self._add(own.tenant, (own.name, name), EdgeKind.CALLS, n, n_failed)
                continue
            known = self._answered.get(key)
            name = known or self._peers.name(key)
            if name in ("", ADDRESS) or not self._add(
                own.tenant, (own.name, name), EdgeKind.CALLS, n, n_failed
            ):
                continue
            if known is None:
                self._kinds.setdefault(own.tenant, {}).setdefault(name, NodeKind.EXTERNAL)

    def _on_host(self, tenant: TenantId, origin: Origin, n: int) -> None:
        entity = origin.entity
        pair = (entity.service, entity.node)
        if all(pair) and self._add(tenant, pair, EdgeKind.RUNS_ON, n, 0):
            self._kinds.setdefault(tenant, {})[entity.node] = NodeKind.HOST

    def _add(self, tenant: TenantId, pair: Pair, kind: EdgeKind, n: int, n_failed: int) -> bool:
        """Whether it is known now."""
        if pair[0] == pair[1]:
            return False
        edges = self._edges.setdefault(tenant, {})
        seen = edges.get(pair)
        if seen is None:
            if len(edges) >= self._most_edges:
                _REFUSED.add(1)
                return False
            seen = edges[pair] = _Seen(kind, at_ns=self._now_ns)
        faded = _faded(self._now_ns - seen.at_ns)
        seen.calls = seen.calls * faded + n
        seen.errors = seen.errors * faded + n_failed
        seen.at_ns = self._now_ns
        seen.n = min(seen.n + n, LEAST_CALLS)
        return True


def kind_of(name: str, sort: int) -> NodeKind:
    """What a peer is that a span names, by what it is called and how."""
    if sort == red_kernel.QUEUE:
        return NodeKind.QUEUE
    return NodeKind.CACHE if name.split("/")[0].lower() in CACHES else NodeKind.DATABASE


def _faded(age_ns: int) -> float:
    return float(0.5 ** (max(age_ns, 0) / HALF_LIFE_NS))


def _counted(columns: tuple[Any, ...], failed: Mask) -> list[tuple[tuple[int, ...], int, int]]:
    """How often each combination comes, and how often of these it failed."""
    if not len(failed):
        return []
    order = np.lexsort(columns)
    ordered_ = [np.asarray(one)[order] for one in columns]
    is_first = np.append(True, np.zeros(len(order) - 1, np.bool_))
    for one in ordered_:
        is_first[1:] |= one[1:] != one[:-1]
    first: I64 = np.flatnonzero(is_first)
    counts = np.diff(np.append(first, len(order)))
    failures = np.add.reduceat(np.asarray(failed)[order].astype(np.int64), first)
    rows = zip(*(one[first].tolist() for one in ordered_), strict=True)
    return list(zip(rows, counts.tolist(), failures.tolist(), strict=True))
