"""Samples on their way in: as a receiver decoded them, and as the log and the stages see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.family import Families, Family
from watchkeeper.model.handling import Handling
from watchkeeper.model.row import Origin, Texts
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    F64,
    I32,
    I64,
    U8,
    U64,
    LabelBlock,
    Mask,
    TenantId,
)
from watchkeeper.model.silence import AlertSilence


@dataclass(frozen=True, slots=True)
class Reject:
    """Samples of one request that were not accepted, and why. `reason` is a metric label."""

    reason: str
    count: int
    detail: str = ""
    """For the sender: the first of them, named, with the remedy."""


@dataclass(frozen=True, slots=True)
class WireHistograms:
    """Native histograms of one body. Rows are those of its WireSamples."""

    row: I32
    time_ns: I64
    payload: Texts
    """Each a sound `prometheus.Histogram` (see `model.histogram`), as it came."""


@dataclass(frozen=True, slots=True)
class WireExemplars:
    """Exemplars of one body. Rows are those of its WireSamples."""

    row: I32
    time_ns: I64
    value: F64
    trace: U64
    """(n, 2), as in LogBatch; 0 where no trace is named."""
    labels: Texts
    """Each a JSON object of texts."""


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
    histograms: WireHistograms | None = None
    exemplars: WireExemplars | None = None
    families: Callable[[I64], Sequence[Family]] | None = None
    """Given the rows whose keys were not known, how the body describes metrics, if it does."""

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
class Column:
    """One column of numbers of a batch of rows."""

    kind: type[np.generic]
    width: int = 1
    """Numbers in a row."""


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Log lines of one tenant, in the order of their coming.

    As a receiver makes it, tenant and entities are not decided yet.
    """

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "time_ns": Column(np.int64),
        "template": Column(np.uint64),
        "trace": Column(np.uint64, 2),
        "span": Column(np.uint64),
        "origin": Column(np.int32),
        "severity": Column(np.uint8),
    }
    """Widest first, so that all are aligned."""
    TEXTS: ClassVar[tuple[str, ...]] = ("body", "attributes")

    origins: tuple[Origin, ...]
    origin: I32
    """(n,) index into `origins`."""
    time_ns: I64
    severity: U8
    """As OpenTelemetry numbers them: 1 to 24 (see `model.severity`), 0 where it is not known."""
    trace: U64
    """(n, 2): the trace id's first eight bytes and last eight, big-endian; 0 for none."""
    span: U64
    template: U64
    """Equal for lines that differ only in their numbers and ids (see `model.template`)."""
    body: Texts
    attributes: Texts
    """Of the line alone: a JSON object of texts, or nothing."""
    tenant: TenantId = DEFAULT_TENANT
    body_hash: bytes = b""
    """As in SampleBatch."""

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Spans of one tenant, in the order of their coming; see LogBatch."""

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "start_ns": Column(np.int64),
        "duration_ns": Column(np.int64),
        "trace": Column(np.uint64, 2),
        "span": Column(np.uint64),
        "parent": Column(np.uint64),
        "origin": Column(np.int32),
        "kind": Column(np.uint8),
        "status": Column(np.uint8),
    }
    TEXTS: ClassVar[tuple[str, ...]] = ("name", "message", "attributes", "events", "links")

    origins: tuple[Origin, ...]
    origin: I32
    start_ns: I64
    duration_ns: I64
    """Never below 0."""
    trace: U64
    """(n, 2): the trace id's first eight bytes and last eight, big-endian; never both 0."""
    span: U64
    parent: U64
    """0 for a root."""
    kind: U8
    """SpanKind."""
    status: U8
    """SpanStatus."""
    name: Texts
    message: Texts
    """Of the status: what went wrong."""
    attributes: Texts
    """A JSON object of texts, or nothing."""
    events: Texts
    """A JSON list of {"time_ns", "name", "attributes"}, or nothing."""
    links: Texts
    """A JSON list of {"trace_id", "span_id", "attributes"}, or nothing."""
    tenant: TenantId = DEFAULT_TENANT
    body_hash: bytes = b""

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True)
class HistogramBatch:
    """Accepted native histograms of one tenant; see SampleBatch."""

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "time_ns": Column(np.int64),
        "slot": Column(np.int32),
    }
    TEXTS: ClassVar[tuple[str, ...]] = ("payload",)

    slot: I32
    time_ns: I64
    payload: Texts
    tenant: TenantId = DEFAULT_TENANT
    body_hash: bytes = b""

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class ExemplarBatch:
    """Accepted exemplars of one tenant; see SampleBatch and WireExemplars."""

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "time_ns": Column(np.int64),
        "value": Column(np.float64),
        "trace": Column(np.uint64, 2),
        "slot": Column(np.int32),
    }
    TEXTS: ClassVar[tuple[str, ...]] = ("labels",)

    slot: I32
    time_ns: I64
    value: F64
    trace: U64
    labels: Texts
    tenant: TenantId = DEFAULT_TENANT
    body_hash: bytes = b""

    def __len__(self) -> int:
        return len(self.time_ns)


RowBatch = LogBatch | SpanBatch
DetailBatch = HistogramBatch | ExemplarBatch
"""What series have besides samples. As with those, slots are good inside one process."""

Rows = TypeVar("Rows", LogBatch, SpanBatch, HistogramBatch, ExemplarBatch, RowBatch, DetailBatch)


def take(batch: Rows, rows: I64) -> Rows:
    """These rows of a batch, in this order. Origins stay, used or not."""
    columns: dict[str, Any] = {name: getattr(batch, name)[rows] for name in batch.COLUMNS}
    columns |= {name: getattr(batch, name).take(rows) for name in batch.TEXTS}
    return replace(batch, **columns)


@dataclass(frozen=True, slots=True)
class WireRows:
    """What a receiver decoded from a body that has no samples. Pickles: it may come from another
    process."""

    records: tuple[RowBatch | Change | Alert, ...]
    rejects: tuple[Reject, ...] = ()
    is_of_now: bool = False
    """As in WireSamples."""
    told: str = ""
    """What its sender is answered beside, where the protocol has that."""


Wire = WireSamples | WireRows
"""What a receiver makes of a body."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The clock, in the log: what depends on elapsed time is decided on ticks, never on a clock."""

    now_ns: int


Logged = (
    SampleBatch
    | NewSeries
    | HistogramBatch
    | ExemplarBatch
    | Families
    | LogBatch
    | SpanBatch
    | Change
    | Alert
    | DetectionSet
    | Maintenance
    | Verdict
    | AlertSilence
    | Handling
    | Tick
)
"""What the log holds, in the order in which everyone applies it."""
