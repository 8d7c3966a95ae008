"""`zscore`: a preset. Deviations from the mean of a sliding window, as bell curves have them.

Blind to: seasons, trends, and how heavy a series' own tail is; see `preset.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.detectors.preset import Preset
from watchkeeper.analyze.detectors.preset_kernel import N_BLOCKS, judge_zscore
from watchkeeper.errors import ConfigError


class ZScore(Preset):
    """Deviations from the mean of a sliding window, which slides by twentieths."""

    name = "zscore"
    streams = ("z", "grade")

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the detector `zscore`."""

        thresholds: Annotated[tuple[float, ...], Meta(min_length=1, max_length=8)] = (2.5, 3.0, 4.0)
        """Deviations: from the first on a point is told of; how many it crosses is its grade."""
        window: Annotated[int, Meta(ge=20, le=1_000_000)] = 1000
        """Points that the mean and the deviation are taken of."""
        cold_start: Annotated[int, Meta(ge=2)] = 10
        """Points before the first verdict."""

    def __init__(self, config: Config | None = None, *, capacity: int = 1 << 20) -> None:
        config = config or self.Config()
        if list(config.thresholds) != sorted(config.thresholds) or config.thresholds[0] <= 0.0:
            raise ConfigError(
                "detector zscore.thresholds: must be above 0 and grow; name the lowest first"
            )
        blocks: list[Any] = [(name, "f8", (N_BLOCKS,)) for name in ("counts", "sums", "squares")]
        super().__init__([*blocks, ("base", "f8"), ("at", "i8")], capacity)
        self._settings = (
            np.array(config.thresholds, np.float64),
            config.cold_start,
            max(1, config.window // N_BLOCKS),
        )

    def _judge(self, columns: tuple[Any, ...], rows: Any, found: Any) -> int:
        return int(judge_zscore(columns, rows, self._settings, found))
