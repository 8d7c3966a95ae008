"""What kernels are told of complaints, and what they find: arrays, one entry for each complaint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers import cover_kernel
from watchkeeper.analyze.groupers.base import Scene
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.incident import Join
from watchkeeper.model.series import F64, I64

_WHERE: Final = ("environment", "env", "cluster", "region", "datacenter")
"""Labels whose values differ only between systems that have nothing to do with each other."""


class Belief(NamedTuple):
    """How trouble spreads: the settings of a grouper, and how often strangers come."""

    hop: float
    bridge: float
    delay_s: float
    delay_per_hop_s: float
    spread_s: float
    spread_per_hop_s: float
    early_s: float
    least_s: float
    most_s: float
    unknown: float
    least_odds: float
    least_evidence: float
    silent: float
    named: float
    elsewhere: float
    strangers_per_s: float


class Said(NamedTuple):
    """Of one for another: seconds between, steps, and the log share of trouble that goes so far."""

    later_s: float
    hops: int
    share: float


class Table(NamedTuple):
    """What speaks for complaint j being a consequence of complaint i, in row i."""

    odds: F64
    hops: I64
    share: F64
    since_s: F64
    shift_s: F64
    """How much earlier the onset at a root is taken to be than its own complaint."""
    cost: F64
    """What a root has to make up for."""

    @classmethod
    def of(cls, told: Sequence[Complaint], scene: Scene, belief: Belief) -> Table:
        """Of complaints in order of time."""
        n = len(told)
        first_ns = told[0].started_ns
        since_s = np.array([(one.started_ns - first_ns) / NS_PER_S for one in told])
        numbers, (starts, callers) = scene.reach.callers
        strange = sorted({one.node for one in told if one.node and one.node not in numbers})
        number = {**numbers, **{name: len(numbers) + k for k, name in enumerate(strange)}}
        starts = np.concatenate([starts, np.full(len(strange), starts[-1])])
        nodes = np.array([number[one.node] if one.node else -1 for one in told], np.int64)
        odds, hops, share = np.empty((n, n)), np.zeros((n, n), np.int64), np.zeros((n, n))
        found = cls(odds, hops, share, since_s, np.zeros(n), np.empty(n))
        said = (since_s, nodes, _places(told), _named(told, number))
        about = (hops, share, found.shift_s, found.cost)
        cover_kernel.cover(said, (starts, callers), belief, odds, about)
        return found

    def said(self, i: int, j: int) -> Said:
        later_s = float(self.since_s[j] - self.since_s[i] + self.shift_s[i])
        return Said(later_s, int(self.hops[i, j]), float(self.share[i, j]))


def join_of(root: Complaint, other: Complaint, said: Said, belief: Belief) -> Join:
    """Why one is taken for a consequence of a root, term by term."""
    is_named = root.node != other.node and root.node in other.summary.split()
    is_elsewhere = any(
        root.labels[name] != other.labels[name]
        for name in _WHERE
        if name in root.labels and name in other.labels
    )
    return Join(
        root.key,
        time=float(cover_kernel.when(said.later_s, said.hops, belief)),
        topology=said.share,
        text=belief.named if is_named else 0.0,
        labels=belief.elsewhere if is_elsewhere else 0.0,
        hops=said.hops,
    )


def _named(told: Sequence[Complaint], number: Mapping[str, int]) -> tuple[I64, I64]:
    """Of each where the nodes begin that its words name, and these."""
    starts, named = [0], list[int]()
    for one in told:
        named += sorted({number[word] for word in one.summary.split() if word in number})
        starts.append(len(named))
    return np.array(starts, np.int64), np.array(named, np.int64)


def _places(told: Sequence[Complaint]) -> I64:
    """Where each says that it is, by label, a number for each value; -1 where it does not."""
    found = np.full((len(told), len(_WHERE)), -1, np.int64)
    for k, name in enumerate(_WHERE):
        number: dict[str, int] = {}
        for at, one in enumerate(told):
            if name in one.labels:
                found[at, k] = number.setdefault(one.labels[name], len(number))
    return found
