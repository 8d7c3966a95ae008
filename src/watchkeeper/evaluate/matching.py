"""Which page belongs to which scenario, and which to none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from watchkeeper.evaluate.records import Attempt, Found, Outcome, Run

INFO: Final = "info"
"""The severity of what is shown, and no more."""


class Match(NamedTuple):
    """A fault that users felt, and the first page that came of it."""

    attempt: Attempt
    page: Found | None
    is_told: bool
    """Whether something was told of its time, as evidence at least."""

    @property
    def took_s(self) -> float | None:
        """From the end of `start` until the page could be read."""
        if self.page is None or self.page.paged_s is None:
            return None
        return max(0.0, self.page.paged_s - self.attempt.started_s)


class Stretch(NamedTuple):
    """Something that is no fault, and what paged all the same."""

    attempt: Attempt
    pages: tuple[Found, ...]


class Judged(NamedTuple):
    """A run, sorted out."""

    matches: tuple[Match, ...]
    false: tuple[Found, ...]
    """Pages outside of every fault and its recovery."""
    stretches: tuple[Stretch, ...]
    free_s: float
    """How long there was neither a fault nor recovery from one."""


def judge(run: Run) -> Judged:
    """A page counts from when it could be read, so what stood before a scenario is none of it.

    What was done and not felt, or failed, proves nothing: pages of its time are neither hits nor
    false.
    """
    pages = sorted(
        (one for one in run.found if one.paged_s is not None and one.paged_s > run.warmed_s),
        key=lambda one: (_paged(one), one.id),
    )
    faults = [one for one in run.attempts if not one.fault_free]
    spells = [(one.begun_s, one.ended_s) for one in faults]
    false = tuple(
        one for one in pages if not any(low <= _paged(one) <= high for low, high in spells)
    )
    matches = tuple(_match(one, pages, run) for one in faults if one.outcome is Outcome.MANIFESTED)
    stretches = tuple(
        Stretch(one, tuple(page for page in false if one.begun_s <= _paged(page) <= one.ended_s))
        for one in run.attempts
        if one.fault_free and one.outcome is Outcome.MANIFESTED
    )
    lost_s = sum(high - max(low, run.warmed_s) for low, high in spells)
    return Judged(matches, false, stretches, max(0.0, run.ended_s - run.warmed_s - lost_s))


def _match(attempt: Attempt, pages: Sequence[Found], run: Run) -> Match:
    low_s, high_s = attempt.begun_s, attempt.stopped_s + run.grace_s
    page = next((one for one in pages if low_s <= _paged(one) <= high_s), None)
    is_told = any(one.severity != INFO and low_s <= one.seen_s <= high_s for one in run.found)
    return Match(attempt, page, page is not None or is_told)


def _paged(page: Found) -> float:
    """When it paged: of a page, never None."""
    return page.seen_s if page.paged_s is None else page.paged_s
