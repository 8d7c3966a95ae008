"""What a server answers, as types. Fields that a newer server adds are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


class Expected(msgspec.Struct, frozen=True):
    """The band that a value was expected in; None is an open end."""

    low: float | None = None
    high: float | None = None


class Anomaly(msgspec.Struct, frozen=True):
    """One series, outside what was expected of it, from one time to another."""

    id: str
    tenant: str
    series: str
    metric: str
    labels: Mapping[str, str]
    detector: str
    severity: str
    status: str
    started_at: datetime
    peak_at: datetime
    value: float | None
    expected: Expected
    p_value: float
    ended_at: datetime | None = None
    service: str = ""
    environment: str = ""
    node: str = ""
    owner: str = ""
    evidence: Mapping[str, float | None] = {}
    position: int = 0
    detector_version: int = 0
    tier: str = ""
    metric_class: str = msgspec.field(default="", name="class")
    info_reason: str | None = None
    confidence: float = 0.5
    residual: float | None = None
    points_learned: int = 0
    learning_s: float = 0.0
    loudest: str = ""
    explanation: str = ""
    muted: str = ""
    """Why nobody is to be woken for it; empty if it is not muted."""
    gone: str | None = None
    """Why it ended, where it was not seen to: `silent`, `settings`, `unwatched`."""
    lines: str | None = None
    """Where the log lines are found that it speaks of, if it speaks of such."""


class AnomalyPage(msgspec.Struct, frozen=True):
    items: tuple[Anomaly, ...]
    cursor: str | None = None


class Change(msgspec.Struct, frozen=True):
    """An event of the stream. Without an anomaly it is a reset: changes were missed, list anew."""

    anomaly: Anomaly | None
    position: str | None = None


class Source(msgspec.Struct, frozen=True):
    """One sender by one protocol, since the server started."""

    tenant: str
    protocol: str
    sender: str
    first_seen_at: datetime
    last_seen_at: datetime
    last_accepted_at: datetime | None = None
    bodies: int = 0
    bytes: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: int = 0
    put_off: int = 0
    rejected: Mapping[str, int] = {}
    last_problem: str = ""
    last_problem_at: datetime | None = None


class SourceList(msgspec.Struct, frozen=True):
    items: tuple[Source, ...]


class QueriedSeries(msgspec.Struct, frozen=True):
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """(seconds since the epoch, value)"""


class Check(msgspec.Struct, frozen=True):
    ok: bool
    detail: str = ""


class Health(msgspec.Struct, frozen=True):
    status: str
    checks: Mapping[str, Check] = {}
    time_ns: int = 0

    @property
    def is_well(self) -> bool:
        return self.status == "ok"


class Rejected(msgspec.Struct, frozen=True):
    """What was not accepted, and why, with the remedy if there is one."""

    reason: str
    count: int
    detail: str = ""


class Written(msgspec.Struct, frozen=True):
    """What became of what was sent."""

    accepted: int
    rejected: tuple[Rejected, ...] = ()

    @property
    def n_rejected(self) -> int:
        return sum(one.count for one in self.rejected)


class Problem(msgspec.Struct, frozen=True):
    """application/problem+json, OTLP's google.rpc.Status, or Prometheus' error."""

    title: str = ""
    detail: str = ""
    status: int | str = 0
    message: str = ""
    error: str = ""
