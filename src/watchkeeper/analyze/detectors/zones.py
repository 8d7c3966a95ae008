"""Time zones by number, and what clocks show in them: a matter of event time alone."""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import I64

UTC: Final = "UTC"
QUARTER_S: Final = 900
"""Offsets are whole quarters of an hour, and change at such."""
_QUARTER_NS: Final = QUARTER_S * NS_PER_S
_ROOM: Final = 1 << 14
"""For numbers of zones."""


def number_of(name: str) -> int:
    """Of a zone by its IANA name; 0 is universal time. For this process alone.

    Raises ValueError if there is no such zone.
    """
    if name == UTC:
        return 0
    known = _numbers().get(name)
    if known is None:
        raise ValueError(f"time_zone '{name}' is not known; write one as Europe/Berlin")
    return known


def name_of(number: int) -> str:
    """The name of a zone by its number."""
    return _names()[number] if number else UTC


def local_ns(time_ns: I64, zone: I64) -> I64:
    """What clocks show, as if they stood in universal time; `zone` is a number for each."""
    keys, place = np.unique(time_ns // _QUARTER_NS * _ROOM + zone, return_inverse=True)
    offsets = [_offset_ns(key % _ROOM, key // _ROOM) for key in keys.tolist()]
    shown: I64 = time_ns + np.array(offsets, np.int64)[place]
    return shown


@cache
def _names() -> tuple[str, ...]:
    return (UTC, *sorted(available_timezones() - {UTC}))


@cache
def _numbers() -> dict[str, int]:
    return {name: number for number, name in enumerate(_names())}


@lru_cache(maxsize=4096)
def _offset_ns(zone: int, quarter: int) -> int:
    time = datetime.fromtimestamp(quarter * QUARTER_S, ZoneInfo(_names()[zone]))
    offset = time.utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * NS_PER_S
