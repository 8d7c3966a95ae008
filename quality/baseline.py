"""What was measured last, so that a change which loses quality fails.

A suite's figures are stored with the number of points they were taken from: figures of other data
are not compared. Figures that are better when they are smaller say so in SMALLER.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("baseline.json")
SIZE: Final = "points"
SMALLER: Final = frozenset({"fp_per_series_week", "worst_fp_per_week"})
TOLERANCES: Final[Mapping[str, float]] = {
    # In the figure's own unit: what a change of versions or of a last digit may move.
    "standard": 0.5,
    "low_fp": 0.5,
    "low_fn": 0.5,
    "split_half": 1.0,
    "tuned_standard": 0.5,
    "tuned_low_fp": 0.5,
    "tuned_low_fn": 0.5,
    "tuned_split_half": 1.0,
    "fp_per_series_week": 0.01,
    "worst_fp_per_week": 0.1,
}
TOLERANCE: Final = 0.01


def losses(suite: str, figures: Mapping[str, float], file: Path = FILE) -> list[str]:
    """What is worse than it was by more than its tolerance, in words."""
    stored = _read(file).get(suite, {})
    if not stored or stored.get(SIZE) != figures.get(SIZE):
        return []
    return [
        f"lost: {name} is {figures.get(name, float('nan')):.5g}, was {was:.5g} "
        f"(tolerance {tolerance(name):g})"
        for name, was in stored.items()
        if name != SIZE and not is_kept(name, figures.get(name), was)
    ]


def is_kept(name: str, figure: float | None, was: float) -> bool:
    """Whether a figure is no worse than it was. A missing one is."""
    if figure is None:
        return False
    change = was - figure if name in SMALLER else figure - was
    return change >= -tolerance(name)


def tolerance(name: str) -> float:
    return TOLERANCES.get(name, TOLERANCE)


def store(
    suite: str, figures: Mapping[str, float], names: tuple[str, ...], file: Path = FILE
) -> None:
    """Remember these figures of a suite in place of what was remembered."""
    known = _read(file)
    known[suite] = {name: float(f"{figures[name]:.5g}") for name in names if name in figures}
    known[suite][SIZE] = figures[SIZE]
    file.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read(file: Path) -> dict[str, dict[str, float]]:
    if not file.is_file():
        return {}
    known: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))
    return known
