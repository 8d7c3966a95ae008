"""Samples on their way in: as a receiver decoded them, and as the log and the stages see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from watchkeeper.model.series import F64, I32, I64, U8, U64, LabelBlock, Mask, TenantId


@dataclass(frozen=True, slots=True)
class Reject:
    """Samples of one request that were not accepted, and why. `reason` is a metric label."""

    reason: str
    count: int
    detail: str = ""
    """For the sender: the first of them, named, with the remedy."""


@dataclass(frozen=True, slots=True)
class WireSamples:
    """What a receiver decoded from one body: columns, and series known only by a key.

    `key[r]` is a hash of the bytes that named series r in this body. Equal bytes give equal keys
    within a process, so the catalog knows most series without reading a label; for those it does
    not know it calls `describe(rows)`.
    """

    key: U64
    """(n_series, 2); the sender may name one series several times, in one row or in several."""
    kind: U8
    """(n_series,) Kind, where the protocol says it; else Kind.BY_NAME."""
    row: I32
    """(n_samples,) index into `key`."""
    time_ns: I64
    value: F64
    describe: Callable[[I64], LabelBlock]
    rejects: tuple[Reject, ...] = ()
    """Samples that the decoder had to leave out although the rest of the body is sound."""
    is_delta: Mask | None = None
    """(n_series,) whether values are what was added since the last one, and are to be summed up at
    admission; None where that is so nowhere."""
    is_of_now: bool = False
    """A sample without a time was given that of its coming: the same bytes later are other samples,
    and no retry."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Accepted samples of one tenant: the unit that travels on the hot path.

    `slot` is the catalog's dense number of the series, good inside one process and its own log.
    Per series, rows are in the order of acceptance.
    """

    tenant: TenantId
    slot: I32
    time_ns: I64
    value: F64
    body_hash: bytes = b""
    """128 bits of the body that brought it, so that a repeated body is a no-op; else empty."""

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class NewSeries:
    """Series at first sight, as the catalog registered them; logged before their first sample.

    Replaying these in order rebuilds the catalog exactly, slots included. A slot that appears again
    was recycled: its former owner had left memory.
    """

    tenant: TenantId
    slot: I32
    identity: U64
    """(n, 2): the two halves of the SeriesId, low half first."""
    role: U64
    """(n,): hash of the labels without instance, pod, container, replica and host."""
    kind: U8
    partition: U8
    entity: I32
    """(n,): row of `entities`."""
    entities: tuple[tuple[str, str, str, str], ...]
    """Distinct (service, environment, node, owner)."""
    labels: LabelBlock = field(repr=False)
    """Canonical: sorted by name, unique, no empty value."""
    donor: I32
    """(n,): slot whose detector state this series starts from, or -1. It is the slot itself where
    the series is known here already and goes on as it is (see `Catalog.adopt`)."""

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class Tick:
    """The clock, in the log: what depends on elapsed time is decided on ticks, never on a clock."""

    now_ns: int


Logged = SampleBatch | NewSeries | Tick
"""What the log holds today, in the order in which everyone applies it."""
