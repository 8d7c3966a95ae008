"""More lines that call themselves errors than a node's lines usually hold.

What a callee complains of its callers repeat, and it speaks less against them. Blind to services
that log no level, and to those that log everything as one.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.discount import beyond_callees
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.case import LineColumns
from watchkeeper.model.cause import Evidence, Opinion
from watchkeeper.model.series import F64, I32
from watchkeeper.model.severity import Severity

MIN_LINES: Final = 3
UNIT: Final = 3.0
"""Roots of deviance that count as one."""
EXPLAINED: Final = 0.6
"""How much of it the same in a callee takes away."""


class ErrorLines:
    """By the share of a node's lines."""

    name = "error_lines"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        case = reading.case
        if not len(case.lines):
            return Opinion(self.name, missing=("log lines of now",))
        n = len(case.names)
        errors, lines = _counted(case.lines, n)
        errors_before, lines_before = _counted(case.lines_before, n)
        expected = (errors_before + 0.5) / np.maximum(lines_before, 1.0) * lines
        strange = (errors >= MIN_LINES) & (errors > expected)
        strengths, why = {}, {}
        for node in np.flatnonzero(strange).tolist():
            name, found, usual = reading.name(node), float(errors[node]), float(expected[node])
            g = 2.0 * (found * np.log(found / max(usual, 0.5)) - (found - usual))
            strengths[name] = float(np.log1p(np.sqrt(max(g, 0.0)) / UNIT))
            text = f"{name} logged {found:.0f} errors, usually {usual:.1f}"
            why[name] = [Evidence(self.name, name, text, found, usual, "lines", int(lines[node]))]
        return opinion(self.name, beyond_callees(strengths, reading.graph, EXPLAINED), why)


def _counted(lines: LineColumns, n: int) -> tuple[F64, F64]:
    """Errors and all, by node."""
    errors = lines.service[lines.severity >= Severity.ERROR]
    return _by_node(errors, n), _by_node(lines.service, n)


def _by_node(service: I32, n: int) -> F64:
    return np.bincount(service, minlength=n).astype(np.float64)
