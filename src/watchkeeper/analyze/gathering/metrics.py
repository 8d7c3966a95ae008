"""Series of the lake as matrices of one grid, each with the node that it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.classes import classify, per_second, unit_of
from watchkeeper.analyze.gathering.stretch import Stretch
from watchkeeper.analyze.gathering.words import Words, one_of
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.base import Fold, Frame, SampleQuery, SeriesQuery
from watchkeeper.lake.derived import LABEL, SPANS
from watchkeeper.model.case import MetricMatrix, MetricRow
from watchkeeper.model.series import F64, METRIC_NAME, Entity, Kind, Matcher, MatchOp, TenantId

STEP_NS: Final = 15 * NS_PER_S
MOST_ROWS: Final = 100_000
"""Points of one question."""
MOST_SERIES: Final = 2_000
_COUNTER, _COUNT, _SUM, _BUCKET = "_total", "_count", "_sum", "_bucket"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the lake, of both stretches."""

    fold: Fold
    before: SampleQuery
    now: SampleQuery


@dataclass(frozen=True, slots=True)
class Answered:
    fold: Fold
    before: Frame
    now: Frame


def about(tenant: TenantId, label: str, values: Collection[str], when: Stretch) -> SeriesQuery:
    """Which series there are of which a label has one of these values. Not those that were made of
    spans: spans tell it better."""
    ours = (one_of(label, values), Matcher(LABEL, MatchOp.NOT_EQUAL, SPANS))
    return SeriesQuery(tenant, ours, when.start_ns, when.end_ns)


def questions(
    known: Sequence[Mapping[str, str]], whose: SeriesQuery, before: Stretch, now: Stretch
) -> list[Asked]:
    """What is asked of these series: rates of counters, and all else as it is.

    Parts of histograms are left out: their quantiles tell more, and a rate of sums of times is how
    many are at it, which speaks as much against whoever waits.
    """
    names = {labels.get(METRIC_NAME, "") for labels in known}
    parts = {name for name in names if name.endswith((_SUM, _BUCKET))}
    parts |= {name.rsplit("_", 1)[0] + _COUNT for name in parts}
    rates = sorted(name for name in names - parts if name.endswith(_COUNTER))
    values = sorted(names - parts - set(rates) - {""})
    return [
        Asked(fold, _asked(whose, some, fold, before), _asked(whose, some, fold, now))
        for fold, some in ((Fold.RATE, rates), (Fold.AVG, values))
        if some
    ]


def _asked(whose: SeriesQuery, names: Collection[str], fold: Fold, when: Stretch) -> SampleQuery:
    matchers = (*whose.matchers, one_of(METRIC_NAME, names))
    return SampleQuery(
        whose.tenant, matchers, when.start_ns, when.end_ns, STEP_NS, fold, limit=MOST_ROWS
    )


def matrix(
    answers: Sequence[Answered],
    names: Words,
    *,
    entity_of: Callable[[Mapping[str, str]], Entity],
    wanted: Collection[str],
    before: Stretch,
    now: Stretch,
) -> MetricMatrix | None:
    """One matrix of all series of wanted nodes, by their labels; None where there are none. A
    series speaks of its service, or of its host where its service is none of those wanted."""
    known = _sides(answers, before, now)
    rows: list[MetricRow] = []
    sides: list[tuple[F64, F64]] = []
    for (labels, fold), both in sorted(known.items()):
        if len(rows) == MOST_SERIES:
            break
        node = _node(entity_of(dict(labels)), wanted)
        if node:
            rows.append(_row(names.number(node), dict(labels), fold))
            sides.append(both)
    if not rows:
        return None
    return MetricMatrix(
        tuple(rows),
        np.stack([one for one, _ in sides]),
        np.stack([one for _, one in sides]),
        STEP_NS / NS_PER_S,
    )


def _sides(
    answers: Sequence[Answered], before: Stretch, now: Stretch
) -> dict[tuple[Labels, Fold], tuple[F64, F64]]:
    """Of each series both stretches."""
    known: dict[tuple[Labels, Fold], tuple[F64, F64]] = {}
    told = ((one, at) for one in answers for at in (0, 1))
    for one, at in told:
        frame, when = ((one.before, before), (one.now, now))[at]
        for labels, values in _rows(frame, when):
            sides = known.setdefault((labels, one.fold), (_empty(before), _empty(now)))
            sides[at][:] = values
    return known


def earliest_ns(answers: Sequence[Answered]) -> int | None:
    """When the first of what is known of before came."""
    times = [int(one.before.time_ns.min()) for one in answers if len(one.before.time_ns)]
    return min(times, default=None)


def _node(entity: Entity, wanted: Collection[str]) -> str:
    return next((one for one in (entity.service, entity.node) if one in wanted), "")


def _row(node: int, labels: Mapping[str, str], fold: Fold) -> MetricRow:
    name = labels.get(METRIC_NAME, "")
    kind = Kind.COUNTER if fold is Fold.RATE else Kind.GAUGE
    return MetricRow(node, name, classify(labels, kind), _unit(name, fold))


def _unit(name: str, fold: Fold) -> str:
    unit = unit_of(name)
    if unit != "time":
        return unit if fold is Fold.AVG else ""
    if fold is Fold.RATE:
        return "ratio"  # seconds of each second
    return {1.0: "s", 1e3: "ms"}.get(per_second(name), "")


def _empty(when: Stretch) -> F64:
    return np.full(_columns(when), np.nan)


def _columns(when: Stretch) -> int:
    return when.end_ns // STEP_NS - when.start_ns // STEP_NS + 1


def _rows(frame: Frame, when: Stretch) -> list[tuple[Labels, F64]]:
    column = frame.time_ns // STEP_NS - when.start_ns // STEP_NS
    values = np.full((len(frame.labels), _columns(when)), np.nan)
    fits = (column >= 0) & (column < values.shape[1])
    values[frame.row[fits], column[fits]] = frame.value[fits]
    return [
        (tuple(sorted(labels.items())), row)
        for labels, row in zip(frame.labels, values, strict=True)
    ]
