"""How far it is from whom trouble begins at to whom it reaches, along a topology."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate
from typing import Final

import numpy as np

from watchkeeper.model.alert import Alert
from watchkeeper.model.series import I64
from watchkeeper.model.topology import Topology

MAX_HOPS: Final = 5
_WORD: Final = re.compile(r"[\w.\-/]+")
_PLACES: Final = ("service", "host", "node", "instance", "job", "container", "app", "name")
"""Labels that may name a node, the likeliest first."""
_MAX_WORDS: Final = 64


class Reach:
    """Of one state of the topology. Looks every node up once."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._hops: dict[str, Mapping[str, int]] = {}
        self._sources: dict[str, frozenset[str]] = {}
        self._around: dict[str, frozenset[str]] = {}

    @cached_property
    def callers(self) -> tuple[Mapping[str, int], tuple[I64, I64]]:
        """Numbers of the nodes, by name; of each number where its callers' begin, and these."""
        graph = self.topology
        numbers = {name: number for number, name in enumerate(graph.names)}
        of = [[numbers[caller] for caller in graph.callers(name)] for name in graph.names]
        starts = np.array([0, *accumulate(map(len, of))], np.int64)
        return numbers, (starts, np.array([n for one in of for n in one], np.int64))

    def hops(self, root: str, node: str) -> int | None:
        """Steps from `root` to `node`, which depends on it; None where it does not."""
        if root == node:
            return 0
        return self.reached(root).get(node)

    def reached(self, root: str) -> Mapping[str, int]:
        """Whom trouble at `root` may reach, with the fewest steps; without itself."""
        found = self._hops.get(root)
        if found is None:
            found = self._hops[root] = self.topology.ancestors(root, MAX_HOPS)
        return found

    def sources(self, node: str) -> frozenset[str]:
        """Whose trouble may reach `node`, itself among them."""
        found = self._sources.get(node)
        if found is None:
            below = self.topology.descendants(node, MAX_HOPS)
            found = self._sources[node] = frozenset((node, *below))
        return found

    def apart(self, one: str, other: str) -> int | None:
        """Steps between two, whoever depends on whom: up to 3, else None."""
        if one == other:
            return 0
        found = {one}
        for n in range(1, 4):
            found |= {near for node in found for near in self._beside(node)}
            if other in found:
                return n
        return None

    def is_related(self, one: str, other: str) -> bool:
        """Whether trouble at one of them may reach the other."""
        return self.hops(one, other) is not None or self.hops(other, one) is not None

    def _beside(self, node: str) -> frozenset[str]:
        found = self._around.get(node)
        if found is None:
            graph = self.topology
            found = self._around[node] = frozenset((*graph.callers(node), *graph.callees(node)))
        return found


def node_of(alert: Alert, topology: Topology) -> str:
    """The node that an alert speaks of: by its entity, by a label, or because it names one.

    A service that the topology does not know is a node all the same. Empty where nobody can tell.
    """
    entity = alert.entity
    if entity.service or entity.node:
        return entity.service or entity.node
    for label in _PLACES:
        value = alert.labels.get(label, "")
        for name in (value, value.partition(":")[0]):
            if name and name in topology:
                return name
    named = {word for word in _words(alert.summary) if word in topology}
    return named.pop() if len(named) == 1 else ""


def _words(text: str) -> list[str]:
    return [word.strip(".,:;/") for word in _WORD.findall(text)[:_MAX_WORDS]]
