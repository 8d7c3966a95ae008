"""Durations and sizes as people write them: 30s, 1h30m, 7d; 64MiB, 1GB."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

Unit = Literal["s", "bytes"]

Duration = Annotated[float, msgspec.Meta(extra={"unit": "s"})]
"""Seconds, in a setting whose name does not end in `_s`."""

_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_DURATION: Final = re.compile(rf"(?:{_PIECE.pattern}\s*)+")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B", re.IGNORECASE)
_SCALE: Final = {
    "": 1,
    **{letter: 1000**power for power, letter in enumerate("kmgt", start=1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("kmgt", start=1)},
}

WORDS: Final[dict[Unit, str]] = {
    "s": "a duration such as 500ms, 30s, 5m, 48h or 7d",
    "bytes": "a size such as 512B, 64MiB or 1GB",
}
"""What a value of a unit is, as said in messages and in the reference."""


def unit_of(name: str, kind: Any) -> Unit | None:
    """The unit of a setting: said by its type, or by the end of its name."""
    for meta in getattr(kind, "__metadata__", ()):
        unit = (getattr(meta, "extra", None) or {}).get("unit")
        if unit in get_args(Unit):
            return "s" if unit == "s" else "bytes"
    if name.endswith("_s") and not name.endswith("_per_s"):  # a rate is no duration
        return "s"
    return "bytes" if name.endswith("_bytes") else None


def parse(text: str, unit: Unit) -> float | int | None:
    """The number behind a text, in the unit; None if it is none."""
    try:
        plain = float(text)
    except ValueError:
        return _duration(text) if unit == "s" else _size(text)
    if not math.isfinite(plain):
        return None
    return plain if unit == "s" else _whole(plain)


def show(number: float, unit: Unit) -> str | float:
    """The shortest text that `parse` reads back as this very number; else the number."""
    scales = (
        [("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1)]
        if unit == "s"
        else [("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1)]
    )
    if not (math.isfinite(number) and number > 0):
        return number
    # A day is said in hours until there are two, as in 24h and 48h, but 3d.
    for name, scale in scales:
        least = 3 * scale if name in ("d", "w") else scale
        if number >= least and number % scale == 0:
            return _if_read_back(f"{int(number // scale)}{name}", number, unit)
    if unit == "s":
        return _if_read_back(f"{round(number * 1000)}ms", number, unit)
    return number


def _if_read_back(text: str, number: float, unit: Unit) -> str | float:
    """Of a very great number, the text may mean one that is nearly it."""
    return text if parse(text, unit) == number else number


def _duration(text: str) -> float | None:
    if not _DURATION.fullmatch(text.strip()):
        return None
    # Milliseconds are whole numbers up to a point, so that 300ms is 0.3 and not nearly so.
    parts = [float(amount) * _SECONDS[unit] for amount, unit in _PIECE.findall(text)]
    total = math.fsum(parts)
    return round(total, 9) if math.isfinite(total) else None


def _size(text: str) -> int | None:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    return _whole(float(match[1]) * _SCALE[(match[2] or "").lower()])


def _whole(number: float) -> int | None:
    return int(number) if math.isfinite(number) and number == int(number) else None
