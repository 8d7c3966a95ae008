"""What a suite answers: a table for people, then one line of JSON for machines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Target = tuple[str, float]
"""`(">=", 2.0)` or `("<=", 0.2)`."""

_HOLDS: Final = {
    ">=": lambda figure, bound: figure >= bound,
    "<=": lambda figure, bound: figure <= bound,
}


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one suite and what they must be. `notes` are for people only."""

    suite: str
    figures: Mapping[str, float]
    targets: Mapping[str, Target]
    notes: Sequence[str] = field(default=())

    @property
    def met(self) -> bool:
        """Whether every target has a figure, and the figure holds. NaN holds nowhere."""
        return all(holds(self.figures.get(name), bound) for name, bound in self.targets.items())

    def line(self) -> str:
        figures = {
            name: round_figure(value)
            for name, value in self.figures.items()
            if math.isfinite(value)  # JSON has no NaN; a figure that is none is missing
        }
        targets = {name: list(target) for name, target in self.targets.items()}
        return json.dumps(
            {"suite": self.suite, "figures": figures, "targets": targets, "met": self.met}
        )


def holds(figure: float | None, target: Target) -> bool:
    """Whether a figure is there and on the right side of its bound."""
    relation, bound = target
    return figure is not None and _HOLDS[relation](figure, bound)


def round_figure(value: float) -> float:
    """Five significant digits; more would only show noise."""
    return float(f"{value:.5g}")


def print_result(result: Result) -> None:
    """The table and notes, then the line that ends the output."""
    rows = []
    for name in [*result.targets, *(n for n in result.figures if n not in result.targets)]:
        figure = result.figures.get(name)
        shown = "missing" if figure is None else f"{round_figure(figure):g}"
        if name not in result.targets:
            rows.append((name, shown, "", ""))
            continue
        relation, bound = result.targets[name]
        verdict = "met" if holds(figure, result.targets[name]) else "NOT MET"
        rows.append((name, shown, f"{relation} {bound:g}", verdict))
    print_table(("figure", "measured", "target", ""), rows)
    for note in result.notes:
        print(note)
    print(result.line(), flush=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print()


def progress(message: str) -> None:
    """Tell people what goes on, away from the answer."""
    print(f"bench: {message}", file=sys.stderr, flush=True)
