"""A past for series, sent before anything is timed: many samples of a series in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench import bodies, contest, fleet
from bench.contest import Contestant
from bench.fleet import F64, I64
from bench.report import progress

STEP_MS: Final = 60_000
"""So that the detector whose grid is a minute has as many points as samples."""
CHUNK: Final = 50
"""Samples of one series in one body: 50 minutes, so that no server calls any of them late."""


class Past:
    """Bodies of one way to name the series: rows of the walk, and a label run for each."""

    def __init__(self, runs: Sequence[bytes], rows: I64 | None = None) -> None:
        self._rows = rows
        self._encoder = bodies.RemoteWrite(runs, series_per_body=CHUNK, samples_each=CHUNK)

    def encode(self, times: I64, values: F64) -> list[bytes]:
        if self._rows is not None:
            times, values = times[self._rows], values[self._rows]
        return self._encoder.encode(times, values)


def write(
    walk: fleet.Walk, n_samples: int, takers: Sequence[tuple[Past, Sequence[Contestant]]]
) -> None:
    """`n_samples` of every series, to all who know them by the same names side by side."""
    for done in range(0, n_samples, CHUNK):
        progress(f"history: {done} of {n_samples} samples of each series")
        times, values = walk.take(CHUNK, step_ms=STEP_MS)
        for past, contestants in takers:
            doors = [contestant.remote_write for contestant in contestants]
            contest.send_side_by_side(doors, [past.encode(times, values)])
            for contestant in contestants:
                contestant.ledger.note(times, values)
