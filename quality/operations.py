"""Labelled series of operations: false alarms people would live with, and what is found for them.

By episodes, at the product's own settings: `fp_per_series_week`, `share_le_1` (series with at most
one false alarm a week), `recall` of events and `precision` of alarms, all of what the grid tier
tells as evidence. By points, `micro_f1`: a point is flagged if the p-value that the grid tier gives
it is below a limit, one limit for all series, as is best over the second half of each series.
`micro_f1_carried` is the same with the limit that is best over the first halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.report import print_table, progress
from quality import alarms
from quality.alarms import Points, Tally
from quality.data import LabelledSeries, folder_for, labelled_series
from quality.ewma_kernel import strays
from quality.suite import Measured, Options
from quality.tiers import T1, Told, strangeness, sweep, told_by
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, INFO
from watchkeeper.model.series import F64, I64, Mask

GRID: Final = "fk"
KEPT: Final = (
    *("fp_per_series_week", "share_le_1", "recall", "precision"),
    *("worst_fp_per_week", "micro_f1", "micro_f1_carried", "micro_f1_whole"),
)
LIMITS: Final = tuple(float(x) for x in np.arange(1.5, 8.0, 0.125))
"""Of -log10 p, for `micro_f1`."""
SIGMAS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One detector's answer."""

    episodes: Mapping[str, float]
    f1: float
    f1_of_all: float
    """Over whole series."""


def measured(suite: str, options: Options) -> Measured:
    """What a suite of this kind answers."""
    series = [one for one in labelled_series(folder_for(suite, options.data)) if len(one) > 1]
    if options.quick:
        series = series[:: max(1, len(series) // 3)]
    progress(f"{suite}: {len(series)} series, {sum(map(len, series))} points")
    swept = [sweep(one.time_ns, one.value) for one in series]
    rows = {
        f"EWMA {SIGMAS:g} sigma": _reference(series),
        "T1": _at_default(series, [told_by(T1, one) for one in swept], INFO),
    }
    best, by_points = _best_limit(
        series, [strangeness(c, len(s)) for s, c in zip(series, swept, strict=True)]
    )
    told = [told_by(GRID, one) for one in swept]
    info = _at_default(series, told, INFO)
    evidence = _at_default(series, told, EVIDENCE)
    rows |= {f"{GRID}, all": info, f"{GRID}, evidence": evidence}
    for name in ("ar", "rex"):
        rows[name] = _at_default(series, [told_by(name, one) for one in swept], INFO)
    print_table(
        ("detector", *evidence.episodes, "F1(7)", "F1(7) whole"),
        [
            (name, *(f"{x:.3f}" for x in (*row.episodes.values(), row.f1, row.f1_of_all)))
            for name, row in rows.items()
        ],
    )
    figures = {
        **evidence.episodes,
        "worst_fp_per_week": _worst(series, [_onsets(one, EVIDENCE) for one in told]),
        **by_points,
        "micro_f1_episodes": evidence.f1,
        "points": float(sum(map(len, series))),
    }
    return figures, [f"micro_f1 is at p < 10^-{best:g}, the best of {len(LIMITS)} limits"]


def _reference(series: Sequence[LabelledSeries]) -> Row:
    flags = []
    for one in series:
        flagged: Mask = np.zeros(len(one), np.bool_)
        strays(one.value, SIGMAS, flagged)
        flags.append(flagged)
    starts = [alarms.onsets(one.time_ns, f) for one, f in zip(series, flags, strict=True)]
    return _row(series, starts, flags)


def _at_default(series: Sequence[LabelledSeries], told: Sequence[Told], severity: int) -> Row:
    starts = [_onsets(one, severity) for one in told]
    flags = [
        flagged_while_open(len(one), said, severity) for one, said in zip(series, told, strict=True)
    ]
    return _row(series, starts, flags)


def _best_limit(
    series: Sequence[LabelledSeries], strange: Sequence[F64]
) -> tuple[float, dict[str, float]]:
    """The limit with the best F1 over second halves, and what it and its like reach."""
    counts = {limit: [Points(), Points()] for limit in LIMITS}
    for one, found in zip(series, strange, strict=True):
        half = len(one) // 2
        for limit, (first, second) in counts.items():
            first += alarms.by_points(one.strange[:half], found[:half] >= limit)
            second += alarms.by_points(one.strange[half:], found[half:] >= limit)
            counts[limit] = [first, second]
    best = max(counts, key=lambda limit: counts[limit][1].f1)
    carried = max(counts, key=lambda limit: counts[limit][0].f1)
    return best, {
        "micro_f1": counts[best][1].f1,
        "micro_f1_carried": counts[carried][1].f1,
        "micro_f1_whole": max((first + second).f1 for first, second in counts.values()),
    }


def flagged_while_open(n: int, told: Told, severity: int) -> Mask:
    """Rows from which an episode was told at this severity until it was closed."""
    flagged: Mask = np.zeros(n, np.bool_)
    since = -1
    for i in range(len(told)):
        if told.change[i] == CLOSED:
            if since >= 0:
                flagged[since : told.row[i]] = True
            since = -1
        elif since < 0 and told.severity[i] >= severity:
            since = int(told.row[i])
    if since >= 0:
        flagged[since:] = True
    return flagged


def _onsets(told: Told, severity: int) -> I64:
    """The rows at which an episode was first told at this severity."""
    loud = np.flatnonzero((told.change != CLOSED) & (told.severity >= severity))
    _, first = np.unique(told.started_ns[loud], return_index=True)
    return told.row[loud[first]]


def _row(series: Sequence[LabelledSeries], starts: Sequence[I64], flags: Sequence[Mask]) -> Row:
    return Row(alarms.by_episodes(_tallies(series, starts)), *_f1(series, flags))


def _tallies(series: Sequence[LabelledSeries], starts: Sequence[I64]) -> list[Tally]:
    told = [
        alarms.tally(one.time_ns, one.strange, rows)
        for one, rows in zip(series, starts, strict=True)
    ]
    return [one for one in told if one is not None]


def _worst(series: Sequence[LabelledSeries], starts: Sequence[I64]) -> float:
    return max((one.false_per_week for one in _tallies(series, starts)), default=0.0)


def _f1(series: Sequence[LabelledSeries], flags: Sequence[Mask]) -> tuple[float, float]:
    """Over second halves, and over all."""
    halves, whole = Points(), Points()
    for one, flagged in zip(series, flags, strict=True):
        half = len(one) // 2
        halves += alarms.by_points(one.strange[half:], flagged[half:])
        whole += alarms.by_points(one.strange, flagged)
    return halves.f1, whole.f1
