"""Groups by who may be the root: as few roots as explain the alerts, each at its place and time.

Trouble at a node reaches whoever depends on it, later the farther off. A candidate is a complaint;
what speaks for another one being its consequence is a likelihood ratio against a stranger's alert,
the sum of what time, topology, text and labels say. A group costs something, and so does everybody
who depends on its members and says nothing. Greedy choice of roots (uncapacitated facility
location), then members, roots and number of groups are bettered in turns.

Blind where the root itself says nothing and its dependants are strangers to each other; and to
which of two roots an alert belongs that both reach at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers.base import Group, Scene, alone, itself
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.incident import Join
from watchkeeper.model.series import F64, I64, Mask

_NEVER: Final = -1e6
_ROUNDS: Final = 8
_NEAR_S: Final = 300.0
"""Whoever said something within so long of a root's time is not silent."""
_WHERE: Final = ("environment", "env", "cluster", "region", "datacenter")
"""Labels whose values differ only between systems that have nothing to do with each other."""


class RootCoverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is believed of how trouble spreads. The defaults are hand-set and tried on made-up
    storms; see the page on correlation."""

    hop_share: Annotated[
        float, Meta(gt=0, le=1, description="Of who depends on trouble, the share that has it too.")
    ] = 0.8
    delay_s: Annotated[
        float, Meta(ge=0, description="So much later than the root any member is as likely.")
    ] = 45.0
    delay_per_hop_s: Annotated[float, Meta(ge=0, description="More, for each step.")] = 25.0
    spread_s: Annotated[
        float, Meta(gt=0, description="How slowly it becomes unlikely after that.")
    ] = 20.0
    spread_per_hop_s: Annotated[float, Meta(ge=0, description="More, for each step.")] = 5.0
    early_s: Annotated[
        float, Meta(gt=0, description="How slowly it becomes unlikely before the root's time.")
    ] = 20.0
    least_s: Annotated[float, Meta(gt=0, description="No earlier than the root by more.")] = 60.0
    most_s: Annotated[float, Meta(gt=0, description="No later than the root by more.")] = 420.0
    unknown: Annotated[
        float, Meta(le=0, description="What speaks against an alert that names nobody.")
    ] = -2.5
    least_odds: Annotated[
        float, Meta(description="Of a member: log odds that it is no stranger, the root given.")
    ] = -1.5
    least_evidence: Annotated[
        float, Meta(ge=0, description="Of a group: what its members say together above that.")
    ] = 6.0
    silent: Annotated[
        float,
        Meta(ge=0, description="What speaks against a group for each that depends and is silent."),
    ] = 3.0
    most_silent: Annotated[float, Meta(ge=0, description="And for all of them.")] = 12.0
    named: Annotated[float, Meta(ge=0, description="For one whose text names the root.")] = 1.5
    elsewhere: Annotated[
        float, Meta(le=0, description="Against one of another environment, cluster or region.")
    ] = -4.0


class RootCover:
    """As few roots as explain the alerts, each at its place and time."""

    name: ClassVar[str] = "root_cover"
    Config: ClassVar[type[RootCoverConfig]] = RootCoverConfig

    def __init__(self, config: RootCoverConfig) -> None:
        self.config = config

    def group(self, complaints: Sequence[Complaint], scene: Scene) -> list[Group]:
        if not complaints:
            return []
        told = sorted(complaints, key=lambda complaint: (complaint.started_ns, complaint.key))
        table = _Table.of(told, scene, self.config)
        odds = table.odds
        worth = np.maximum(odds - self.config.least_odds, 0.0)
        np.fill_diagonal(worth, 0.0)
        cost = self.config.least_evidence + _silent(told, worth, scene, self.config)
        root = _settle(worth, cost)
        return [
            _told(told, table, r, np.flatnonzero(root == r)) for r in sorted(set(root.tolist()))
        ]

    def join(self, complaint: Complaint, group: Sequence[Complaint], scene: Scene) -> Join | None:
        root = group[0]
        if complaint.node and root.node and scene.reach.hops(root.node, complaint.node) is None:
            return None
        table = _Table.of([root, complaint], scene, self.config)
        if table.odds[0, 1] < self.config.least_odds:
            return None
        return table.join(0, 1, root)


@dataclass(frozen=True, slots=True)
class _Table:
    """What speaks for complaint j being a consequence of complaint i, in row i."""

    time: F64
    topology: F64
    text: F64
    labels: F64
    hops: I64

    @classmethod
    def of(cls, complaints: Sequence[Complaint], scene: Scene, config: RootCoverConfig) -> _Table:
        hops, is_known = _hops(complaints, scene)
        topology = np.where(hops >= 0, hops * math.log(config.hop_share), _NEVER)
        topology = np.where(is_known, topology, config.unknown)
        steps = np.where(is_known, np.maximum(hops, 0), 1)
        time = _time(complaints, steps, scene, config)
        return cls(time, topology, _text(complaints, config), _labels(complaints, config), steps)

    @property
    def odds(self) -> F64:
        found: F64 = self.time + self.topology + self.text + self.labels
        return found

    def join(self, i: int, j: int, root: Complaint) -> Join:
        return Join(
            root.key,
            float(self.time[i, j]),
            float(self.topology[i, j]),
            float(self.text[i, j]),
            float(self.labels[i, j]),
            int(self.hops[i, j]),
        )


def _told(told: Sequence[Complaint], table: _Table, root: int, members: I64) -> Group:
    if len(members) == 1:
        return alone(told[root])
    joins = {told[j].key: table.join(root, j, told[root]) for j in members.tolist() if j != root}
    return Group(told[root].key, {told[root].key: itself(told[root].key), **joins})


def _hops(complaints: Sequence[Complaint], scene: Scene) -> tuple[I64, Mask]:
    """Steps from the node of i to that of j, -1 where none lead there; and whether both have a
    node. A root without a node explains only what has none either."""
    names = sorted({complaint.node for complaint in complaints if complaint.node})
    number = {name: n for n, name in enumerate(names)}
    between = np.full((len(names) + 1, len(names) + 1), -1, np.int64)
    for name, row in number.items():
        between[row, row] = 0
        for other, n in scene.reach.reached(name).items():
            if other in number:
                between[row, number[other]] = n
    node = np.array([number.get(complaint.node, len(names)) for complaint in complaints])
    has = node < len(names)
    is_known = has[None, :] | ~has[:, None]
    return between[node[:, None], node[None, :]], is_known


def _time(complaints: Sequence[Complaint], hops: I64, scene: Scene, config: RootCoverConfig) -> F64:
    """Flat from the root's time to the usual delay, falling on both sides of that."""
    since = np.array([complaint.started_ns for complaint in complaints], np.int64)
    later = (since[None, :] - since[:, None]) / NS_PER_S
    usual = config.delay_s + config.delay_per_hop_s * hops
    spread = config.spread_s + config.spread_per_hop_s * hops
    density = 1.0 / (config.early_s + usual + spread)
    off = np.maximum(later - usual, 0.0) / spread + np.maximum(-later, 0.0) / config.early_s
    odds = np.log(density / scene.strangers_per_s) - off
    return np.where((later < -config.least_s) | (later > config.most_s), _NEVER, odds)


def _text(complaints: Sequence[Complaint], config: RootCoverConfig) -> F64:
    """Whether the words of j name the node of i, which is not its own."""
    found = np.zeros((len(complaints), len(complaints)))
    by_node: dict[str, list[int]] = {}
    for i, complaint in enumerate(complaints):
        by_node.setdefault(complaint.node, []).append(i)
    for j, complaint in enumerate(complaints):
        for word in set(complaint.summary.split()) - {complaint.node, ""}:
            found[by_node.get(word, []), j] = config.named
    return found


def _labels(complaints: Sequence[Complaint], config: RootCoverConfig) -> F64:
    """Whether both say where they are, and it is not the same."""
    found = np.zeros((len(complaints), len(complaints)))
    for name in _WHERE:
        values = sorted({complaint.labels.get(name, "") for complaint in complaints})
        at = np.array([values.index(complaint.labels.get(name, "")) for complaint in complaints])
        said = np.array([name in complaint.labels for complaint in complaints])
        differs = (at[:, None] != at[None, :]) & said[:, None] & said[None, :]
        found = np.where(differs, config.elsewhere, found)
    return found


def _silent(
    complaints: Sequence[Complaint], worth: F64, scene: Scene, config: RootCoverConfig
) -> F64:
    """What speaks against each root: those who depend on what it explains, and say nothing."""
    graph = scene.reach.topology
    since = np.array([complaint.started_ns for complaint in complaints], np.int64)
    near_ns = round(_NEAR_S * NS_PER_S)
    found = np.zeros(len(complaints))
    for i, complaint in enumerate(complaints):
        nodes = {complaints[j].node for j in np.flatnonzero(worth[i] > 0.0).tolist()} | {
            complaint.node
        }
        first, last = np.searchsorted(since, [since[i] - near_ns, since[i] + near_ns + 1])
        heard = {complaints[j].node for j in range(int(first), int(last))}
        silent = {caller for node in nodes for caller in graph.callers(node)} - heard
        found[i] = min(config.silent * len(silent), config.most_silent)
    return found


def _settle(worth: F64, cost: F64) -> I64:
    """Of each complaint its root; a complaint alone is its own."""
    roots = _choose(worth, cost)
    for _ in range(_ROUNDS):
        if not roots:
            break
        bettered = _drop(worth, cost, _move(worth, cost, roots))
        if bettered == roots:
            break
        roots = bettered
    return _assign(worth, roots)


def _assign(worth: F64, roots: Sequence[int]) -> I64:
    """Each to the root that explains it best. A root that explains nobody is alone."""
    n = len(worth)
    found = np.arange(n)
    if not roots:
        return found
    of = worth[list(roots)]
    best = of.argmax(0)
    is_one = of.max(0) > 0.0
    is_one[list(roots)] = False
    found[is_one] = np.array(roots)[best[is_one]]
    return found


def _choose(worth: F64, cost: F64) -> list[int]:
    """Greedily, whichever root explains most of what no other explains better."""
    best = np.zeros(len(worth))
    roots: list[int] = []
    while True:
        more = np.maximum(worth - best, 0.0)
        more[:, roots] = 0.0
        gain = more.sum(1) - cost - best
        gain[roots] = -1.0
        root = int(gain.argmax())
        if gain[root] <= 0.0:
            return roots
        roots.append(root)
        best = np.maximum(best, worth[root])
        best[roots] = 0.0


def _move(worth: F64, cost: F64, roots: Sequence[int]) -> list[int]:
    """For each group the member that explains the others best."""
    root = _assign(worth, roots)
    moved = []
    for r in roots:
        members = np.flatnonzero(root == r)
        if len(members) < 2:
            continue
        total = worth[np.ix_(members, members)].sum(1) - cost[members]
        best = int(members[total.argmax()])
        moved.append(r if total.max() <= worth[r, members].sum() - cost[r] else best)
    return sorted(set(moved))


def _drop(worth: F64, cost: F64, roots: Sequence[int]) -> list[int]:
    """Without those whose members are nearly as well explained by others."""
    left = list(roots)
    while left:
        of = worth[left]
        best, of_whom = of.max(0), of.argmax(0)
        second = np.sort(of, axis=0)[-2] if len(left) > 1 else np.zeros(len(worth))
        lost = best - second
        lost[left] = 0.0
        own = np.bincount(of_whom, weights=lost, minlength=len(left))
        margin = own - cost[left] - best[left]
        worst = int(margin.argmin())
        if margin[worst] >= 0.0:
            return left
        left.pop(worst)
    return left
