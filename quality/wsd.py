"""WSD: labelled series of web services; see `operations.py` for the figures."""

from __future__ import annotations

from typing import Final

from quality import operations
from quality.suite import Measured, Options

TARGETS: Final = {
    "fp_per_series_week": ("<=", 0.28),
    "share_le_1": (">=", 0.91),
    "recall": (">=", 0.50),
}
KEPT: Final = operations.KEPT


def run(options: Options) -> Measured:
    return operations.measured("wsd", options)
