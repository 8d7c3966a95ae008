"""What a suite is: a module with TARGETS, KEPT and `run(options) -> Measured`.

KEPT are the figures that its baseline remembers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class Unmeasurable(Exception):
    """What the suite needs is not there; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path | None = None
    quick: bool = False
    """A smoke run: everything small. Figures mean little, targets stay as they are."""
    seed: int = 1
    n_series: int | None = None
    """For a suite that makes its series: how many, where its own number is too many."""


Measured = tuple[Mapping[str, float], Sequence[str]]
"""Figures by name, and notes for people."""
