"""What a run leaves: what was done when, what was told when, and what the server took for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    MANIFESTED = "manifested"
    """Users felt it; of what is no fault: it was done."""
    UNFELT = "unfelt"
    """It was done, and the check never said that users felt it."""
    SKIPPED = "skipped"
    """This machine lacks a means."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Found(msgspec.Struct, frozen=True):
    """An anomaly, and when it could be read. Times are seconds since the epoch."""

    id: str
    service: str
    metric: str
    detector: str
    severity: str
    started_s: float
    """As the server dates it."""
    seen_s: float
    """When it could first be read."""
    paged_s: float | None
    """When it could first be read as a page."""
    p_value: float
    deviation: float
    """From the middle of what was expected, in parts of that."""
    explanation: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario, once."""

    scenario: str
    services: tuple[str, ...]
    kind: str
    fault_free: bool
    intensity: float
    outcome: Outcome
    begun_s: float
    """When `start` was called."""
    started_s: float
    """When `start` was done."""
    stopped_s: float
    """When `stop` was done."""
    ended_s: float
    """When the time to recover was over."""
    manifested_s: float | None = None
    reason: str = ""
    causes: Mapping[str, tuple[str, ...]] = {}
    """Baseline -> services, the likeliest first."""


class Usage(msgspec.Struct, frozen=True):
    """What the server had taken by then, and held then."""

    at_s: float
    cpu_s: float
    resident_bytes: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    server: str
    seed: int
    number: int
    begun_s: float
    warmed_s: float
    """From here on is counted."""
    ended_s: float
    grace_s: float
    """So long after its end a scenario may still be detected."""
    attempts: tuple[Attempt, ...] = ()
    found: tuple[Found, ...] = ()
    usage: tuple[Usage, ...] = ()
    left_out: tuple[str, ...] = ()
    """Scenarios for which there was no time."""
    unheard: int = 0
    """How often the server did not answer."""
    interrupted: bool = False
