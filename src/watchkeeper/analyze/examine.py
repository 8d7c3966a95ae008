"""How the nodes of a case fare, told as it is read: nobody is blamed yet."""

from __future__ import annotations

from typing import Final

import numpy as np

from watchkeeper.analyze.gathering.stretch import Looked
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.examination import Examination, NodeState, OperationTime, SeriesShift
from watchkeeper.model.topology import NodeKind

FAR: Final = 6.0
"""So many spreads off, a series is told of."""
MOST: Final = 200
"""Operations, and series."""


def examine(reading: Reading, looked: Looked) -> Examination:
    """The same case gives the same examination, to the byte."""
    case = reading.case
    return Examination(
        case.onset_ns,
        (looked.now.start_ns, looked.now.end_ns),
        (looked.before.start_ns, looked.before.end_ns),
        case.healthy_s,
        _nodes(reading),
        _operations(reading) if reading.is_traced else (),
        _series(reading),
    )


def _nodes(reading: Reading) -> tuple[NodeState, ...]:
    topology = reading.case.topology
    found = [
        NodeState(node, topology.kind(node) or NodeKind.SERVICE, strange)
        for node, strange in reading.strangeness.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.strangeness, one.node)))


def _operations(reading: Reading) -> tuple[OperationTime, ...]:
    shift = reading.own_time
    lost, slower = shift.excess_ms, shift.is_longer
    both = np.flatnonzero((shift.now.n > 0) & (shift.before.n > 0))
    found = [
        OperationTime(
            reading.name(shift.node[row]),
            reading.operation(shift.operation[row]),
            int(shift.now.n[row]),
            float(shift.now.mean[row]),
            float(shift.now.median[row]),
            int(shift.before.n[row]),
            float(shift.before.mean[row]),
            float(shift.before.median[row]),
            float(lost[row]),
            bool(slower[row]),
        )
        for row in both.tolist()
    ]
    found.sort(key=lambda one: (-one.lost_ms, one.node, one.operation))
    return tuple(found[:MOST])


def _series(reading: Reading) -> tuple[SeriesShift, ...]:
    found = []
    for matrix, seen in zip(reading.case.metrics, reading.deviations, strict=True):
        for row in np.flatnonzero(np.abs(np.nan_to_num(seen.z)) >= FAR).tolist():
            of = matrix.rows[row]
            told = (float(seen.typical[row]), float(seen.median[row]), float(seen.z[row]))
            found.append(SeriesShift(reading.name(of.node), of.name, *told, of.unit))
    found.sort(key=lambda one: (-abs(one.spreads), one.node, one.name, one.value))
    return tuple(found[:MOST])
