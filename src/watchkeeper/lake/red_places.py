"""Where in the catalog the series of groups are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from watchkeeper.compiled.memory import reserve
from watchkeeper.lake.red import N_SERIES, Group
from watchkeeper.model.series import I32, I64, U64, Mask, TenantId


class KnownSeries(Protocol):
    """What this needs of the catalog."""

    identity: U64
    last_seen_ns: I64

    def find(self, tenant: TenantId, labels: Sequence[Mapping[str, str]]) -> tuple[U64, I32]: ...


class Places:
    """Slots by group and series. For one thread."""

    def __init__(self, catalog: KnownSeries, capacity: int) -> None:
        self._catalog = catalog
        self._slot: Any = reserve((capacity, N_SERIES), np.int32)
        """One more than the slot; 0 is none."""
        self._low: Any = reserve((capacity, N_SERIES), np.uint64)

    def of(self, numbers: I64, groups: Sequence[Group | None]) -> I32:
        """The slots of these groups' series, (n, N_SERIES), -1 where there is none; they count as
        looked for now."""
        for number in numbers[~self._stands(numbers)].tolist():
            group = groups[number]
            if group is not None:
                identity, slots = self._catalog.find(group.tenant, group.series())
                self._slot[number] = slots + 1
                self._low[number] = identity[:, 0]
        found: I32 = self._slot[numbers] - 1
        return found

    def seen(self, slots: I32, now_ns: int) -> None:
        """They stay in memory."""
        here, seen = slots[slots >= 0], self._catalog.last_seen_ns
        seen[here] = np.maximum(seen[here], now_ns)

    def forget(self, numbers: I64) -> None:
        self._slot[numbers] = 0

    def _stands(self, numbers: I64) -> Mask:
        slot = self._slot[numbers]
        same = self._catalog.identity[slot - 1, 0] == self._low[numbers]
        stands: Mask = ((slot > 0) & same).all(axis=1)
        return stands
