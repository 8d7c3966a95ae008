"""What a bus may use of the process that it lives in; each bus takes what it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from watchkeeper.clock import Clock
from watchkeeper.model.series import I32, U8, U64, TenantId
from watchkeeper.model.signal import NewSeries


class Log(Protocol):
    """The write-ahead log. Called from threads; one appends, any read."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...

    def append(self, payloads: Sequence[bytes]) -> int: ...

    def read(self, after: int) -> Iterator[tuple[int, memoryview]]: ...

    def release(self, position: int) -> None: ...


class Disk(Protocol):
    """How a file is replaced durably. Raises OSError."""

    def write_whole(self, path: Path, content: bytes) -> None: ...


class SeriesCatalog(Protocol):
    """Series by identity, which is equal in every process, and by slot, which is not."""

    @property
    def identity(self) -> U64:
        """(slots, 2)"""
        ...

    @property
    def partition(self) -> U8:
        """(slots,)"""
        ...

    def lookup(self, identity: U64) -> I32:
        """The slots of these identities (n, 2); -1 where a series has none here."""
        ...

    def partition_of(self, tenant: TenantId, service: str) -> int:
        """Where all that speaks of this service meets."""
        ...

    def meet(self, identity: U64, now_ns: int) -> I32:
        """`lookup` of series of which something came: they count as seen."""
        ...

    def adopt(self, new: NewSeries, now_ns: int) -> NewSeries:
        """Register series that another process saw first; the same with slots of this process."""
        ...

    def describe(self, slots: I32) -> Sequence[NewSeries]:
        """The registrations of these slots, one record per tenant, for another process to adopt."""
        ...


def fingerprint(key: bytes) -> str:
    """Of an installation, from its key, which cannot be told from it."""
    return hashlib.blake2b(key, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Handed to every bus."""

    clock: Clock
    data_dir: Path
    """For what the bus itself keeps, below a folder of its own."""
    disk: Disk
    catalog: SeriesCatalog
    """Says where all of a service meets; and between processes, which series is in a slot."""
    installation: str = ""
    """Its fingerprint, equal in all its processes; empty where it is not known."""
    log: Log | None = None
    """Where records are made durable in this process."""
