"""What runs come to: one line of figures, and a line for each scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from watchkeeper.evaluate.causes import EARLIEST, LARGEST
from watchkeeper.evaluate.matching import Judged, Match, judge
from watchkeeper.evaluate.records import Attempt, Found, Outcome, Run
from watchkeeper.evaluate.statistics import Rate, Share, percentile

BASELINES: Final = (EARLIEST, LARGEST)
_S_PER_H: Final = 3600.0


class Cause(msgspec.Struct, frozen=True):
    """How often the true service is the first that is named, and one of the first three."""

    top1: Share
    top3: Share


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario over all runs."""

    scenario: str
    kind: str
    services: tuple[str, ...]
    fault_free: bool
    outcomes: Mapping[str, int]
    detected: int
    detect_s: tuple[float, ...]
    """Of each time that it was detected."""
    top1: Mapping[str, int]
    """Baseline -> how often it named the true service first."""
    pages: int
    """Of what is no fault: pages that came of it."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    runs: int
    scenarios: int
    """Faults that users felt: those that are counted."""
    detected: Share
    told: Share
    """By a page or by evidence; of single series there is some now and then anyway."""
    detect_p50_s: float | None
    """Of those that were detected."""
    detect_p95_s: float | None
    false: Rate
    """Pages that belong to no fault, by hour without one."""
    stretches: Share
    """Stretches without a fault in which something paged."""
    causes: Mapping[str, Cause]
    cpu_share: float | None
    """Of a core, while it was evaluated."""
    resident_bytes: float | None
    """At most."""
    rows: tuple[Row, ...]


def figures(runs: Sequence[Run]) -> Figures:
    judged = [judge(run) for run in runs]
    matches = [match for one in judged for match in one.matches]
    stretches = [stretch for one in judged for stretch in one.stretches]
    took_s = [match.took_s for match in matches if match.took_s is not None]
    return Figures(
        runs=len(runs),
        scenarios=len(matches),
        detected=Share(len(took_s), len(matches)),
        told=Share(sum(match.is_told for match in matches), len(matches)),
        detect_p50_s=percentile(took_s, 0.5),
        detect_p95_s=percentile(took_s, 0.95),
        false=Rate(
            sum(len(one.false) for one in judged), sum(one.free_s for one in judged) / _S_PER_H
        ),
        stretches=Share(sum(bool(one.pages) for one in stretches), len(stretches)),
        causes={name: _cause(matches, name) for name in BASELINES},
        cpu_share=_cpu_share(runs),
        resident_bytes=max(
            (used.resident_bytes for run in runs for used in run.usage), default=None
        ),
        rows=_rows(runs, judged),
    )


def standing(run: Run) -> tuple[Found, ...]:
    """What paged before anything was counted."""
    return tuple(
        one for one in run.found if one.paged_s is not None and one.paged_s <= run.warmed_s
    )


def names(match: Match, baseline: str, most: int) -> bool:
    """Whether one of the first `most` is a true one."""
    told = match.attempt.causes.get(baseline, ())[:most]
    return bool(set(told) & set(match.attempt.services))


def _cause(matches: Sequence[Match], baseline: str) -> Cause:
    """Of faults that are a service's."""
    asked = [match for match in matches if match.attempt.services]
    top1, top3 = (sum(names(match, baseline, most) for match in asked) for most in (1, 3))
    return Cause(Share(top1, len(asked)), Share(top3, len(asked)))


def _cpu_share(runs: Sequence[Run]) -> float | None:
    """What went down meanwhile was a restart, and counts for nothing."""
    spent_s = passed_s = 0.0
    for run in runs:
        for before, after in pairwise(run.usage):
            if after.cpu_s >= before.cpu_s:
                spent_s += after.cpu_s - before.cpu_s
                passed_s += after.at_s - before.at_s
    return spent_s / passed_s if passed_s else None


def _rows(runs: Sequence[Run], judged: Sequence[Judged]) -> tuple[Row, ...]:
    """By name; faults first."""
    by_name: dict[str, list[Attempt]] = {}
    for run in runs:
        for attempt in run.attempts:
            by_name.setdefault(attempt.scenario, []).append(attempt)
    rows = [_row(attempts, judged) for attempts in by_name.values()]
    return tuple(sorted(rows, key=lambda row: (row.fault_free, row.scenario)))


def _row(attempts: Sequence[Attempt], judged: Sequence[Judged]) -> Row:
    last = attempts[-1]
    matches = [
        match for one in judged for match in one.matches if match.attempt.scenario == last.scenario
    ]
    took_s = tuple(match.took_s for match in matches if match.took_s is not None)
    outcomes = [attempt.outcome for attempt in attempts]
    return Row(
        scenario=last.scenario,
        kind=last.kind,
        services=last.services,
        fault_free=last.fault_free,
        outcomes={str(one): outcomes.count(one) for one in Outcome if one in outcomes},
        detected=len(took_s),
        detect_s=took_s,
        top1={name: sum(names(match, name, 1) for match in matches) for name in BASELINES},
        pages=sum(
            len(stretch.pages)
            for one in judged
            for stretch in one.stretches
            if stretch.attempt.scenario == last.scenario
        ),
    )
