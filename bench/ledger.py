"""What was sent to a server, as far as it will be read back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench import readback
from bench.fleet import F64, I64


@dataclass(slots=True)
class Ledger:
    """All that was sent of a few series, and how many samples there were in all."""

    watched: I64
    times: list[I64] = field(default_factory=list)
    values: list[F64] = field(default_factory=list)
    n_samples: int = 0
    start_ms: int = 1 << 62
    end_ms: int = 0

    def note(self, times: I64, values: F64) -> None:
        self.start_ms = min(self.start_ms, int(times.min()))
        self.end_ms = max(self.end_ms, int(times.max()))
        self.times.append(times[self.watched])
        self.values.append(values[self.watched])
        self.n_samples += times.size

    def series(self, row: int) -> readback.Points:
        return (
            np.concatenate([times[row] for times in self.times]),
            np.concatenate([values[row] for values in self.values]),
        )
