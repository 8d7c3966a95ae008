"""Whether what was found is true: each page held against what really was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from watchkeeper.evaluate.records import Found
from watchkeeper.evaluate.scenarios import Scenario

Calls = Mapping[str, frozenset[str]]
"""Who asks whom."""
_ASKED: Final = frozenset({"traffic", "surge", "silence"})
"""Symptoms of being asked less, or more."""


class Sense(StrEnum):
    """What a page has to do with what was done."""

    CULPRIT = "it is the one that was broken"
    CALLER = "it asks what was broken, and its users feel it"
    ASKED = "it is asked otherwise than usual, as who asks it is broken off"
    ANYBODY = "what was done is no service's fault, and is felt by many"
    UNRELATED = "it has nothing to do with what was done"
    BEFORE = "nothing was broken yet"

    @property
    def is_true(self) -> bool:
        return self not in (Sense.UNRELATED, Sense.BEFORE)


class Deed(NamedTuple):
    """What was done."""

    scenario: Scenario
    began_s: float
    """When `start` was called."""
    started_s: float
    """When it was done."""
    is_felt: bool
    """Whether users felt it; of what is no fault, whether they did not."""


class Finding(NamedTuple):
    page: Found
    took_s: float
    """Behind the end of `start`."""
    sense: Sense


class Verdict(NamedTuple):
    findings: tuple[Finding, ...]
    is_true: bool
    says: str
    """In a few words."""


def judge(deed: Deed, pages: Iterable[Found], calls: Calls) -> Verdict:
    """Pages in the order of coming; of those that came at once, who is to blame is first."""
    findings = tuple(
        sorted(
            (
                Finding(page, max(0.0, page.paged_s - deed.started_s), sense(page, deed, calls))
                for page in pages
                if page.paged_s is not None
            ),
            key=lambda one: (one.page.paged_s, one.sense is not Sense.CULPRIT, one.page.service),
        )
    )
    is_true, says = _concluded(deed, findings)
    return Verdict(findings, is_true, says)


def _concluded(deed: Deed, findings: Sequence[Finding]) -> tuple[bool, str]:
    wrong = [one for one in findings if not one.sense.is_true]
    if wrong:
        names = ", ".join(dict.fromkeys(one.page.service for one in wrong))
        return False, f"{names} paged, and {wrong[0].sense}"
    if not deed.is_felt:
        said = "users felt it" if deed.scenario.fault_free else "users felt nothing of it"
        return False, f"nothing is proved: {said}"
    if deed.scenario.fault_free:
        return True, "nothing was wrong, and nothing paged"
    if not findings:
        return False, "users felt it, and nothing paged"
    took = f"users felt it, and the first page came after {findings[0].took_s:.1f} s"
    is_named = any(one.sense is Sense.CULPRIT for one in findings)
    if is_named or not _who(deed):
        return True, took
    return True, f"{took}, though of those alone who suffer with it"


def sense(page: Found, deed: Deed, calls: Calls) -> Sense:
    """By the truth, and who asks whom."""
    if page.paged_s is not None and page.paged_s < deed.began_s:
        return Sense.BEFORE
    if deed.scenario.fault_free:
        return Sense.UNRELATED
    broken = {name for truth in _who(deed) for name in _named(truth, calls)}
    if page.service in broken:
        return Sense.CULPRIT
    callers = reach(broken, reverse(calls))
    if page.service in callers:
        return Sense.CALLER
    if page.metric in _ASKED and page.service in reach(broken | callers, calls):
        return Sense.ASKED
    return Sense.UNRELATED if broken else Sense.ANYBODY


def reach(begin: Iterable[str], calls: Calls) -> frozenset[str]:
    """Whoever is come to, step by step."""
    found: set[str] = set()
    waiting = list(begin)
    while waiting:
        for name in calls.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


def reverse(calls: Calls) -> Calls:
    callees = {name for asked in calls.values() for name in asked}
    return {
        one: frozenset(caller for caller, asked in calls.items() if one in asked) for one in callees
    }


def _who(deed: Deed) -> Sequence[str]:
    return deed.scenario.truth.services


def _named(truth: str, calls: Calls) -> set[str]:
    """What it is called among those that are seen; a database is called by its system and name."""
    seen = {*calls, *(name for asked in calls.values() for name in asked)}
    return {name for name in seen if name == truth or name.startswith(f"{truth}/")}
