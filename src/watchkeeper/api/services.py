"""What the API needs of the rest: handed to it by the composition root."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Annotated, Generic, Protocol

import msgspec
from msgspec import Meta

from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.api.auth import AuthConfig
from watchkeeper.bus.base import Bus
from watchkeeper.clock import Clock
from watchkeeper.ingest.stage import Ingest
from watchkeeper.know.settings_stage import Writing
from watchkeeper.lake.base import Readings
from watchkeeper.lake.families import FamilyTable
from watchkeeper.lake.tables.base import B, Searchable
from watchkeeper.model.cause import Answer
from watchkeeper.model.detail import ExemplarRows, HistogramRows
from watchkeeper.model.examination import Examination
from watchkeeper.model.part import EVERY, Part
from watchkeeper.model.series import DEFAULT_TENANT, I32, U8, U64, Entity, TenantId
from watchkeeper.model.signal import LogBatch, SpanBatch
from watchkeeper.model.template import Template
from watchkeeper.store.base import Store


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server listens, and what it takes in one request."""

    host: Annotated[str, Meta(description="Address to listen on; the default is this machine.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port; 0 takes a free one.")] = 8100
    grpc_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(
            description="Port of OTLP over gRPC, by custom 4317; 0 takes a free one. Without it "
            "gRPC is not offered."
        ),
    ] = None
    body_bytes: Annotated[
        int, Meta(ge=1, description="Largest request body, as sent (compressed).")
    ] = 16 << 20
    body_s: Annotated[
        float, Meta(gt=0, description="How long a sender may take to send a body.")
    ] = 60.0
    cors_origins: Annotated[
        Sequence[str],
        Meta(
            description="Origins whose pages may ask from a browser, exactly as browsers name them "
            "(https://grafana.example.com); none by default."
        ),
    ] = ()
    tenant_header: Annotated[
        str, Meta(description="Header that names the tenant of a request.")
    ] = "x-scope-orgid"
    default_tenant: Annotated[str, Meta(description="Tenant of requests that name none.")] = (
        DEFAULT_TENANT
    )
    query_samples: Annotated[
        int,
        Meta(
            ge=1,
            description="Samples that one selector of PromQL may read, values that a vector may "
            "have over all steps, and buckets of its native histograms; each takes some 20 bytes "
            "for a moment.",
        ),
    ] = 50_000_000
    query_timeout_s: Annotated[
        float, Meta(gt=0, description="How long one PromQL request may take.")
    ] = 120.0
    stop_s: Annotated[
        float, Meta(gt=0, description="How long a graceful stop may wait for open requests.")
    ] = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line of /health."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readable(Generic[B]):
    """A table, and the word that it can be read up to a position of the log."""

    table: Searchable[B]
    caught_up: Callable[[int], Awaitable[bool]]


class Templates(Protocol):
    """Which lines belong together."""

    async def caught_up(self, position: int) -> bool:
        """Waits for them to speak of all up to a position; whether they do."""
        ...

    async def templates(self, tenant: TenantId, service: str | None) -> Sequence[Template]:
        """Those that stand for the lines of a service, or of all, now."""
        ...

    async def fingerprints(self, tenant: TenantId, template: int) -> Sequence[int]:
        """What a template means, a former one too; nothing where it is not known."""
        ...


class Causes(Protocol):
    """Why something is the matter."""

    async def onset_of(self, tenant: TenantId, nodes: Sequence[str], now_ns: int) -> int:
        """When it began, by the anomalies that are open."""
        ...

    async def causes_of(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Answer:
        """Whose fault it is."""
        ...

    async def examine(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Examination:
        """How they fare, and nobody is blamed."""
        ...


class KnownSeries(Protocol):
    """Series in memory of this process: all of them where telemetry is let in or kept."""

    kind: U8

    def find(self, tenant: TenantId, labels: Sequence[Mapping[str, str]]) -> tuple[U64, I32]: ...

    def lookup(self, identity: U64) -> I32: ...

    def labels(self, slots: I32) -> list[dict[str, str]]: ...

    def tenant_of(self, slot: int) -> TenantId: ...

    def entity_of(self, slot: int) -> Entity: ...


@dataclass(frozen=True, slots=True)
class Services:
    """The API's view of a running app."""

    config: ServerConfig
    ingest: Ingest | None
    """None where no door is."""
    lake: Readings
    store: Store
    bus: Bus
    clock: Clock
    queries: Executor
    """Where queries run, so that they never block the loop; bounded."""
    caught_up: Callable[[int], Awaitable[bool]]
    """Waits until the lake can be read up to a position, so that one reads one's own writes, but
    not for ever; whether it can be."""
    logs: Readable[LogBatch]
    templates: Templates
    spans: Readable[SpanBatch]
    changes_caught_up: Callable[[int], Awaitable[bool]]
    incidents_caught_up: Callable[[int], Awaitable[bool]]
    checks: Callable[[], Awaitable[list[Check]]]
    deciding: Writing
    """How what people decide about detection comes into the log."""
    newest: Callable[[], Awaitable[int]]
    """Position up to which all that anybody was told is durable; who waits for it reads their own
    writes."""
    exemplars: Readable[ExemplarRows] | None = None
    histograms: Readable[HistogramRows] | None = None
    catalog: KnownSeries | None = None
    families: FamilyTable = field(default_factory=FamilyTable)
    auth: AuthConfig = field(default_factory=AuthConfig)
    causes: Causes | None = None
    """None where no telemetry is read."""
    detect: DetectStage | None = None
    """None where nothing is judged."""
    parts: Sequence[Part] = EVERY
    """What this process is of the whole; nothing else is served."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is to stop: what would not end by itself ends then."""

    @property
    def door(self) -> Ingest:
        """For what is served only where there is one."""
        assert self.ingest is not None  # noqa: S101 - see the gateway's table
        return self.ingest
