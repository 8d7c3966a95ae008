"""Whose folder has the telemetry of an installation: one, and always the same.

Between processes only one may keep telemetry, or the log would be released before another has read
it; and one that begins with an empty folder would answer as if nothing had ever come. So the first
one leaves a mark in the bus, and every later one must be of the same folder.
"""

from __future__ import annotations

from typing import Final

from watchkeeper.bus.base import SAMPLES, Checkpoint, Ownership
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.model.series import N_PARTITIONS

GROUP: Final = "keeper"
_PLACE: Final = 0
"""The partition whose checkpoint is the mark."""
_TTL_S: Final = 5.0


async def claim(bus: Ownership, folder: str) -> None:
    """Raises ConfigError where another folder has it, Retryable while another one is at it."""
    mark = await _mark(bus) or await _leave(bus, folder)
    if mark != folder:
        raise ConfigError(
            f"data_dir: the telemetry of this installation is in the folder with the mark {mark}, "
            f"and this one has {folder}; start with that one, or with another bus.prefix"
        )


async def _mark(bus: Ownership) -> str:
    found = (await bus.restore(SAMPLES, GROUP)).get(_PLACE)
    return "" if found is None else found.state.decode()


async def _leave(bus: Ownership, folder: str) -> str:
    """Leave a mark where there is none; the one that is there then."""
    fence = (await bus.lease(SAMPLES, GROUP, _TTL_S)).fences.get(_PLACE)
    if fence is not None and not await _mark(bus):
        await bus.checkpoint(SAMPLES, GROUP, _PLACE, fence, Checkpoint(0, folder.encode()))
    await bus.unlease(SAMPLES, GROUP, range(N_PARTITIONS))
    mark = await _mark(bus)
    if not mark:
        raise Retryable(f"bus: another process begins to keep telemetry; try again in {_TTL_S:g} s")
    return mark
