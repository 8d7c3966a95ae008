"""Made-up storms of alerts, with the truth: which fault made which alert, and where it sat.

A fault travels against the edges of a graph of services and hosts, from who is needed to who needs
it. How long that takes is of one of three families, which nobody who groups the alerts knows. Every
storm has two of seven shapes that make it hard, and some of its faults always overlap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.alert import Alert, AlertStatus, urgency_of
from watchkeeper.model.series import Entity
from watchkeeper.model.topology import Edge, EdgeKind, Node, NodeKind, Topology

START_S: Final = 1_700_000_000
HOUR_S: Final = 3600.0
SIZES: Final[Mapping[str, tuple[int, int]]] = {"easy": (3, 15), "medium": (6, 40), "hard": (15, 80)}
"""Faults, and alerts of no fault, in an hour."""
FAMILIES: Final = ("exponential", "heavy", "stepped")
SHAPES: Final = ("twins", "shared_host", "flapping", "late", "skew", "stale", "nameless")
PAIRS: Final = tuple(itertools.combinations(SHAPES, 2))
"""A storm has two of the shapes: of 21 storms with seeds in a row, each two once."""
LAYERS: Final = (2, 10, 16, 12)
N_HOSTS: Final = 8
RULES: Final[Mapping[NodeKind, tuple[tuple[str, str, str], ...]]] = {
    NodeKind.SERVICE: (
        ("HighLatency", "warning", "high latency p95 on {}"),
        ("ErrorRate", "critical", "error rate above slo on {}"),
        ("ApdexDegraded", "warning", "apdex degraded {}"),
        ("DownstreamTimeout", "critical", "request timeout calling downstream from {}"),
    ),
    NodeKind.DATABASE: (
        ("SlowQueries", "warning", "slow queries on {}"),
        ("PoolExhausted", "critical", "connection pool exhausted {}"),
        ("LockWait", "critical", "lock wait timeout {}"),
    ),
    NodeKind.CACHE: (
        ("Evictions", "warning", "evictions high {}"),
        ("HitRatio", "warning", "cache hit ratio low {}"),
    ),
    NodeKind.HOST: (
        ("CpuSaturated", "warning", "cpu saturation {}"),
        ("DiskWait", "warning", "disk io wait {}"),
        ("MemoryPressure", "critical", "memory pressure {}"),
    ),
}
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Said:
    """One message, and what only the maker knows of it."""

    alert: Alert
    arrives_ns: int
    truth: int
    """Number of the fault; any other number is that of an alert of none."""
    is_root: bool = False
    """The first that the fault's own place said."""


@dataclass(frozen=True, slots=True)
class Storm:
    """An hour of it."""

    size: str
    topology: Topology
    """As it is known."""
    before: tuple[Said, ...]
    """Of the hour before, in which nothing is the matter; truths below 0."""
    said: tuple[Said, ...]
    """By arrival."""
    roots: tuple[str, ...]
    family: str
    shapes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _World:
    """What there is, and what is drawn of this storm."""

    rng: Rng
    truth: Topology
    family: str
    shapes: frozenset[str]
    skew_s: Mapping[str, float]
    team: Mapping[str, str]


def make(size: str, seed: int) -> Storm:
    """The same for the same arguments. An hour of noise alone goes before, and is no part of it."""
    return _make(size, seed, SIZES[size][0])


def quiet(size: str, seed: int) -> Storm:
    """An hour without a fault."""
    return _make(size, seed, 0)


def _make(size: str, seed: int, n: int) -> Storm:
    rng = np.random.default_rng([seed, sorted(SIZES).index(size), 41])
    pair = PAIRS[seed % len(PAIRS)]
    world = _world(rng, FAMILIES[seed % len(FAMILIES)], frozenset(pair))
    n_noise = SIZES[size][1]
    roots, began_s = _faults(world, n)
    before = [said for k in range(n_noise) for said in _noise(world, -1 - k, -HOUR_S)]
    said: list[Said] = []
    for truth, (root, start_s) in enumerate(zip(roots, began_s, strict=True)):
        said += _fault(world, truth, root, start_s)
    for k in range(n_noise):
        said += _noise(world, n + k, 0.0)
    known = _stale(world) if "stale" in world.shapes else world.truth
    return Storm(
        size,
        known,
        before=_by_arrival(before),
        said=_by_arrival(said),
        roots=tuple(roots),
        family=world.family,
        shapes=world.shapes,
    )


def _by_arrival(said: Sequence[Said]) -> tuple[Said, ...]:
    return tuple(sorted(said, key=lambda one: (one.arrives_ns, one.alert.summary, one.truth)))


def _world(rng: Rng, family: str, shapes: frozenset[str]) -> _World:
    names = [[f"s{layer}-{i}" for i in range(n)] for layer, n in enumerate(LAYERS)]
    nodes, edges = [], []
    for above, below in itertools.pairwise(names):
        for name in above:
            chosen = rng.choice(len(below), size=int(rng.integers(1, 4)), replace=False)
            edges += [Edge(name, below[k]) for k in sorted(chosen.tolist())]
    for layer, row in enumerate(names):
        for name in row:
            is_store = layer == len(LAYERS) - 1
            store = NodeKind.DATABASE if rng.random() < 0.6 else NodeKind.CACHE
            nodes.append(Node(name, store if is_store else NodeKind.SERVICE))
            host = f"host{rng.integers(N_HOSTS)}"
            edges.append(Edge(name, host, EdgeKind.RUNS_ON, weight=1.0))
    nodes += [Node(f"host{k}", NodeKind.HOST) for k in range(N_HOSTS)]
    far = 30.0 if "skew" in shapes else 0.0
    skew = {node.name: float(rng.uniform(-far, far)) for node in nodes}
    team = {node.name: f"team{rng.integers(6)}" for node in nodes}
    return _World(rng, Topology(tuple(nodes), tuple(edges)), family, shapes, skew, team)


def _faults(world: _World, n: int) -> tuple[list[str], list[float]]:
    """Where and when. Three in ten at least begin within five minutes of another one."""
    rng, names = world.rng, world.truth.names
    roots = [names[int(rng.integers(len(names)))] for _ in range(n)]
    began = [float(rng.uniform(0.0, HOUR_S)) for _ in range(n)]
    n_close = math.ceil(0.3 * n)
    for k in range(1, min(n, n_close + 1)):
        began[k] = began[k - 1] + float(rng.uniform(0.0, 300.0))
    if n > 1 and "twins" in world.shapes:
        roots[1] = _twin(world, roots[0])
        began[1] = began[0] + float(rng.uniform(0.0, 120.0))
    if n and "shared_host" in world.shapes:
        hosts = [x for x in names if world.truth.kind(x) is NodeKind.HOST]
        busy = [x for x in hosts if len(world.truth.callers(x)) >= 3]
        roots[-1] = busy[int(rng.integers(len(busy)))]
    return roots, began


def _twin(world: _World, root: str) -> str:
    """Another place that some of those need who need this one; any, where nobody needs it."""
    above = set(world.truth.ancestors(root))
    others = [x for x in world.truth.names if x != root and above & set(world.truth.ancestors(x))]
    found = others or [x for x in world.truth.names if x != root]
    return found[int(world.rng.integers(len(found)))]


def _fault(world: _World, truth: int, root: str, start_s: float) -> list[Said]:
    rng, graph = world.rng, world.truth
    hit, queue = {root: start_s}, [root]
    while queue:
        node = queue.pop(0)
        for caller in graph.callers(node):
            catches = 0.6 if graph.kind(node) is NodeKind.HOST else 0.75
            if caller not in hit and rng.random() < catches:
                hit[caller] = hit[node] + _hop_s(world)
                queue.append(caller)
    lasts_s = float(rng.uniform(200.0, 900.0))
    n_flaps = 8.0 if "flapping" in world.shapes else 3.0
    said: list[Said] = []
    for node, when_s in hit.items():
        for k in range(1 + int(rng.poisson(0.8))):
            if node != root and rng.random() < 0.08:
                continue
            said += _alerts(
                world,
                _Firing(truth, node, when_s + _delay_s(world), node == root and k == 0),
                every_s=lambda: float(rng.uniform(20.0, max(21.0, lasts_s / n_flaps))),
                n=1 + int(rng.poisson(n_flaps)),
            )
    return said


def _noise(world: _World, truth: int, from_s: float) -> list[Said]:
    names = world.truth.names
    node = names[int(world.rng.integers(len(names)))]
    firing = _Firing(truth, node, from_s + float(world.rng.uniform(0.0, HOUR_S)))
    return _alerts(world, firing, every_s=lambda: 60.0, n=1 + int(world.rng.poisson(1.0)))


@dataclass(frozen=True, slots=True)
class _Firing:
    truth: int
    node: str
    first_s: float
    is_root: bool = False


def _alerts(world: _World, firing: _Firing, *, every_s: Any, n: int) -> list[Said]:
    """One rule of one place, that begins to hold n times."""
    rng = world.rng
    kind = world.truth.kind(firing.node) or NodeKind.SERVICE
    rule, severity, summary = RULES[kind][int(rng.integers(len(RULES[kind])))]
    is_nameless = "nameless" in world.shapes and rng.random() < 0.15
    is_mute = is_nameless and rng.random() < 0.5
    said = []
    for k in range(n):
        true_s = firing.first_s + k * every_s()
        told_s = START_S + true_s + world.skew_s[firing.node] + float(rng.normal(0.0, 5.0))
        labels = {"alertname": rule, "severity": severity, "environment": "production"}
        entity = Entity(environment="production")
        if not is_nameless:
            labels |= {"team": world.team[firing.node], "pod": f"p-{rng.integers(1_000_000):06d}"}
            labels["host" if kind is NodeKind.HOST else "service"] = firing.node
            is_host = kind is NodeKind.HOST
            entity = Entity("" if is_host else firing.node, "production", firing.node * is_host)
        late_s = float(rng.uniform(0.0, 5.0))
        if "late" in world.shapes and rng.random() < 0.2:
            late_s = float(rng.uniform(5.0, 120.0))
        alert = Alert(
            source="alertmanager",
            rule=rule,
            labels=labels,
            status=AlertStatus.FIRING,
            started_ns=round(told_s * NS_PER_S),
            urgency=urgency_of(severity),
            summary=summary.format("a service" if is_mute else firing.node),
            entity=entity,
        )
        arrives_ns = round((START_S + true_s + late_s) * NS_PER_S)
        said.append(Said(alert, arrives_ns, firing.truth, firing.is_root and k == 0))
        lasts_ns = round(float(rng.uniform(15.0, 55.0)) * NS_PER_S)
        ended = replace(alert, status=AlertStatus.RESOLVED, ended_ns=alert.started_ns + lasts_ns)
        said.append(Said(ended, arrives_ns + lasts_ns, firing.truth))
    return said


def _hop_s(world: _World) -> float:
    """From whom something is needed to who needs it."""
    rng = world.rng
    match world.family:
        case "exponential":
            return float(rng.exponential(25.0))
        case "heavy":
            return float(rng.lognormal(math.log(15.0), 1.0))
        case _:
            return 15.0 * float(rng.poisson(1.6))


def _delay_s(world: _World) -> float:
    """From being hit to saying so."""
    rng = world.rng
    match world.family:
        case "exponential":
            return float(rng.exponential(30.0))
        case "heavy":
            return float(rng.lognormal(math.log(18.0), 1.0))
        case _:
            return float(rng.uniform(0.0, 30.0)) + float(rng.choice([0.0, 15.0, 30.0]))


def _stale(world: _World) -> Topology:
    """A fifth of the edges are not known."""
    known = tuple(edge for edge in world.truth.edges if world.rng.random() >= 0.2)
    return Topology(world.truth.nodes, known)
