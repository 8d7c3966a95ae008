"""False alarms: how many episodes a week the product raises on series in which nothing happens.

Sixteen families of series, several draws of each, at steps of 1, 15 and 60 s; the first week of
each series is for learning and is not counted. `worst_per_week` is the worst family and step, by
episodes at evidence level (what may be correlated into an incident) per series and week.
`realised_per_nominal` is the mean of that over all families without a true change, in what the p of
our level promises: 1 is a p-value that means what it says.

`joint_worst_per_week` is the same of whole services, 8 to 20 mixed series each: what is raised of
several series at once, per service and week, in the worst of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality import synthetic
from quality.quiet import quiet_service
from quality.suite import Measured, Options
from quality.tiers import opened
from watchkeeper.analyze.detectors.fk import FK

TARGETS: Final = {
    "worst_per_week": ("<=", 1.0),
    "realised_per_nominal": ("<=", 1.5),
    "t1_worst_per_week": ("<=", 1.5),
    "joint_worst_per_week": ("<=", 1.0),
}
KEPT: Final = ()
"""Made-up series have targets; draws differ by seed, so there is nothing to remember."""

WEEK_NS: Final = 7 * 86_400 * 10**9
ONCE: Final = "a true change in it counts as one episode, and one is right"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of every family is drawn at one step."""

    step_s: float
    weeks: float
    n_draws: int


PLANS: Final = (Plan(1.0, 3.0, 4), Plan(15.0, 4.0, 8), Plan(60.0, 5.0, 16))
QUICK: Final = (Plan(15.0, 2.0, 1), Plan(60.0, 2.0, 1))
SERVICES, QUICK_SERVICES = Plan(60.0, 5.0, 24), Plan(60.0, 2.0, 2)


@dataclass(frozen=True, slots=True)
class Rates:
    """Episodes per series and week of one family at one step, mean over its draws."""

    family: str
    step_s: float
    t1: float
    grid: float
    evidence: float
    evidence_of_worst_draw: float


def run(options: Options) -> Measured:
    """Every family at every step."""
    found = []
    for plan in QUICK if options.quick else PLANS:
        progress(f"{plan.n_draws} draws of each family, {plan.weeks:g} weeks at {plan.step_s:g} s")
        found += [rates(family, plan, options.seed) for family in synthetic.GENERATORS]
    print_table(
        ("family", "step s", "T1", "grid", "evidence", "worst draw"),
        [
            (
                one.family,
                f"{one.step_s:g}",
                *(f"{x:.2f}" for x in (one.t1, one.grid, one.evidence)),
                f"{one.evidence_of_worst_draw:.2f}",
            )
            for one in found
        ],
    )
    figures = {
        "worst_per_week": max(one.evidence for one in found),
        "mean_per_week": float(np.mean([one.evidence for one in found])),
        "realised_per_nominal": realised_per_nominal(found),
        "worst_draw_per_week": max(one.evidence_of_worst_draw for one in found),
        "t1_worst_per_week": max(one.t1 for one in found),
        "t1_mean_per_week": float(np.mean([one.t1 for one in found])),
    }
    figures |= {
        f"worst_per_week_{step:g}s": max(one.evidence for one in found if one.step_s == step)
        for step in sorted({one.step_s for one in found})
    }
    figures |= of_services(QUICK_SERVICES if options.quick else SERVICES, options.seed)
    return figures, [f"{', '.join(sorted(synthetic.TRUE_CHANGES))}: {ONCE}"]


def realised_per_nominal(found: Sequence[Rates]) -> float:
    """What the grid tier raises where nothing happens, beside what its p-values promise."""
    still = [one.evidence for one in found if one.family not in synthetic.TRUE_CHANGES]
    return float(np.mean(still)) / FK.Config().budget_per_week


def of_services(plan: Plan, seed: int) -> dict[str, float]:
    """What is raised of several series at once, per service and week, by both voices together."""
    progress(f"{plan.n_draws} services of mixed series, {plan.weeks:g} weeks")
    per_week = []
    for draw in range(plan.n_draws):
        quiet = quiet_service(weeks=plan.weeks, seed=seed * 1_000 + draw)
        counts = [np.count_nonzero(times >= WEEK_NS) for times in quiet.opened.values()]
        per_week.append(sum(counts) / (plan.weeks - 1.0))
    return {
        "joint_worst_per_week": max(per_week),
        "joint_mean_per_week": float(np.mean(per_week)),
    }


def rates(family: str, plan: Plan, seed: int) -> Rates:
    """Draw a family and count, from its second week on."""
    counts = []
    for draw in range(plan.n_draws):
        values = synthetic.make(
            family, step_s=plan.step_s, weeks=plan.weeks, seed=seed * 1_000 + draw
        )
        times = opened(values, plan.step_s)
        counts.append([np.count_nonzero(one >= WEEK_NS) for one in times])
    per_week = np.array(counts) / (plan.weeks - 1.0)
    t1, grid, evidence = per_week.mean(axis=0)
    return Rates(family, plan.step_s, t1, grid, evidence, float(per_week[:, 2].max()))
