"""How many pages a day an installation may cost, and what that allows each symptom.

A pure controller. The budget is shared among all services and their windows, which gives the least
score of a page: the expected number of pages in which nothing happened is then the budget, as far
as the scores are right. Since they never are quite, what was paged is counted too: a subject that
pages often has to beat its own last week, and so has the whole installation; and no subject pages
more than a few times a day. What is held back is kept as evidence, and told in a digest.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.clock import NS_PER_S

DAY_NS: Final = 86_400 * NS_PER_S
WEEK_NS: Final = 7 * DAY_NS
WINDOWS_PER_DAY: Final = 8_640
"""Of each service and symptom: one every ten seconds."""
CALCULATED: Final = 4
"""Symptoms whose scores are probabilities; silence is a count of missed arrivals."""
BLOCK_NS: Final = 600 * NS_PER_S
"""Pages of ten minutes are one to the installation's count: an outage of many services is one."""
SLACK: Final = 3
"""So many times a week's budget may be paged before pages have to beat those of the week."""
KEPT: Final = 64
"""Pages that are remembered of one subject."""
EVIDENCE: Final = 2.0
"""Evidence may be so many powers of ten more frequent than pages."""


class BudgetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often people may be called."""

    pages_per_day: Annotated[
        float,
        Meta(
            gt=0,
            description="False pages that the whole installation may cost a day. The fewer, the "
            "stranger something has to be.",
        ),
    ] = 1.0
    least_services: Annotated[
        int,
        Meta(
            ge=1,
            description="The budget is shared among so many services at least: those that are yet "
            "to come, and those that other processes watch.",
        ),
    ] = 64
    per_subject_and_day: Annotated[
        int, Meta(ge=1, description="Pages of one service a day; what follows is told in a digest.")
    ] = 3
    rearm_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Quiet time after a symptom before an equally strong one is another.",
        ),
    ] = 3600.0


class Reason(StrEnum):
    """Why something paged, or did not."""

    PAGED = "paged"
    CONFIRMED = "paged: two of the service's series were strange at the same time"
    LEARNING = "not enough was learned yet"
    WITHIN = "not strange enough for the budget"
    NOISY = "the service has paged too often today"
    WEEK = "weaker than the service's last pages of this week"
    SHARED = "others fell silent with it, and their outage speaks for all"
    INSTALLATION = "the installation's budget is spent, and stronger pages came before"

    @property
    def pages(self) -> bool:
        return self in {Reason.PAGED, Reason.CONFIRMED}


@dataclass(slots=True)
class Ledger:
    """Of one subject: its pages of a week, and what was held back."""

    pages: list[tuple[int, float]] = field(default_factory=list)
    """(time, score), in order."""
    held: list[tuple[int, float]] = field(default_factory=list)
    """What would have paged but for a cap."""

    def since(self, start_ns: int) -> list[float]:
        return [score for time_ns, score in self.pages if time_ns > start_ns]


@dataclass(frozen=True, slots=True)
class Noisy:
    """A subject that spoke too often."""

    subject: Hashable
    n_paged: int
    n_held: int
    last_ns: int


class PageBudget:
    """Decides what pages. The same calls give the same answers."""

    def __init__(self, config: BudgetConfig) -> None:
        self._config = config
        self._ledgers: dict[Hashable, Ledger] = {}

    def page_at(self, n_services: int) -> float:
        """The least score that pages, of a symptom whose score is -log10 of a probability.

        The number of services counts in powers of two, so that a new one seldom changes anything.
        """
        shared = 1 << (max(n_services, self._config.least_services) - 1).bit_length()
        verdicts = shared * WINDOWS_PER_DAY * CALCULATED
        return math.log10(verdicts / self._config.pages_per_day)

    def open_at(self, n_services: int) -> float:
        """The least score that is evidence."""
        return self.page_at(n_services) - EVIDENCE

    def decide(
        self, subject: Hashable, score: float, time_ns: int, *, n_services: int, confirmed: bool
    ) -> Reason:
        """Whether this is a page; it is counted if it is. Learning is the caller's to know."""
        ledger = self._ledgers.setdefault(subject, Ledger())
        reason = self._reason(ledger, score, time_ns, n_services, confirmed)
        if reason.pages:
            _keep(ledger.pages, time_ns, score)
        elif reason is not Reason.WITHIN:
            _keep(ledger.held, time_ns, score)
        elif not ledger.pages and not ledger.held:
            del self._ledgers[subject]
        return reason

    def _reason(
        self, ledger: Ledger, score: float, time_ns: int, n_services: int, confirmed: bool
    ) -> Reason:
        if score < self.page_at(n_services) and not confirmed:
            return Reason.WITHIN
        cap = self._config.per_subject_and_day
        if len(ledger.since(time_ns - DAY_NS)) >= cap:
            return Reason.NOISY
        week = sorted(ledger.since(time_ns - WEEK_NS), reverse=True)
        if len(week) >= cap and score <= week[cap - 1]:
            return Reason.WEEK
        if score <= self._bar(time_ns):
            return Reason.INSTALLATION
        return Reason.CONFIRMED if score < self.page_at(n_services) else Reason.PAGED

    def _bar(self, time_ns: int) -> float:
        """What a page has to beat since the installation has had its share of a week; else 0."""
        allowed = max(SLACK, math.ceil(7 * SLACK * self._config.pages_per_day))
        best: dict[int, float] = {}
        for when, score in self._pages(time_ns - WEEK_NS, time_ns):
            block = when // BLOCK_NS
            best[block] = max(score, best.get(block, 0.0))
        if len(best) < allowed or time_ns // BLOCK_NS in best:
            return 0.0
        return sorted(best.values(), reverse=True)[allowed - 1]

    def _pages(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, float]]:
        """Partitions that a checkpoint covers further have pages that are yet to come."""
        for ledger in self._ledgers.values():
            for when, score in reversed(ledger.pages):
                if when <= start_ns:
                    break
                if when <= end_ns:
                    yield when, score

    def noisy(self, now_ns: int) -> list[Noisy]:
        """Who had pages held back in the last week, or as many as a day allows; the worst first."""
        found = []
        for subject, ledger in self._ledgers.items():
            held = [when for when, _ in ledger.held if when > now_ns - WEEK_NS]
            n_paged = len(ledger.since(now_ns - WEEK_NS))
            if held or n_paged >= self._config.per_subject_and_day:
                last_ns = max([*held, *(when for when, _ in ledger.pages)])
                found.append(Noisy(subject, n_paged, len(held), last_ns))
        return sorted(found, key=lambda one: (-one.n_held, -one.n_paged, str(one.subject)))

    def forget(self, subject: Hashable) -> None:
        self._ledgers.pop(subject, None)

    def dump(self, subject: Hashable) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        ledger = self._ledgers.get(subject, Ledger())
        return list(ledger.pages), list(ledger.held)

    def load(
        self, subject: Hashable, pages: list[tuple[int, float]], held: list[tuple[int, float]]
    ) -> None:
        self.forget(subject)
        if pages or held:
            self._ledgers[subject] = Ledger(list(pages), list(held))

    def ledgers(self) -> Mapping[Hashable, Ledger]:
        return self._ledgers


def _keep(kept: list[tuple[int, float]], time_ns: int, score: float) -> None:
    """The newest of a week, as many as are remembered."""
    kept.append((time_ns, score))
    while len(kept) > KEPT or kept[0][0] <= time_ns - WEEK_NS:
        kept.pop(0)
