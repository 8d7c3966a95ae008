"""Services in whose lines nothing happens: how many findings there are at evidence level.

Lines are counts by template and minute, as many kinds of programs make them: with a daily shape,
with working days, in bursts, by a timer, in hundreds of rare templates, with new templates day by
day, and with sessions. A day is for learning and not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.report import print_table, progress
from quality.suite import Measured, Options
from watchkeeper.analyze.detectors.base import OPENED
from watchkeeper.analyze.log_episodes import Episodes
from watchkeeper.analyze.log_rates import LogRates
from watchkeeper.analyze.log_service import ServiceLog
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, F64, Entity

TARGETS: Final = {"worst_per_week": ("<=", 1.0)}
KEPT: Final = ("worst_per_week", "mean_per_week")
MONDAY_NS: Final = 1_767_571_200 * NS_PER_S
MINUTE_NS: Final = 60 * NS_PER_S
INFO, WARN, ERROR = 9, 13, 17


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and how often."""

    weeks: float = 3.0
    n_draws: int = 2


class Program:
    """One service. `rates(minute)` are expected lines by template."""

    def __init__(self, chance: Any, n_templates: int) -> None:
        self.chance = chance
        self.base: F64 = 60.0 / np.arange(1, n_templates + 1)

    def counts(self, minute: int) -> dict[int, int]:
        shape = self.shape(minute)
        drawn = self.chance.poisson(self.base * shape)
        return {int(one): int(drawn[one]) for one in np.flatnonzero(drawn)}

    def shape(self, minute: int) -> Any:
        return 1.0


class Daily(Program):
    def shape(self, minute: int) -> Any:
        return 1.0 + 0.8 * np.sin(2 * np.pi * minute / 1440)


class WorkingDays(Program):
    def shape(self, minute: int) -> Any:
        day, hour = minute // 1440 % 7, minute / 60 % 24
        return (0.05 if day >= 5 else 1.0) * (1.0 if 8 <= hour < 18 else 0.1)


class Bursts(Program):
    """A rate that doubles and halves by itself within the hour."""

    level = 0.0

    def shape(self, minute: int) -> Any:
        self.level = 0.9 * self.level + 0.3 * float(self.chance.standard_normal())
        return np.exp(self.level)


class Timer(Program):
    """Every hour twenty lines of a job, every night a thousand."""

    def counts(self, minute: int) -> dict[int, int]:
        counts = super().counts(minute)
        n = len(self.base)
        if minute % 60 == 5:
            counts[n] = 20
        if 120 <= minute % 1440 < 140:
            counts[n + 1] = int(self.chance.poisson(1000))
        return counts


class Sparse(Program):
    """Hundreds of templates, most of them seldom."""

    def __init__(self, chance: Any, n_templates: int) -> None:
        super().__init__(chance, n_templates)
        self.base = 10.0 ** chance.uniform(-4.0, -1.0, n_templates)


class Growing(Program):
    """Three new templates a day, one in ten of them an error."""

    n_new = 0

    def counts(self, minute: int) -> dict[int, int]:
        counts = super().counts(minute)
        if self.chance.random() < 3 / 1440:
            self.n_new += 1
            counts[10_000 + self.n_new] = 1
        return counts


KINDS: Final[Mapping[str, tuple[Callable[[Any, int], Program], int]]] = {
    "steady": (Program, 30),
    "daily": (Daily, 60),
    "working_days": (WorkingDays, 40),
    "bursts": (Bursts, 40),
    "timer": (Timer, 20),
    "sparse": (Sparse, 300),
    "growing": (Growing, 30),
    "sessions": (Daily, 10),
}


def run(options: Options) -> Measured:
    plan = Plan(1.2, 1) if options.quick else Plan()
    rows, evidence, info = [], [], []
    for name in KINDS:
        progress(f"log_nulls: {name}")
        told = rates(name, plan, options.seed)
        evidence.append(sum(told[Severity.EVIDENCE].values()))
        info.append(sum(told[Severity.INFO].values()))
        most = told[Severity.EVIDENCE].most_common(1) or told[Severity.INFO].most_common(1)
        rows.append((name, f"{evidence[-1]:.2f}", f"{info[-1]:.2f}", most[0][0] if most else ""))
    print_table(("service", "evidence / week", "info / week", "most of"), rows)
    return {
        "worst_per_week": max(evidence),
        "mean_per_week": float(np.mean(evidence)),
        "info_per_week": float(np.mean(info)),
    }, []


def rates(name: str, plan: Plan, seed: int) -> dict[Severity, Counter[str]]:
    """Findings a week and service by detector, at either level."""
    told: dict[Severity, Counter[str]] = {Severity.EVIDENCE: Counter(), Severity.INFO: Counter()}
    for draw in range(plan.n_draws):
        chance = np.random.default_rng([seed, draw, sorted(KINDS).index(name)])
        make, n_templates = KINDS[name]
        for detector, severity in findings(make(chance, n_templates), LogWatchConfig(), plan, name):
            told[severity][detector] += 1 / plan.n_draws / plan.weeks
    return told


def findings(
    program: Program, config: LogWatchConfig, plan: Plan, name: str
) -> list[tuple[str, Severity]]:
    """Episodes behind the first day: the gravest that each became."""
    groups = Groups(TemplatesConfig())
    episodes = Episodes(
        DEFAULT_TENANT, Entity("made"), hours_per_week=config.evidence_hours_per_week
    )
    service = ServiceLog(config, LogRates(config.templates), episodes, "made")
    found: dict[tuple[str, int], Severity] = {}
    n_minutes = round((1 + 7 * plan.weeks) * 1440)
    for minute in range(n_minutes):
        now_ns = MONDAY_NS + minute * MINUTE_NS
        groups.tick(now_ns)
        service.tick(now_ns, groups, is_compared=True)
        for template, n_lines in program.counts(minute).items():
            fingerprint = template + 1
            if not groups.knows(fingerprint):
                groups.meet(fingerprint, _line(template))
            groups.count(fingerprint, n_lines, now_ns, now_ns)
            severity = ERROR if template % 10 == 9 else INFO
            service.count(fingerprint, severity, now_ns // MINUTE_NS, n_lines)
            if severity == ERROR:
                service.count_errors(now_ns // MINUTE_NS, n_lines)
        if name == "sessions":
            service.sessions.take(_sessions(program.chance, minute), now_ns)
        for detector, said in episodes.said:
            if said.change == OPENED or said.severity is Severity.EVIDENCE:
                found[detector, said.started_ns] = said.severity
        episodes.said.clear()
    return [(detector, severity) for (detector, _), severity in found.items()]


def _line(template: int) -> str:
    """Words of letters alone, no two lines alike in more than one."""
    w, x, y, z = (chr(ord("a") + template // 26**place % 26) for place in range(4))
    return f"{w}{x}x said {y}{z}y{w} of z{x}{y}"


def _sessions(chance: Any, minute: int) -> list[tuple[int, int, int, tuple[int, int]]]:
    """Of ten templates, each once or twice, one in fifty with a retry of a few lines."""
    runs = []
    for number in range(int(chance.poisson(8))):
        key = (minute * 1000 + number) * 2654435761 % 2**61 + 1
        n = 1 + (chance.random() < 0.3)
        runs += [(key, template + 1, n, (0, 0)) for template in range(6)]
        if chance.random() < 0.02:
            runs.append((key, 8, int(chance.geometric(0.5)), (0, 0)))
    return runs
