"""The contract of a grouper: which complaints are consequences of which one.

Pure, and without state of its own: what it is told is all it knows.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.reach import Reach
from watchkeeper.model.incident import ComplaintKey, Join


@dataclass(frozen=True, slots=True)
class Group:
    """Complaints of one trouble, and why each is in it."""

    root: ComplaintKey
    """The complaint that explains the others."""
    joins: Mapping[ComplaintKey, Join]
    """Of every member, the root among them."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What complaints are seen against."""

    reach: Reach
    strangers_per_s: float
    """Of one node: how often an alert comes that belongs to nothing."""
    goes_on: Sequence[float] = (0.0,)
    """By minutes in which it fired: what that says for it being none of those; the last for
    longer."""


@runtime_checkable
class Grouper(Protocol):
    """Order of the complaints does not matter; each is in one group of the answer."""

    name: ClassVar[str]
    Config: ClassVar[type[msgspec.Struct]]

    def group(self, complaints: Sequence[Complaint], scene: Scene) -> list[Group]:
        """All of them, in groups; alone where nothing speaks for more."""
        ...

    def roots(self, node: str, scene: Scene) -> Container[str] | None:
        """Nodes of which the root of a group is one if an alert of that node may join it; None
        where it may be any."""
        ...

    def join(self, complaint: Complaint, group: Iterable[Complaint], scene: Scene) -> Join | None:
        """Why what just came would be in a group, whose root is its first; None if not."""
        ...


def alone(complaint: Complaint) -> Group:
    return Group(complaint.key, {complaint.key: itself(complaint.key)})


def itself(key: ComplaintKey) -> Join:
    """Of a root."""
    return Join(key, 0.0, 0.0, 0.0, 0.0)
