"""What a server answers about pages and objectives, as types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


class NoisyService(msgspec.Struct, frozen=True):
    """A service of which pages were held back, or that paged as often as a day allows."""

    service: str
    paged: int
    held_back: int
    last_at: datetime
    environment: str = ""


class NoisySeries(msgspec.Struct, frozen=True):
    """A series with many anomalies."""

    series: str
    anomalies: int
    evidence: int
    """So many of them are more than information."""
    last_at: datetime
    metric: str = ""
    labels: Mapping[str, str] = {}
    service: str = ""
    environment: str = ""


class Noisy(msgspec.Struct, frozen=True):
    """Who spoke too often in a week; the worst first."""

    since: datetime
    services: tuple[NoisyService, ...] = ()
    series: tuple[NoisySeries, ...] = ()
    more: bool = False
    """Whether there are other series."""
    complete: bool = True
    """Whether all anomalies of the week were looked through."""


class Promise(msgspec.Struct, frozen=True):
    """What a service is to keep."""

    service: str
    objective: str
    kind: str = ""
    percent: float = 0.0
    threshold_s: float | None = None


class BurnRate(msgspec.Struct, frozen=True):
    """How many times too fast a budget is spent; it burns while both windows are beyond `limit`."""

    limit: float
    long: float
    short: float
    long_minutes: int
    short_minutes: int
    pages: bool = False
    since: datetime | None = None
    """None while it does not burn."""


class Objective(Promise, frozen=True, kw_only=True):
    """A promise of a service, as it stands."""

    budget_left: float
    """Of thirty days' budget; below 0 when it is overdrawn."""
    counted_from: datetime
    counted_to: datetime
    burn_rates: tuple[BurnRate, ...]
    burning: bool = False
    requests: float = 0.0
    bad: float = 0.0
    environment: str = ""


class Objectives(msgspec.Struct, frozen=True):
    items: tuple[Objective, ...]
    waiting: tuple[Promise, ...] = ()
    """Of services of which no request was counted yet."""
