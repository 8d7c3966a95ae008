"""SMD: machines with many series each; how well the joint distance ranks strange minutes.

By the protocol, what is usual is learned from a machine's history alone and does not move after it.
`live` is the product as it runs: it goes on learning. `split_half` chooses share and smoothing on
half of the machines and scores the others, over all halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality.data import LabelledRows, folder_for, labelled_machines
from quality.ranking import auc_pr, vus_pr
from quality.spaces import Dials, forest_scores, frozen_scores, learned, live_scores
from quality.suite import Measured, Options
from watchkeeper.model.series import F64

TARGETS: Final = {"vus_pr": (">=", 0.52)}
KEPT: Final = ("vus_pr", "auc_pr", "vus_pr_live", "vus_pr_split_half")
EXPLAINED: Final = (0.8, 0.9, 0.95)
SMOOTHING_S: Final = (0.0, 60.0, 120.0, 240.0)

Ranked = tuple[float, float]
"""VUS-PR and AUC-PR."""


def run(options: Options) -> Measured:
    machines = labelled_machines(folder_for("smd", options.data))
    if options.quick:
        machines = machines[:2]
    by_score: dict[str, list[Ranked]] = {}
    searched: dict[Dials, list[float]] = {}
    for machine in machines:
        progress(f"{machine.name}: {machine.rows.shape[1]} series, {len(machine)} minutes")
        for name, ranked in _ranked(machine, options.seed).items():
            by_score.setdefault(name, []).append(ranked)
        for dials, vus in _search(machine).items():
            searched.setdefault(dials, []).append(vus)
    print_table(
        ("VUS-PR / AUC-PR", *(one.name for one in machines), "mean"),
        [
            (name, *(f"{v:.3f} / {a:.3f}" for v, a in (*found, _mean(found))))
            for name, found in by_score.items()
        ],
    )
    figures = {"points": float(sum(len(one) for one in machines))}
    for name, found in by_score.items():
        behind = "" if name == "joint" else f"_{name}"
        figures[f"vus_pr{behind}"], figures[f"auc_pr{behind}"] = _mean(found)
    figures["vus_pr_split_half"] = split_half(searched)
    return figures, [f"the best dials of all: {max(searched, key=lambda d: sum(searched[d]))}"]


def split_half(searched: Mapping[Dials, list[float]]) -> float:
    """Dials as are best on one half of the machines, scored on the other; mean over all halves."""
    n = len(next(iter(searched.values())))
    scored = []
    for half in combinations(range(n), max(n // 2, 1)):
        others = [i for i in range(n) if i not in half] or list(half)
        best = max(searched, key=lambda d: sum(searched[d][i] for i in half))
        scored.append(float(np.mean([searched[best][i] for i in others])))
    return float(np.mean(scored))


def _ranked(machine: LabelledRows, seed: int) -> dict[str, Ranked]:
    state = learned(machine)
    behind = slice(machine.n_history, None)
    chance = np.random.default_rng(seed).random(len(machine))
    scores: dict[str, F64] = {
        "joint": frozen_scores(machine, state, Dials())[behind],
        "live": live_scores(machine, state, Dials()),
        "forest": forest_scores(machine, seed)[behind],
        "random": chance[behind],
    }
    strange = machine.strange[behind]
    return {name: (vus_pr(strange, one), auc_pr(strange, one)) for name, one in scores.items()}


def _search(machine: LabelledRows) -> dict[Dials, float]:
    state = learned(machine)
    strange = machine.strange[machine.n_history :]
    return {
        dials: vus_pr(strange, frozen_scores(machine, state, dials)[machine.n_history :])
        for dials in (Dials(*pair) for pair in product(EXPLAINED, SMOOTHING_S))
    }


def _mean(found: list[Ranked]) -> Ranked:
    vus, auc = np.mean(found, axis=0)
    return float(vus), float(auc)
