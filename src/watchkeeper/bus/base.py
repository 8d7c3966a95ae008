"""The contract of a bus: topics of 64 partitions, and who has read how far."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from watchkeeper.errors import Permanent
from watchkeeper.model.series import N_PARTITIONS

SAMPLES = "samples"
"""Logged records (samples, new series, ticks): the hot path, durable before it is acknowledged."""
ANOMALIES = "anomalies"
"""Every change of an anomaly, as stored. Published from the store's outbox."""

ALL_PARTITIONS: Final = range(N_PARTITIONS)
MIXED = -1
"""The partition of a delivery whose rows belong to several; see `Delivery`."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record at its position.

    Embedded, all 64 partitions share one log and one sequencer, so a batch is delivered whole, with
    partition MIXED, and whoever has checkpointed some of its partitions beyond its position skips
    the rows of those. Elsewhere a record belongs to one partition.
    """

    partition: int
    position: int
    record: Any


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A consumer group's state of one partition, covering everything up to `position`."""

    position: int
    state: bytes


def lost(partition: int, topic: str, group: str, *, fence: int, newest: int) -> Permanent:
    """What `checkpoint` raises for a token that is not the newest."""
    return Permanent(
        f"bus: partition {partition} of {topic} was leased anew (token {newest}) since {group} got "
        f"token {fence}; lease it again, and restore"
    )


@dataclass(frozen=True, slots=True)
class Leases:
    """What a member of a group owns."""

    fences: Mapping[int, int]
    """Its partitions, each with the fencing token."""
    share: int
    """How many it should own, so that all members have about as many. It may own more, until it
    has let go of some with `unlease`."""


class Ownership(Protocol):
    """Who works on a partition, and how far they have come. The owner is the bus object, not its
    caller."""

    async def lease(self, topic: str, group: str, ttl_s: float) -> Leases:
        """Be a member of the group for `ttl_s`: keep what is owned, and take over what is free, up
        to a fair share.

        Tokens of a partition only grow: with each owner, and each time it is owned anew. One that
        ran out, and that nobody took, is kept as it was.
        """
        ...

    async def unlease(self, topic: str, group: str, partitions: Collection[int]) -> None:
        """Let others have them. What is not owned is passed over."""
        ...

    async def checkpoint(
        self, topic: str, group: str, partition: int, fence: int, checkpoint: Checkpoint
    ) -> None:
        """Keep it durably, whole or not at all. Raises Permanent when `fence` is not the newest."""
        ...

    async def restore(
        self, topic: str, group: str, partitions: Collection[int] = ALL_PARTITIONS
    ) -> Mapping[int, Checkpoint]:
        """The newest checkpoint of each of these partitions that has one."""
        ...

    async def newest(self, topic: str) -> int:
        """Position of the newest record that anybody published; 0 if there never was one."""
        ...

    async def release(self, position: int, groups: Collection[str]) -> int:
        """Let SAMPLES forget what lies at or below `position` and at or below every checkpoint that
        one of these groups may start from; up to where that was.

        Between processes what others need is kept too. Each says so by this call, and is forgotten
        ten minutes after its last one.
        """
        ...


class Bus(Ownership, Protocol):
    """At least once delivery, in order of position; exactly once effect is the consumer's, who
    skips what lies at or below its checkpoint.

    A record of SAMPLES gets the next position. A record of another topic is an event that brings
    its own (`Event.sequence`); one at or below the newest was published before, and passed over.

    Every buffer is bounded. What was published to SAMPLES is kept until it is released; when there
    is no more room for it, publishing is refused.

    Between processes a body may come to a door that does not know that another one had it already.
    So there, records with the `body_hash` of a group published in the last minutes are passed over.
    """

    async def open(self) -> None:
        """Raises ConfigError where its surroundings cannot keep these promises, Retryable where
        they cannot be asked now."""
        ...

    async def publish(self, topic: str, records: Sequence[Any]) -> int:
        """Make the records durable, in order, all or none; the last one's position.

        Raises Retryable when it cannot (disk full, peer away); then nothing of them will be taken.
        """
        ...

    def append(self, records: Sequence[Any]) -> int:
        """`publish` to SAMPLES for who is on a thread of their own, and waits on it; one at a
        time. Saves the way over the loop and back."""
        ...

    async def take(
        self, topic: str, after: Mapping[int, int], *, wait_s: float
    ) -> Sequence[Delivery]:
        """Records of these partitions behind these positions, in order; waits for at least one.

        Empty when `wait_s` passed without any.
        """
        ...

    def follow(self, topic: str, after: int | None) -> AsyncIterator[Delivery | None]:
        """Everything behind `after` (None: from now on) without owning a partition, for ever.

        Yields None where records behind `after` are gone: the reader must start over.
        """
        ...

    async def close(self) -> None:
        """Safe twice and without use. Whoever waits is let go with nothing."""
        ...
