"""Sessions of log lines: which are strange, by the product's rule of counts and new templates.

The rule learns the first half of the normal sessions, as they stand in the file; the rate of false
alarms is that of the other half, recall that of all abnormal ones. `f1` is for the share of
abnormal sessions that the whole set had (SHARE), not for that of the files, and a mean over pairs.

DATA has pairs of files `<name>_normal.txt.gz` and `<name>_abnormal.txt.gz`, in it or in folders in
it: one session in a line, the ids of its events separated by blanks.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality.data import folder_for
from quality.suite import Measured, Options, Unmeasurable
from watchkeeper.analyze.log_sessions import SessionRule

TARGETS: Final = {"f1": (">=", 0.96)}
KEPT: Final = ("f1", "recall", "false_share")
SHARE: Final = 0.0293
NORMAL: Final = "_normal.txt.gz"
ABNORMAL: Final = "_abnormal.txt.gz"
Counts = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one pair of files."""

    recall: float
    false_share: float
    new_alone: float
    """Recall of new templates alone."""

    @property
    def f1(self) -> float:
        """At SHARE."""
        hits, false = self.recall * SHARE, self.false_share * (1 - SHARE)
        return 2 * hits / (hits + false + SHARE)


def run(options: Options) -> Measured:
    """Every pair by itself."""
    pairs = _pairs(folder_for("sessions", options.data))
    rows, scores, n = [], [], 0
    for name, normal, abnormal in pairs:
        progress(f"sessions: {name}, {len(normal)} normal, {len(abnormal)} abnormal")
        if options.quick:
            normal, abnormal = normal[:200], abnormal[:200]
        one = score(normal, abnormal)
        told = (one.recall, one.false_share, one.f1, one.new_alone)
        rows.append((name, *(f"{figure:.4f}" for figure in told)))
        scores.append(told[:3])
        n += len(normal) + len(abnormal)
    print_table(("sessions", "recall", "false", "F1", "recall, new alone"), rows)
    recall, false_share, f1 = np.mean(scores, axis=0).tolist()
    return {"f1": f1, "recall": recall, "false_share": false_share, "points": float(n)}, []


def score(normal: Sequence[Counts], abnormal: Sequence[Counts]) -> Score:
    """Learn from half of the normal ones, judge the others."""
    half = len(normal) // 2
    if not half or not abnormal:
        raise Unmeasurable("sessions: two normal ones and an abnormal one are the least")
    rule = SessionRule()
    for one in normal[:half]:
        rule.learn(one)
    found = [rule.judge(one) for one in abnormal]
    false = [one for one in normal[half:] if rule.judge(one)]
    with_new = [one for one in found if any(strange.most == 0 for strange in one)]
    return Score(
        sum(map(bool, found)) / len(abnormal),
        len(false) / (len(normal) - half),
        len(with_new) / len(abnormal),
    )


def _pairs(folder: Path) -> list[tuple[str, list[Counts], list[Counts]]]:
    files = sorted([*folder.glob(f"*{NORMAL}"), *folder.glob(f"*/*{NORMAL}")])
    found = []
    for normal in files:
        name = normal.name.removesuffix(NORMAL)
        abnormal = normal.with_name(name + ABNORMAL)
        if abnormal.is_file():
            numbers: dict[str, int] = {}
            found.append((name, _sessions(normal, numbers), _sessions(abnormal, numbers)))
    if not found:
        raise Unmeasurable(f"no pair of *{NORMAL} and *{ABNORMAL} in {folder}")
    return found


def _sessions(file: Path, numbers: dict[str, int]) -> list[Counts]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [
            Counter(numbers.setdefault(event, len(numbers) + 1) for event in line.split())
            for line in lines
            if line.strip()
        ]
