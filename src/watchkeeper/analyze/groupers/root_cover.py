"""Groups by who may be the root: as few roots as explain the alerts, each at its place and time.

Trouble at a node reaches whoever depends on it, later the farther off. A candidate is a complaint,
and an onset that may be earlier; what speaks for another one being its consequence is a likelihood
ratio against a stranger's alert, the sum of what time, topology, text and labels say. Paths over
somebody who says nothing are less likely. A group costs something, and so does everybody who
depends on its members and says nothing. Greedy choice of roots (uncapacitated facility location),
then members, roots and number of groups are bettered in turns. Strangers meet by chance: more than
two are a group only if they say much, or go on for longer than strangers do.

Blind where the root itself says nothing and its dependants are strangers to each other; and to
which of two roots an alert belongs that both reach at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from typing import Annotated, ClassVar, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers import settle_kernel
from watchkeeper.analyze.groupers.base import Group, Scene, alone, itself
from watchkeeper.analyze.groupers.cover import Belief, Said, Table, join_of
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.incident import Join
from watchkeeper.model.series import F64

_HOUR_S: Final = 3600.0
_CHANCES: Final = 1.5
"""By what power of the strangers there are it happens that several meet."""


class RootCoverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is believed of how trouble spreads. The defaults are hand-set and tried on made-up
    storms; see the page on correlation."""

    hop_share: Annotated[
        float, Meta(gt=0, le=1, description="Of who depends on trouble, the share that has it too.")
    ] = 0.8
    bridge: Annotated[
        float, Meta(le=0, description="What speaks against trouble that passes one who is silent.")
    ] = -1.0
    delay_s: Annotated[
        float, Meta(ge=0, description="So much later than the onset any member is as likely.")
    ] = 45.0
    delay_per_hop_s: Annotated[float, Meta(ge=0, description="More, for each step.")] = 25.0
    spread_s: Annotated[
        float, Meta(gt=0, description="How slowly it becomes unlikely after that.")
    ] = 20.0
    spread_per_hop_s: Annotated[float, Meta(ge=0, description="More, for each step.")] = 5.0
    early_s: Annotated[
        float, Meta(gt=0, description="How slowly it becomes unlikely before the onset.")
    ] = 20.0
    least_s: Annotated[float, Meta(gt=0, description="No earlier than the onset by more.")] = 60.0
    most_s: Annotated[float, Meta(gt=0, description="No later than the onset by more.")] = 420.0
    unknown: Annotated[
        float, Meta(le=0, description="What speaks against an alert that names nobody.")
    ] = -2.5
    least_odds: Annotated[
        float, Meta(description="Of a member: log odds that it is no stranger, the root given.")
    ] = -1.0
    least_evidence: Annotated[
        float, Meta(ge=0, description="Of a group: what its members say together above that.")
    ] = 5.0
    crowd: Annotated[
        float,
        Meta(description="Of more than two: what they say, above what strangers say by chance."),
    ] = 5.0
    silent: Annotated[
        float,
        Meta(ge=0, description="Against a group, for each time one depends on it and is silent."),
    ] = 1.6
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
        belief = self._belief(scene)
        table = Table.of(told, scene, belief)
        goes_on = np.array([_goes_on(complaint, scene) for complaint in told])
        more = np.maximum(goes_on, 0.0)
        worth = np.maximum(table.odds + more - belief.least_odds, 0.0)
        np.fill_diagonal(worth, 0.0)
        members: dict[int, list[int]] = {}
        for j, root in enumerate(settle_kernel.settle(worth, table.cost - more).tolist()):
            members.setdefault(root, []).append(j)
        n_strangers = scene.strangers_per_s * _HOUR_S * max(1, len(scene.reach.topology.names))
        least = self.config.crowd + _CHANCES * math.log(n_strangers)
        for root in sorted(members):
            said = table.odds[root]
            if said[members[root]].sum() + goes_on[members[root]].sum() - said[root] < least:
                members.update(_parted(root, members[root], said))
        return [_group(told, root, members[root], table, belief) for root in sorted(members)]

    def roots(self, node: str, scene: Scene) -> Container[str] | None:
        return scene.reach.sources(node) if node else None

    def join(self, complaint: Complaint, group: Iterable[Complaint], scene: Scene) -> Join | None:
        root = next(iter(group))
        if not root.node:
            return None
        known = scene.reach.hops(root.node, complaint.node)
        if complaint.node and known is None:
            return None
        belief = self._belief(scene)
        hops, share = (1, belief.unknown) if known is None else (known, known * belief.hop)
        later_s = (complaint.started_ns - root.started_ns) / NS_PER_S
        join = join_of(root, complaint, Said(later_s, hops, share), belief)
        return join if join.odds >= belief.least_odds else None

    def _belief(self, scene: Scene) -> Belief:
        says = self.config
        return Belief(
            hop=math.log(says.hop_share),
            bridge=says.bridge,
            delay_s=says.delay_s,
            delay_per_hop_s=says.delay_per_hop_s,
            spread_s=says.spread_s,
            spread_per_hop_s=says.spread_per_hop_s,
            early_s=says.early_s,
            least_s=says.least_s,
            most_s=says.most_s,
            unknown=says.unknown,
            least_odds=says.least_odds,
            least_evidence=says.least_evidence,
            silent=says.silent,
            named=says.named,
            elsewhere=says.elsewhere,
            strangers_per_s=scene.strangers_per_s,
        )


def _goes_on(complaint: Complaint, scene: Scene) -> float:
    """What it says that it went on for so long; what still fires may go on."""
    says = scene.goes_on[min(complaint.n_minutes, len(scene.goes_on) - 1)]
    return max(0.0, says) if complaint.is_firing else says


def _parted(root: int, members: Sequence[int], said: F64) -> dict[int, list[int]]:
    """The two that say most, and the others alone."""
    others = sorted((j for j in members if j != root), key=lambda j: -said[j])
    return {root: sorted([root, *others[:1]]), **{j: [j] for j in others[1:]}}


def _group(
    told: Sequence[Complaint], root: int, members: Sequence[int], table: Table, belief: Belief
) -> Group:
    one = told[root]
    if len(members) == 1:
        return alone(one)
    joins = {told[j].key: join_of(one, told[j], table.said(root, j), belief) for j in members}
    return Group(one.key, joins | {one.key: itself(one.key)})
