"""Where calls were lost, by what is known of nodes without traces: requests, latency, failures.

What a node lost is what its requests lost together; what it lost itself is that without what those
whom it calls lost. Losses are in the unit of the whole: seconds of latency, or failed requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.deviation import quantile
from watchkeeper.model.case import Case, Symptom
from watchkeeper.model.series import F64, Mask
from watchkeeper.model.topology import Topology

MIN_POINTS: Final = 5
RELATIVE_FLOOR: Final = 0.05
"""Of a latency, as the least spread."""
ERROR_FLOOR: Final = 0.001
"""Of a share of failures."""
CEILING: Final = 3.0
"""No node counts as having lost more than so many times what was lost where it was felt."""
FARTHEST_Z: Final = 50.0


@dataclass(frozen=True, slots=True)
class Impact:
    """By name of node."""

    symptom: Symptom
    entry: str
    total: dict[str, float]
    """Beside the loss where it was felt, which is 1."""
    own: dict[str, float]
    """Without what those it calls lost; may be negative."""
    z: dict[str, float]


def impact(case: Case, graph: Topology) -> Impact | None:
    """None where nothing was lost, or nobody can say."""
    kinds = (
        (case.symptom,)
        if case.symptom != Symptom.UNKNOWN
        else (
            Symptom.LATENCY,
            Symptom.ERRORS,
        )
    )
    found = [one for kind in kinds if (one := _of(case, graph, kind)) is not None]
    return max(found, key=lambda one: one.z[one.entry], default=None)


def _of(case: Case, graph: Topology, symptom: Symptom) -> Impact | None:
    rates = case.rates
    late = symptom == Symptom.LATENCY
    before, now = (
        (rates.latency_before, rates.latency) if late else (rates.errors_before, rates.errors)
    )
    if not now.size:
        return None
    names = [case.names[node] for node in rates.node]
    median, spread = _usual(before, RELATIVE_FLOOR if late else 0.0, 0.0 if late else ERROR_FLOOR)
    enough = np.isfinite(before).sum(axis=1) >= MIN_POINTS
    entry = _entry(case, names, (now - median[:, None]) * rates.requests, enough)
    if entry is None:
        return None
    rows = _worst(np.nan_to_num((now[entry] - median[entry]) / spread[entry]))
    typical, requests = _mean(now[:, rows]), _mean(rates.requests[:, rows])
    lost = (typical - median) * requests
    known = enough & np.isfinite(lost)
    if not known[entry] or lost[entry] <= 0.0:
        return None
    total = {
        names[at]: float(np.clip(lost[at] / lost[entry], -1.0, CEILING))
        for at in np.flatnonzero(known)
    }
    z = {names[at]: float((typical[at] - median[at]) / spread[at]) for at in np.flatnonzero(known)}
    return Impact(symptom, names[entry], total, _own(total, graph, names[entry]), z)


def _usual(before: F64, relative: float, least: float) -> tuple[F64, F64]:
    median = quantile(before, 0.5)
    return median, np.maximum.reduce([
        1.4826 * quantile(np.abs(before - median[:, None]), 0.5),
        (quantile(before, 0.75) - quantile(before, 0.25)) / 1.349,
        relative * np.abs(median),
        np.full(len(median), least),
        np.full(len(median), 1e-12),
    ])  # fmt: skip


def _entry(case: Case, names: list[str], lost: F64, enough: Mask) -> int | None:
    """Where it was felt; if nobody says, where most was lost."""
    if case.entry in names:
        return names.index(case.entry)
    sums = np.where(enough, np.nansum(lost, axis=1), 0.0)
    return int(np.argmax(sums)) if sums.max(initial=0.0) > 0.0 else None


def _worst(z: F64) -> Mask:
    """The points at which it was felt: at least half as bad as the worst."""
    worst = float(z.max(initial=0.0))
    return z >= 0.5 * worst if worst > 0.0 else np.ones(len(z), np.bool_)


def _mean(rows: F64) -> F64:
    known = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        found: F64 = np.where(known, rows, 0.0).sum(axis=1) / known.sum(axis=1)
    return found


def _own(total: dict[str, float], graph: Topology, entry: str) -> dict[str, float]:
    """Of the entry and whatever it depends on. A loss that several callers share is divided."""
    below = {entry, *graph.descendants(entry, len(graph.names))}
    share = {
        name: max(loss, 0.0) / max(1, sum(one in total for one in graph.callers(name)))
        for name, loss in total.items()
    }
    return {
        name: max(loss, 0.0) - sum(share[one] for one in _measured(name, graph, share))
        for name, loss in total.items()
        if name in below
    }


def _measured(name: str, graph: Topology, known: dict[str, float]) -> set[str]:
    """The nearest nodes below it of which anything is known, through those of which nothing is."""
    found: set[str] = set()
    seen, left = {name}, [name]
    while left:
        for one in graph.callees(left.pop()):
            if one in seen:
                continue
            seen.add(one)
            (found.add if one in known else left.append)(one)
    return found
