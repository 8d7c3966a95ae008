"""Storing: what was accepted goes into the lake and its tables, in the order of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np

from watchkeeper.bus.base import SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import NewSeries, SampleBatch

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

NO_SAMPLES: Final = SampleBatch(
    DEFAULT_TENANT, np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64)
)


class Keeper(Protocol[T_contra]):
    """What keeps records of one kind: the lake, or a table."""

    def append(self, batch: T_contra, position: int, /) -> None: ...

    def stored(self) -> int: ...


class StoreStage(Generic[T]):
    """The writer of one keeper: one more consumer of the log, so there is never a write to both.

    It keeps no checkpoint of its own: what the keeper has in synced files is one.
    """

    topic = SAMPLES

    def __init__(
        self,
        keeper: Keeper[T],
        nothing: T,
        *,
        name: str = "store",
        of: Callable[[Any], T] | None = None,
    ) -> None:
        """`nothing` is an empty batch of the kind that is kept; `of` makes of a record what is to
        be kept of it, where that is not the record itself."""
        self.name = name
        self._keeper = keeper
        self._nothing = nothing
        self._of = of
        self._made: tuple[Any, T] = (None, nothing)
        """What `of` made last, of what: it may learn, and is asked once."""
        self._announced = 0
        """The position of the newest series: their samples may have the same one."""
        self._progress = Progress(keeper.stored())
        self.caught_up = self._progress.caught_up

    @property
    def position(self) -> int:
        """Up to here it can be read."""
        return self._progress.position

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        behind = [delivery.position for delivery in deliveries[1:]]
        for delivery, follows in zip(deliveries, [*behind, 0], strict=True):
            position, record = delivery.position, delivery.record
            if position <= self.position and position != self._announced:
                continue
            is_new = isinstance(record, NewSeries)
            self._announced = position if is_new else 0
            if is_new and follows == position:
                continue  # or what comes with them could be taken for stored
            # Nothing is appended too: so that the log of a quiet night, all ticks, can be released.
            self._keeper.append(self._kept(record), position)
            self._progress.reach(position)

    def _kept(self, record: Any) -> T:
        if self._of is None:
            return record if isinstance(record, type(self._nothing)) else self._nothing
        if self._made[0] is not record:
            self._made = (record, self._of(record))
        return self._made[1]
