"""KPI: labelled key figures of businesses and machines; see `operations.py` for the figures."""

from __future__ import annotations

from typing import Final

from quality import operations
from quality.suite import Measured, Options

TARGETS: Final = {
    "fp_per_series_week": ("<=", 0.05),
    "share_le_1": (">=", 1.0),
    "recall": (">=", 0.33),
    "precision": (">=", 0.95),
    "micro_f1": (">=", 0.85),
}
KEPT: Final = operations.KEPT


def run(options: Options) -> Measured:
    return operations.measured("kpi", options)
