"""What is put into a Redis for other programs to read: the port, and its settings.

Nothing of ours is read back from there but how far it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.telemetry import Secret


class ShareConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which Redis others read from, and how much of what is put there."""

    url: Annotated[
        Secret | None,
        Meta(
            description="redis://[user:password@]host:port/database, or rediss:// or unix://. "
            "Without it nothing is shared."
        ),
    ] = None
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.:-]*$", description="Before every key, with its own `:`.")
    ] = ""
    tenant: Annotated[str, Meta(description="Whose telemetry is shared; no other's is.")] = (
        DEFAULT_TENANT
    )
    metrics_per_s: Annotated[
        int, Meta(ge=0, description="Samples put into `events:metrics` in a second, at most.")
    ] = 100
    logs_per_s: Annotated[
        int, Meta(ge=0, description="Log lines put into `events:logs` in a second, at most.")
    ] = 100
    stream_limit: Annotated[int, Meta(ge=1, description="Entries kept per stream, about.")] = 10_000
    deployments: Annotated[int, Meta(ge=1, description="Deployments kept per service.")] = 1000
    anomalies: Annotated[int, Meta(ge=1, description="Anomalies kept per service.")] = 100
    baselines: Annotated[
        int, Meta(ge=0, description="Pairs of service and metric that have a baseline, at most.")
    ] = 1000
    baseline_s: Annotated[float, Meta(gt=0, description="How often baselines are put there.")] = (
        60.0
    )
    keep_s: Annotated[
        float,
        Meta(ge=1, description="What belongs to a service is gone when it is not renewed so long."),
    ] = 30 * 86400.0
    timeout_s: Annotated[float, Meta(gt=1, description="How long the server may take.")] = 5.0


Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What some records say, in the form of their readers."""

    metrics: Sequence[Fields] = ()
    logs: Sequence[Fields] = ()
    deployments: Sequence[tuple[str, float, Fields]] = ()
    """(service, time in seconds, entry)"""


@dataclass(frozen=True, slots=True)
class Recent:
    """An anomaly as its readers want it; told again under the same id, it takes its place."""

    service: str
    id: str
    content: str
    """JSON that has the id in it."""


class Share(Protocol):
    """Where it is put. Each call is all or nothing; all raise Retryable."""

    async def reached(self) -> tuple[int, int]:
        """Positions of the newest records and of the newest anomaly that were put there."""
        ...

    async def tell(self, position: int, told: Told) -> None:
        """No effect if that position was reached before."""
        ...

    async def tell_anomalies(self, position: int, recent: Sequence[Recent]) -> None:
        """No effect if that position was reached before."""
        ...

    async def tell_baselines(self, baselines: Mapping[tuple[str, str], Fields]) -> None:
        """By service and metric."""
        ...

    async def close(self) -> None:
        """Safe twice and without use."""
        ...
