"""SKAB: short runs of a machine with eight sensors, a row per second; F1 over all points.

The first 400 rows of a run are its history; by the rules of the board they are counted as well, and
one threshold for all runs is chosen on the runs themselves. So short a history supports no
subspace: share and smoothing are this suite's own (0, 20 s). `default` is with those of the
product, at 1 s steps; `split_half` chooses share, smoothing and threshold on one half of the runs
and scores the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np

from bench.report import print_table
from quality.data import LabelledRows, folder_for, labelled_runs
from quality.spaces import Dials, forest_scores, frozen_scores, learned
from quality.suite import Measured, Options
from watchkeeper.model.series import F64, Mask

TARGETS: Final = {"f1": (">=", 0.77)}
KEPT: Final = ("f1", "f1_split_half")
CHOSEN: Final = Dials(explained=0.0, smoothing_s=20.0)
EXPLAINED: Final = (0.0, 0.9)
SMOOTHING_S: Final = (5.0, 10.0, 20.0, 40.0)
N_SPLITS: Final = 8


class Counted(NamedTuple):
    """At one threshold: F1, and of ordinary points the share flagged, of strange ones not."""

    f1: float
    far: float
    mar: float


def run(options: Options) -> Measured:
    runs = labelled_runs(folder_for("skab", options.data))
    if options.quick:
        runs = runs[:4]
    states = [learned(one) for one in runs]
    labels = [one.strange for one in runs]
    searched = {dials: _scores(runs, states, dials) for dials in _choices()}
    scores: dict[str, Sequence[F64]] = {
        "joint": searched[CHOSEN],
        "default": _scores(runs, states, Dials()),
        "forest": [forest_scores(one, options.seed) for one in runs],
        "all": [np.ones(len(one)) for one in runs],
    }
    behind = [slice(one.n_history, None) for one in runs]
    counted = {
        name: (best(found, labels), best(_cut(found, behind), _cut(labels, behind)))
        for name, found in scores.items()
    }
    print_table(
        ("score", "F1", "FAR", "MAR", "F1 behind the history", "FAR", "MAR"),
        [(name, *(f"{x:.3f}" for one in both for x in one)) for name, both in counted.items()],
    )
    joint, after = counted["joint"]
    figures = {
        "points": float(sum(len(one) for one in runs)),
        **joint._asdict(),
        "f1_behind": after.f1,
        "f1_split_half": split_half(searched, labels, options.seed),
        **{f"f1_{name}": whole.f1 for name, (whole, _) in counted.items() if name != "joint"},
    }
    return figures, [f"one threshold for all {len(runs)} runs, the best, as the board does"]


def best(scores: Sequence[F64], labels: Sequence[Mask]) -> Counted:
    """At the threshold with the highest F1."""
    score, strange = np.concatenate(scores), np.concatenate(labels)
    return counted_at(score, strange, threshold(score, strange))


def threshold(score: F64, strange: Mask) -> float:
    """The least score that is flagged where F1 is highest."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0.0)
    hits = np.cumsum(strange[order])[ends]
    f1 = 2.0 * hits / (ends + 1 + np.count_nonzero(strange))
    return float(score[order][ends[np.argmax(f1)]])


def counted_at(score: F64, strange: Mask, least: float) -> Counted:
    flagged = score >= least
    hits = np.count_nonzero(flagged & strange)
    n_strange, n_flagged = np.count_nonzero(strange), np.count_nonzero(flagged)
    return Counted(
        float(2.0 * hits / max(n_flagged + n_strange, 1)),
        float((n_flagged - hits) / max(len(strange) - n_strange, 1)),
        float(1.0 - hits / max(n_strange, 1)),
    )


def split_half(searched: Mapping[Dials, Sequence[F64]], labels: Sequence[Mask], seed: int) -> float:
    """All that is chosen, chosen on a random half of the runs and scored on the other; the mean."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(N_SPLITS):
        order = rng.permutation(len(labels))
        half = len(order) // 2
        for ours, others in ((order[:half], order[half:]), (order[half:], order[:half])):
            tried = {
                dials: best([scores[i] for i in ours], [labels[i] for i in ours]).f1
                for dials, scores in searched.items()
            }
            chosen = searched[max(tried, key=lambda dials: tried[dials])]
            here = np.concatenate([labels[i] for i in ours])
            least = threshold(np.concatenate([chosen[i] for i in ours]), here)
            there = np.concatenate([chosen[i] for i in others])
            found.append(counted_at(there, np.concatenate([labels[i] for i in others]), least).f1)
    return float(np.mean(found))


def _choices() -> list[Dials]:
    return [Dials(*pair) for pair in product(EXPLAINED, SMOOTHING_S)]


def _scores(runs: Sequence[LabelledRows], states: Sequence[bytes], dials: Dials) -> list[F64]:
    return [frozen_scores(one, state, dials) for one, state in zip(runs, states, strict=True)]


def _cut(parts: Sequence[Any], slices: Sequence[slice]) -> list[Any]:
    return [part[where] for part, where in zip(parts, slices, strict=True)]
