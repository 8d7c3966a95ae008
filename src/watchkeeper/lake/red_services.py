"""Services that spans come from, by number: for kernels, and to be named again elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import xxhash

from watchkeeper.lake.red_kernel import N_KINDS
from watchkeeper.model.series import I32, I64, U64, TenantId

MAX_SERVICES: Final = 10_000
"""Of all tenants; spans of more are not counted."""


class Service(NamedTuple):
    """Whose spans they are."""

    tenant: TenantId
    name: str
    environment: str


class Services:
    """Columns by number. For one thread."""

    def __init__(self, partition_of: Callable[[TenantId, str], int]) -> None:
        self._partition_of = partition_of
        self._numbers: dict[Service, int] = {}
        self.known: list[Service] = []
        self.hash: U64 = np.zeros(MAX_SERVICES, np.uint64)
        """Equal in every process; never 0."""
        self.partition: I64 = np.zeros(MAX_SERVICES, np.int64)
        self.edges: I64 = np.zeros(MAX_SERVICES, np.int64)
        """The partition of the edges of its tenant."""
        self.full_until_ns: I64 = np.zeros(MAX_SERVICES, np.int64)
        """Until then an unknown operation is no news."""
        self.other: I32 = np.full((MAX_SERVICES, N_KINDS), -1, np.int32)
        """By kind of span, the group that counts such."""

    def number(self, service: Service) -> int:
        """-1 for no service, and where there are too many."""
        number = self._numbers.get(service)
        if number is not None:
            return number
        if not service.name or len(self.known) == MAX_SERVICES:
            return -1
        number = self._numbers[service] = len(self.known)
        self.known.append(service)
        self.hash[number] = xxhash.xxh3_64_intdigest("\0".join(service).encode()) | 1
        self.partition[number] = self._partition_of(service.tenant, service.name)
        self.edges[number] = self._partition_of(service.tenant, "")
        return number

    def numbers(self, services: Sequence[Service]) -> I32:
        return np.array([self.number(one) for one in services], np.int32)

    def lose(self, groups: set[int]) -> None:
        """These groups are no more."""
        used = self.other[: len(self.known)]
        used[np.isin(used, list(groups))] = -1
