"""How well groups of alerts are those of the truth: nothing is won by grouping much or little.

B3 (Bagga and Baldwin, 1998): of each alert, the share of its group that is of its fault, and the
share of its fault that is in its group; means over alerts, and their harmonic mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

Labels = Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class B3:
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return 2.0 * self.precision * self.recall / (self.precision + self.recall)


def b_cubed(truth: Labels, groups: Labels) -> B3:
    """Of alerts: which fault each is of, and which group it is in."""
    both = Counter(zip(truth, groups, strict=True))
    of_truth, of_group = Counter(truth), Counter(groups)
    n = len(truth)
    precision = sum(k * k / of_group[group] for (_, group), k in both.items()) / n
    recall = sum(k * k / of_truth[true] for (true, _), k in both.items()) / n
    return B3(precision, recall)


def found(truth: Labels, groups: Labels, faults: Sequence[Hashable]) -> float:
    """The share of faults of which one group is at least half, and has at least half (Jaccard)."""
    both = Counter(zip(truth, groups, strict=True))
    of_truth, of_group = Counter(truth), Counter(groups)
    hit = {
        true
        for (true, group), k in both.items()
        if k / (of_truth[true] + of_group[group] - k) >= 0.5
    }
    said = [fault for fault in faults if of_truth[fault]]
    return len(hit & set(said)) / len(said) if said else 1.0
