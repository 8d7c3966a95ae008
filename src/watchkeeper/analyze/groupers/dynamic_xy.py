"""Dynamic-X-Y: alerts of one stretch of five minutes that are alike, and what is like those.

X is time, Y the topology. The likeness of two alerts is a weighted mean of how near they are in
both, of their labels and of how grave they are; whatever is joined by likenesses above a threshold
is one group, and its gravest alert, the earliest of these, speaks for it.

Blind to who depends on whom, and chains run on: in a busy hour it makes few groups of everything.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import groupby
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers.base import Group, Scene, itself
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.incident import Join

_NEAR: Final = {0: 1.0, 1: 0.8, 2: 0.5, 3: 0.3}
"""By steps between two nodes, in any direction."""


class DynamicXYConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How alike alerts have to be."""

    window_s: Annotated[float, Meta(gt=0, description="X: length of a stretch.")] = 300.0
    hops: Annotated[int, Meta(ge=0, le=3, description="Y: steps between two nodes.")] = 2
    least: Annotated[float, Meta(ge=0, le=1, description="Likeness that joins two alerts.")] = 0.6
    time: Annotated[float, Meta(ge=0, description="Weight of the time between them.")] = 0.3
    topology: Annotated[float, Meta(ge=0, description="Weight of the steps.")] = 0.4
    labels: Annotated[float, Meta(ge=0, description="Weight of the share of equal labels.")] = 0.2
    urgency: Annotated[float, Meta(ge=0, description="Weight of being as grave.")] = 0.1


class DynamicXY:
    """Alerts that are alike in time and topology, and what is like those."""

    name: ClassVar[str] = "dynamic_xy"
    Config: ClassVar[type[DynamicXYConfig]] = DynamicXYConfig

    def __init__(self, config: DynamicXYConfig) -> None:
        self.config = config

    def group(self, complaints: Sequence[Complaint], scene: Scene) -> list[Group]:
        told = sorted(complaints, key=lambda complaint: (complaint.started_ns, complaint.key))
        found: list[Group] = []
        for _, stretch in groupby(told, key=self._stretch):
            found += [self._group(members, scene) for members in self._chains([*stretch], scene)]
        return found

    def roots(self, node: str, scene: Scene) -> Container[str] | None:
        return None

    def join(self, complaint: Complaint, group: Iterable[Complaint], scene: Scene) -> Join | None:
        near = [one for one in group if self._stretch(one) == self._stretch(complaint)]
        said = [self._likeness(one, complaint, scene) for one in near]
        best = max(said, key=lambda join: join.odds, default=None)
        return best if best is not None and best.odds >= self.config.least else None

    def _stretch(self, complaint: Complaint) -> int:
        return complaint.started_ns // round(self.config.window_s * NS_PER_S)

    def _chains(self, complaints: Sequence[Complaint], scene: Scene) -> list[list[Complaint]]:
        """What is joined by likenesses, however many."""
        chains: list[list[Complaint]] = []
        for complaint in complaints:
            apart = [one for one in chains if not self._is_like(complaint, one, scene)]
            joined = [one for one in chains if self._is_like(complaint, one, scene)]
            chains = [*apart, [member for one in joined for member in one] + [complaint]]
        return chains

    def _is_like(self, complaint: Complaint, others: Sequence[Complaint], scene: Scene) -> bool:
        least = self.config.least
        return any(self._likeness(one, complaint, scene).odds >= least for one in others)

    def _group(self, members: Sequence[Complaint], scene: Scene) -> Group:
        root = min(
            members, key=lambda complaint: (-complaint.urgency, complaint.started_ns, complaint.key)
        )
        joins = {root.key: itself(root.key)}
        for complaint in members:
            if complaint is not root:
                joins[complaint.key] = self._likeness(root, complaint, scene)
        return Group(root.key, joins)

    def _likeness(self, one: Complaint, other: Complaint, scene: Scene) -> Join:
        """What each says, weighted; being as grave is told with the labels."""
        says = self.config
        apart = scene.reach.apart(one.node, other.node) if one.node and other.node else None
        near = _NEAR[apart] if apart is not None and apart <= says.hops else 0.0
        apart_s = abs(one.started_ns - other.started_ns) / NS_PER_S
        grave = 1.0 if one.urgency == other.urgency else 0.5
        return Join(
            one.key,
            time=says.time * max(0.0, 1.0 - apart_s / says.window_s),
            topology=says.topology * near,
            text=0.0,
            labels=says.labels * _shared(one, other) + says.urgency * grave,
            hops=apart or 0,
        )


def _shared(one: Complaint, other: Complaint) -> float:
    """Jaccard, of names with values."""
    first, second = set(one.labels.items()), set(other.labels.items())
    return len(first & second) / len(first | second) if first or second else 0.0
