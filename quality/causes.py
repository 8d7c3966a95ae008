"""Cases with a known cause: how far up it is ranked, how sure that is, how long it takes.

`top1`, `top3`: the share of cases with the cause among the first, the first three. `avg5`: the mean
of top-1 to top-5. `ece`: expected calibration error of the first cause's probability, in bins of
equal count. `precision_at_half`: how often the first is right in the half of cases that are surest.
`p95_ms`: from the case to the ranking. Every case is ranked twice, to the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from bench.report import print_table, progress
from quality.suite import Unmeasurable
from watchkeeper import plugins
from watchkeeper.analyze.causes import causes as ranked
from watchkeeper.model.case import Case
from watchkeeper.model.cause import Ranking

KEPT: Final = ("top1", "top3", "avg5")
N_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """A case, and who was its cause."""

    name: str
    case: Case
    truth: str
    group: str = ""
    """What figures are told apart by."""


@dataclass(frozen=True, slots=True)
class Answer:
    name: str
    group: str
    truth: str
    ranking: Ranking
    ms: float

    @property
    def place(self) -> int:
        """Of the cause, from 1; beyond all where it is not among them."""
        names = [one.node for one in self.ranking.causes]
        return names.index(self.truth) + 1 if self.truth in names else 10**6

    @property
    def probability(self) -> float:
        causes = self.ranking.causes
        return causes[0].probability if causes else 0.0


def answers(cases: Iterable[Labelled]) -> Iterator[Answer]:
    """Every case by every explainer there is, at the product's own settings."""
    explainers = [
        plugins.build("explainer", {"use": name}) for name in sorted(plugins.BUILTIN["explainer"])
    ]
    for one in cases:
        took = []
        for _ in range(2):
            begun = time.process_time()
            ranking = ranked(one.case, explainers)
            took.append((time.process_time() - begun) * 1e3)
        again = ranked(one.case, explainers)
        if msgspec.json.encode(again) != msgspec.json.encode(ranking):
            raise Unmeasurable(f"{one.name}: the same case gave another ranking")
        progress(f"{one.name}: {ranking.causes[0].node if ranking.causes else '-'}")
        yield Answer(one.name, one.group, one.truth, ranking, min(took))


def figures(found: list[Answer]) -> dict[str, float]:
    """Of all cases together; a table tells of groups."""
    if not found:
        raise Unmeasurable("no case in the folder")
    groups = sorted({one.group for one in found})
    print_table(
        ("group", "cases", "top-1", "top-3", "Avg@5"),
        [
            (group, str(len(some)), *(f"{x:.3f}" for x in list(_shares(some).values())))
            for group in groups
            if (some := [one for one in found if one.group == group])
        ],
    )
    right = np.array([one.place == 1 for one in found])
    sure = np.array([one.probability for one in found])
    surest = np.argsort(-sure, kind="stable")[: max(1, len(found) // 2)]
    return {
        **_shares(found),
        "ece": calibration_error(sure, right),
        "precision_at_half": float(right[surest].mean()),
        "p95_ms": float(np.quantile([one.ms for one in found], 0.95)),
        "points": float(len(found)),
    }


def calibration_error(probability: Any, right: Any, n_bins: int = N_BINS) -> float:
    """The mean of |observed - predicted| over bins of equal count."""
    order = np.argsort(probability, kind="stable")
    bins = np.array_split(order, min(n_bins, len(order)))
    return float(
        sum(len(b) * abs(probability[b].mean() - right[b].mean()) for b in bins) / len(order)
    )


def _shares(found: list[Answer]) -> Mapping[str, float]:
    place = np.array([one.place for one in found])
    return {
        "top1": float((place <= 1).mean()),
        "top3": float((place <= 3).mean()),
        "avg5": float(np.mean([(place <= k).mean() for k in range(1, 6)])),
    }
