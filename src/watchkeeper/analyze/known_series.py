"""What detection needs of the catalog: columns by slot, and the series behind one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watchkeeper.model.series import I32, U8, U64, Entity, Series, TenantId


class KnownSeries(Protocol):
    """By slot, which means something in this process only."""

    kind: U8
    partition: U8
    identity: U64

    @property
    def high_slot(self) -> int: ...

    def series(self, slot: int) -> Series: ...

    def series_of(self, slots: I32) -> Sequence[Series]: ...

    def labels(self, slots: I32) -> Sequence[dict[str, str]]: ...

    def entity_of(self, slot: int) -> Entity: ...

    def lookup(self, identity: U64) -> I32: ...

    def lenders(self, slots: I32) -> I32: ...

    def partition_of(self, tenant: TenantId, service: str) -> int: ...
