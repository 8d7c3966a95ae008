"""The newest records of a topic in memory, so that whoever keeps up reads nothing twice."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.event import Event


class Tail:
    """Records of the log as they were published, no larger than `limit_bytes` together."""

    def __init__(self, last: int, limit_bytes: int) -> None:
        self.last = last
        """Position of the newest record, here or not."""
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        self._kept: deque[tuple[Delivery, int]] = deque()

    def extend(self, records: Sequence[Any], sizes: Sequence[int]) -> None:
        for record, size in zip(records, sizes, strict=True):
            self.last += 1
            self._kept.append((Delivery(MIXED, self.last, record), size))
            self.size_bytes += size
        while self.size_bytes > self._limit_bytes:
            self.size_bytes -= self._kept.popleft()[1]

    def begins_before(self, after: int) -> bool:
        """Whether everything behind `after` is here."""
        return after >= self.last - len(self._kept)

    def behind(self, after: int, limit_bytes: int) -> list[Delivery]:
        """The records behind `after`, up to about `limit_bytes` of them; `begins_before` holds."""
        found = []
        # From the newest back: a deque is slow to reach in its middle, and most takers keep up.
        # Somebody may be ahead of a log that was lost: nothing is behind them.
        newest = list(islice(reversed(self._kept), max(0, self.last - after)))
        for delivery, size in reversed(newest):
            found.append(delivery)
            limit_bytes -= size
            if limit_bytes <= 0:
                break
        return found


class Ring:
    """The newest events of a topic, at most `limit`. What was dropped is durable in the store."""

    def __init__(self, limit: int) -> None:
        self.floor: int | None = None
        """Events at or below it are not here; None before the first one was published."""
        self._limit = limit
        self._kept: list[Delivery] = []

    @property
    def last(self) -> int:
        return self._kept[-1].position if self._kept else 0

    def extend(self, events: Sequence[Event], partitions: Sequence[int]) -> int:
        """Add what is newer than the newest; how many old ones were dropped for it."""
        for event, partition in zip(events, partitions, strict=True):
            if self.floor is None:
                self.floor = event.sequence - 1
            if event.sequence > self.last:
                self._kept.append(Delivery(partition, event.sequence, event))
        n_over = len(self._kept) - self._limit
        # Dropped by the quarter, because taking from the front of a list moves all of it.
        if n_over <= self._limit // 4:
            return 0
        self.floor = self._kept[n_over - 1].position
        del self._kept[:n_over]
        return n_over

    def behind(self, after: Mapping[int, int], limit: int) -> list[Delivery]:
        """The events of these partitions behind these positions."""
        if not after:
            return []
        begin = bisect_right(self._kept, min(after.values()), key=_position)
        wanted = (
            delivery
            for delivery in islice(self._kept, begin, None)
            if delivery.position > after.get(delivery.partition, delivery.position)
        )
        return list(islice(wanted, limit))


def _position(delivery: Delivery) -> int:
    return delivery.position
