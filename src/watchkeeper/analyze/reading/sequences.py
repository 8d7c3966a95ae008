"""What follows what: lines and spans of one service within one trace, in order of time.

A path through the code that is left early, or entered for the first time, shows in the pairs of
events that follow each other, before anything is slow or fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.span_tree import SpanTree
from watchkeeper.model.case import LineColumns
from watchkeeper.model.series import F64, I32, I64, Mask

MIN_BEFORE: Final = 4
MIN_NOW: Final = 3
"""Sightings of an event, to say anything of what follows it."""


@dataclass(frozen=True, slots=True)
class Followers:
    """A row per pair of events. An event is a line's template, or ~operation for a span; START and
    END stand for the ends of a trace's stay in the service."""

    service: I32
    event: I64
    follower: I64
    before: I64
    now: I64
    all_before: I64
    """How often the event came, whatever followed."""
    all_now: I64

    def __len__(self) -> int:
        return len(self.service)

    @property
    def change(self) -> F64:
        """Of the share of the follower, -1 to 1."""
        old = (self.before + 0.5) / (self.all_before + 1)
        new = (self.now + 0.5) / (self.all_now + 1)
        found: F64 = new - old
        return found

    @property
    def deviance(self) -> F64:
        """G, less what the finite past makes uncertain."""
        share = (self.before + 0.5) / (self.all_before + 1)
        expected = share * self.all_now
        g = deviance(self.now, expected) + deviance(
            self.all_now - self.now, self.all_now - expected
        )
        found: F64 = 2.0 * g / (1.0 + self.all_now / np.maximum(self.all_before, 1))
        return found


START: Final = -(2**62)
END: Final = START + 1


def deviance(n: I64 | F64, expected: F64) -> F64:
    """n log(n / expected), 0 where n is."""
    n = np.asarray(n, np.float64)
    some = n > 0
    found: F64 = np.zeros(len(n))
    found[some] = n[some] * np.log(n[some] / np.maximum(expected[some], 1e-9))
    return found


def followers(before: tuple[SpanTree, LineColumns], now: tuple[SpanTree, LineColumns]) -> Followers:
    """Pairs whose event came often enough in both stretches."""
    past, present = _pairs(*before), _pairs(*now)
    rows = np.concatenate((past, present), axis=1)
    is_now = np.arange(rows.shape[1]) >= past.shape[1]
    n, _, first = _counted(rows, is_now)
    n_event, event, _ = _counted(rows[:2], is_now)
    total = n_event[:, event[first]]
    kept = (total[0] >= MIN_BEFORE) & (total[1] >= MIN_NOW)
    service, one, other = rows[:, first[kept]]
    n = n[:, kept]
    return Followers(
        service.astype(np.int32), one, other, n[0], n[1], total[0, kept], total[1, kept]
    )


def _counted(rows: I64, is_now: Mask) -> tuple[I64, I64, I64]:
    """Counts before and now of equal columns, each column's group, each group's first column."""
    if not rows.shape[1]:
        none = np.empty(0, np.int64)
        return np.empty((2, 0), np.int64), none, none
    order = np.lexsort(rows[::-1])
    ordered = rows[:, order]
    new = np.append(True, (np.diff(ordered, axis=1) != 0).any(axis=0))
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    first = order[new]
    n = np.stack([
        np.bincount(group[~is_now], minlength=len(first)),
        np.bincount(group[is_now], minlength=len(first)),
    ])  # fmt: skip
    return n, group, first


def _pairs(tree: SpanTree, lines: LineColumns) -> I64:
    """Columns of service, event, follower."""
    traced = lines.trace >= 0
    spans = tree.spans
    service = np.concatenate((lines.service[traced], spans.service)).astype(np.int64)
    event = np.concatenate((lines.template[traced], ~spans.operation)).astype(np.int64)
    trace = np.concatenate((lines.trace[traced], spans.trace))
    time = np.concatenate((lines.time_ns[traced], spans.start_ns))
    if not len(service):
        return np.empty((3, 0), np.int64)
    order = np.lexsort((event, time, service, trace))
    service, event, trace = service[order], event[order], trace[order]
    starts = np.append(True, (np.diff(service) != 0) | (np.diff(trace) != 0))
    ends = np.append(starts[1:], True)
    previous = np.where(starts, START, np.roll(event, 1))
    last = np.full(int(ends.sum()), END)
    return np.concatenate(
        (
            np.stack((service, previous, event)),
            np.stack((service[ends], event[ends], last)),
        ),
        axis=1,
    )
