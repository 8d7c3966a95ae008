"""What every detector with episodes keeps per series, and how its findings leave the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from watchkeeper.analyze.detectors.base import Findings
from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.model.series import I32, I64, Mask

PERSONAL = ("since_ns", "peak", "calm", "phase")
"""What a newcomer does not take over from a donor; what is known and no news, it does."""


def holds(rows: Rows, slot: I32, started_ns: I64) -> Mask:
    """In which of these slots the episode that began then goes on."""
    rows.hold(slot)
    own = rows.array[slot]
    found: Mask = (own[_mark(rows)] != 0) & (own["since_ns"] == started_ns)
    return found


def let_go(rows: Rows, slot: I32) -> None:
    """Clear the episodes of these slots, as of a newcomer."""
    rows.hold(slot)
    names = rows.array.dtype.names or ()
    for name in (_mark(rows), *PERSONAL):
        if name in names:
            rows.array[name][slot] = 0


def _mark(rows: Rows) -> str:
    """The field that is 0 where no episode is open."""
    return "phase" if "phase" in (rows.array.dtype.names or ()) else "top"


def fields(n_remembered: int) -> list[Any]:
    """What `episode_kernel` needs of a row; the memory says what is news, and for how long."""
    return [
        ("since_ns", "i8"),  # while an episode is open its start, else the last end; 0 for never
        ("peak", "f4"),  # log10 of the least p-value of the present or the last episode
        ("began", "u2", (n_remembered,)),  # of the last episodes, in quarters of an hour mod 65,536
        ("peaks", "u1", (n_remembered,)),  # how deep they were, in tenths of -log10 p; 0 is none
        ("calm", "u2"),  # calm points in a row within an episode
        ("phase", "u1"),  # quiet, muted, noisy or shown
    ]


def finding_dtype(n_streams: int) -> np.dtype[Any]:
    """One row of what a kernel reports; its fields are those of `Findings`."""
    return np.dtype(
        [
            ("slot", "i4"),
            ("started_ns", "i8"),
            ("time_ns", "i8"),
            ("change", "u1"),
            ("severity", "u1"),
            ("value", "f8"),
            ("low", "f8"),
            ("high", "f8"),
            ("p_value", "f8"),
            ("n_learned", "i8"),
            ("learning_s", "f8"),
            ("streams", "f8", (n_streams,)),
        ]
    )


def findings(rows: np.ndarray[Any, Any]) -> Findings:
    """The port's columns from a kernel's rows."""
    names = rows.dtype.names or ()
    return Findings(**{name: np.ascontiguousarray(rows[name]) for name in names})
