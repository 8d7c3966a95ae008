"""The product's joint space over labelled rows: it learns the history, then it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from quality.data import LabelledRows
from watchkeeper.analyze.joint.forest import Forest
from watchkeeper.analyze.joint.space import Settings, Space
from watchkeeper.analyze.watchers.joint import Joint
from watchkeeper.model.series import F64

N_FOREST: Final = 4096
"""Rows of the history, evenly, that the forest learns from."""


@dataclass(frozen=True, slots=True)
class Dials:
    """What may be chosen: see the settings of the watcher `joint`."""

    explained: float = Joint.Config().explained
    smoothing_s: float = Joint.Config().smoothing_s

    @property
    def settings(self) -> Settings:
        config = Joint.Config(explained=self.explained, smoothing_s=self.smoothing_s)
        return Joint.settings(config)


def learned(machine: LabelledRows) -> bytes:
    """What a space knows after the history, whatever the dials: they matter when it is asked."""
    space = Space(Dials().settings)
    space.hold(machine.rows.shape[1])
    space.judge(machine.time_ns[: machine.n_history], machine.rows[: machine.n_history])
    return space.dump()


def frozen_scores(machine: LabelledRows, state: bytes, dials: Dials) -> F64:
    """Of all rows, by what was known at the end of the history."""
    space = Space(dials.settings)
    space.load(state)
    space.fit()
    return space.scores(machine.time_ns, machine.rows)


def live_scores(machine: LabelledRows, state: bytes, dials: Dials) -> F64:
    """Of the rows behind the history, each learned after it was judged, as in the product."""
    space = Space(dials.settings)
    space.load(state)
    scores = np.empty(len(machine) - machine.n_history, np.float64)
    for i in range(len(scores)):
        row = slice(machine.n_history + i, machine.n_history + i + 1)
        space.judge(machine.time_ns[row], machine.rows[row])
        scores[i] = space.distance
    return scores


def forest_scores(machine: LabelledRows, seed: int) -> F64:
    """Of all rows, by an Isolation Forest over the history."""
    n = min(machine.n_history, N_FOREST)
    chosen = np.linspace(0, machine.n_history - 1, n).astype(np.int64)
    return Forest.fit(machine.rows[chosen], seed).scores(machine.rows)
