"""`ewma`: a preset. So many times the moving average is too much.

Blind to: what falls, what is near 0, and what grows slowly; see `preset.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from watchkeeper.analyze.detectors.preset import Preset
from watchkeeper.analyze.detectors.preset_kernel import judge_ewma


class Ewma(Preset):
    """So many times the moving average: for latencies and other things above 0."""

    name = "ewma"
    streams = ("times",)

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the detector `ewma`."""

        keep: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.9
        """How much of the average stays with each point; the rest is the point's."""
        multiplier: Annotated[float, Meta(gt=1.0)] = 3.0
        """How many times the average is too much."""
        cold_start: Annotated[int, Meta(ge=1)] = 10
        """Points before the first verdict."""

    def __init__(self, config: Config | None = None, *, capacity: int = 1 << 20) -> None:
        config = config or self.Config()
        super().__init__([("level", "f8")], capacity)
        self._settings = (config.keep, config.multiplier, config.cold_start)

    def _judge(self, columns: tuple[Any, ...], rows: Any, found: Any) -> int:
        return int(judge_ewma(columns, rows, self._settings, found))
