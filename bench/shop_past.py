"""A week that a shop might have had, brought to a server before the shop's own telemetry."""

from __future__ import annotations

import time
from typing import Final

from bench.peers import Unmeasurable
from bench.report import progress
from watchkeeper.cli.demo.bodies import are_before, points_of
from watchkeeper.cli.demo.gate import Gate
from watchkeeper.cli.demo.level import Levels, levels
from watchkeeper.cli.demo.past import before
from watchkeeper.cli.tally import Tally
from watchkeeper.sdk import Client

MEASURE_S: Final = 60.0
"""How long one looks on to know how much is usual; what comes meanwhile waits at the gate."""
SETTLING_S: Final = 15.0
_WINDOW: Final = 40_000
"""Samples in a request."""


def measured(gate: Gate, for_s: float = MEASURE_S) -> Levels:
    """What the shop tells of itself, before anything is broken."""
    time.sleep(for_s)
    found = levels(points_of(gate.kept), SETTLING_S)
    if found is None or not found.services:
        raise Unmeasurable("the shop told nothing of itself, so its past is not known")
    return found


def bring(found: Levels, url: str, *, days: float, seed: int) -> int:
    """So many days at that level; how many samples these are."""
    began, tally = time.monotonic(), Tally()
    history = before(found, end_s=found.began_s - 1, days=days, seed=seed)
    with Client(url) as client:
        for window in history.windows(_WINDOW):
            tally.add(client.write(window))
    if tally.n_rejected:
        raise Unmeasurable(f"{tally.n_rejected} samples of history were not accepted")
    took_s = time.monotonic() - began
    progress(f"imported {history.n_samples} samples, {days:g} days, in {took_s:.0f} s")
    return history.n_samples


def let_in(gate: Gate, found: Levels) -> None:
    """What the shop has told since its history ends."""
    gate.open(are_before(found.began_s))
