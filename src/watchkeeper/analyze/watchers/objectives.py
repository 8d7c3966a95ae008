"""Service-level objectives: what is left of their budgets, and how fast it burns.

A pure state machine per objective: good and bad requests by the minute for three days and by the
hour for thirty. It burns when both a long window and a short one of its end spend the budget so
many times too fast (Beyer et al., "The Site Reliability Workbook", chapter 5): the long one says
that it matters, the short one that it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

MINUTES: Final = 3 * 24 * 60
HOURS: Final = 30 * 24


class SloKind(StrEnum):
    AVAILABILITY = "availability"
    LATENCY = "latency"


class Slo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service promises over thirty days."""

    service: Annotated[str, Meta(min_length=1, description="Whose promise it is.")]
    objective: Annotated[
        float, Meta(gt=0, lt=100, description="Percent of requests that are to be good.")
    ] = 99.9
    kind: Annotated[
        SloKind, Meta(description="`availability`: not failed; `latency`: within `threshold_s`.")
    ] = SloKind.AVAILABILITY
    threshold_s: Annotated[
        float,
        Meta(
            gt=0, description="Of `latency`: what a good request takes at most; a bucket's bound."
        ),
    ] = 0.5

    @property
    def name(self) -> str:
        limit = f" {self.threshold_s:g} s" if self.kind is SloKind.LATENCY else ""
        return f"{self.kind}{limit} {self.objective:g} %"

    @property
    def allowed(self) -> float:
        """The share of requests that may be bad."""
        return 1.0 - self.objective / 100.0


class Rule(NamedTuple):
    """Burning so many times too fast, over both windows."""

    times: float
    long_minutes: int
    short_minutes: int
    is_page: bool


RULES: Final = (
    Rule(14.4, 60, 5, True),
    Rule(6.0, 6 * 60, 30, True),
    Rule(3.0, 24 * 60, 2 * 60, False),
    Rule(1.0, 3 * 24 * 60, 6 * 60, False),
)


@dataclass(slots=True)
class Account:
    """Of one objective: requests and bad ones. Rings, by minute and by hour of event time."""

    minutes: Any = field(default_factory=lambda: np.zeros((MINUTES, 2)))
    hours: Any = field(default_factory=lambda: np.zeros((HOURS, 2)))
    newest: int = 0
    """The minute that is being counted; 0 before the first."""
    burning: list[int] = field(default_factory=lambda: [0] * len(RULES))
    """By rule, since which minute; 0 where it does not."""

    def count(self, minute: int, requests: float, bad: float) -> None:
        """Add to a minute, which is not before the newest."""
        if minute > self.newest:
            self._turn(minute)
        both = (requests, min(bad, requests))
        self.minutes[minute % MINUTES] += both
        self.hours[minute // 60 % HOURS] += both

    def _turn(self, minute: int) -> None:
        """Empty the places of the minutes and hours that begin."""
        first = max(self.newest + 1, minute - MINUTES + 1) if self.newest else minute
        self.minutes[np.arange(first, minute + 1) % MINUTES] = 0.0
        hour = minute // 60
        begun = max(self.newest // 60 + 1, hour - HOURS + 1) if self.newest else hour
        self.hours[np.arange(begun, hour + 1) % HOURS] = 0.0
        self.newest = minute

    def bad_share(self, n_minutes: int) -> float:
        """Of the last minutes; 0 where there were no requests."""
        rows = np.arange(self.newest - n_minutes + 1, self.newest + 1) % MINUTES
        requests, bad = self.minutes[rows].sum(axis=0).tolist()
        return bad / requests if requests > 0 else 0.0

    def left(self, allowed: float) -> float:
        """The part of thirty days' budget that is left; below 0 when it is overdrawn."""
        requests, bad = self.spent()
        return 1.0 - bad / (requests * allowed) if requests > 0 else 1.0

    def spent(self) -> tuple[float, float]:
        """(requests, bad ones) of thirty days."""
        requests, bad = self.hours.sum(axis=0).tolist()
        return requests, bad

    @property
    def oldest_hour(self) -> int:
        """The first of thirty days with requests, counted from 1970; the newest without any."""
        newest = self.newest // 60
        hours = np.arange(newest - HOURS + 1, newest + 1)
        asked = hours[self.hours[hours % HOURS, 0] > 0]
        return int(asked[0]) if len(asked) else newest

    def dump(self) -> tuple[bytes, bytes, int, list[int]]:
        return self.minutes.tobytes(), self.hours.tobytes(), self.newest, list(self.burning)


def loaded(kept: tuple[bytes, bytes, int, list[int]]) -> Account:
    """What `dump` gave."""
    minutes, hours = (np.frombuffer(one).reshape(-1, 2).copy() for one in kept[:2])
    return Account(minutes, hours, kept[2], list(kept[3]))


@dataclass(frozen=True, slots=True)
class Burn:
    """A rule that began to hold, or ceased to."""

    rule: Rule
    times: float
    """How many times too fast, over the long window."""
    since: int
    """The minute in which it began."""
    now: int
    is_over: bool


def burns(account: Account, slo: Slo) -> list[Burn]:
    """What changed, by rule; asked once a minute. The account remembers that it was told."""
    found = []
    for at, rule in enumerate(RULES):
        times = account.bad_share(rule.long_minutes) / slo.allowed
        short = account.bad_share(rule.short_minutes) / slo.allowed
        holds = min(times, short) > rule.times
        since = account.burning[at]
        if holds == (since > 0):
            continue
        account.burning[at] = account.newest if holds else 0
        found.append(Burn(rule, times, since or account.newest, account.newest, not holds))
    return found
