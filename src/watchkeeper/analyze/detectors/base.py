"""The contract of a detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.model.series import F64, I32, I64, U8, Mask


@dataclass(frozen=True, slots=True)
class Points:
    """Columns for a detector to judge, per series in order of acceptance."""

    slot: I32
    time_ns: I64
    value: F64
    """As sent for the sample tier (`kind` says how to read it); for the grid tier the mean."""

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class Findings:
    """Changes of episodes, one row each, in the order in which they happened."""

    slot: I32
    started_ns: I64
    """Event time of the episode's first abnormal point: with the slot, the episode's name."""
    time_ns: I64
    """Event time of this change."""
    change: U8
    """OPENED, WORSENED (a new peak) or CLOSED."""
    severity: U8
    """INFO or EVIDENCE, by the history that the series had at this point."""
    value: F64
    low: F64
    high: F64
    """The band around what was expected, outside of which a value counts as strange."""
    p_value: F64
    n_learned: I64
    """How many points, or cells, of its own the series was judged by."""
    learning_s: F64
    """How long until it has the history to claim all that the detector may; 0 for enough of it."""
    streams: F64
    """(n, len(detector.streams)): what each stream of the ensemble said, in its own deviations
    and signed; 0 where it had nothing to say."""

    def __len__(self) -> int:
        return len(self.slot)


OPENED, WORSENED, CLOSED = 1, 2, 3
INFO, EVIDENCE = 0, 1

Dump = Mapping[str, np.ndarray[Any, Any]]


class Detector(Protocol):
    """A pure kernel over columns. State is arrays with one row per slot.

    Scoring comes before learning at every point, so the score of a prefix is the prefix of the
    scores. Nothing depends on batch boundaries, on other series, on a clock or on thread timing:
    the same points in the same order per series give the same state, bit for bit.
    """

    name: str
    streams: tuple[str, ...]
    version: int
    """Goes up when the state or the scores change: a checkpoint of another version is no use."""
    claims: int
    """The highest severity that it finds: INFO or EVIDENCE."""

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        """Score and learn; `kind` is the catalog's column over all slots.

        `dials` is one, too. It bears on what is told, not on what is learned but of episodes.
        """
        ...

    def admit(self, slot: I32, donor: I32) -> None:
        """Start these slots afresh; from the state of `donor` where it is not -1 (same role)."""
        ...

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        """In which of these slots the episode that began then goes on."""
        ...

    def let_go(self, slot: I32) -> None:
        """End the episodes of these slots and tell nothing of it."""
        ...

    def dump(self, slot: I32) -> Dump:
        """The state of some slots, as arrays whose first axis runs over `slot`."""
        ...

    def load(self, slot: I32, state: Dump) -> None: ...
