"""Numbers, times and shapes in few characters, for tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"
_SUFFIXES: Final = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
"""From which size on, by what it is divided, and what is written behind it."""


def number(value: float | None) -> str:
    """Four digits that count: 0.0123, 12.35, 1234, 56.78k. Nothing is an open end."""
    if value is None:
        return "…"
    if not math.isfinite(value):
        return str(value)
    size = float(f"{abs(value):.4g}")  # 9999.6 is 10k already
    for least, scale, suffix in _SUFFIXES:
        if size >= least:
            return f"{value / scale:.4g}{suffix}"
    return f"{value:.4g}"


def band(low: float | None, high: float | None) -> str:
    """What was expected: `0.5 to 1.5`, `up to 1.5`, `0.5 or more`."""
    if low is None and high is None:
        return "anything"
    if low is None:
        return f"up to {number(high)}"
    if high is None:
        return f"{number(low)} or more"
    return f"{number(low)} to {number(high)}"


def probability(p: float) -> str:
    """How strange: `1 in 20`, `1 in 1.2M`."""
    return "never seen" if p <= 0 else f"1 in {number(1 / p)}" if p < 0.5 else f"{p:.2g}"


def moment(time: datetime) -> str:
    """UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment_of(time_s: float) -> str:
    return moment(datetime.fromtimestamp(time_s, UTC))


def lasting(seconds: float) -> str:
    """A length of time in its two greatest units: `3d 4h`, `2m 5s`, `1.5s`, `4.2ms`."""
    milliseconds = seconds * 1000
    if milliseconds < 9.95:
        return f"{milliseconds:.2g}ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    if seconds < 10:
        return f"{seconds:.2g}s"
    rest = round(seconds)
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0"))


def size(count: float) -> str:
    """Bytes: `512 B`, `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of some values in at most `width` characters; a gap where there is none.

    Where several values share a character, the one farthest from the middle is kept, because a
    spike is what one looks for.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    low, high = min(finite) / 2, max(finite) / 2  # halves, for what lies between may overflow
    middle = sorted(finite)[len(finite) // 2]
    n = min(width, len(values))
    cells = []
    for i in range(n):
        part = [v for v in values[i * len(values) // n : (i + 1) * len(values) // n]
                if math.isfinite(v)]  # fmt: skip
        if not part:
            cells.append(" ")
            continue
        shown = max(part, key=lambda v: abs(v - middle))
        level = 0.5 if high == low else (shown / 2 - low) / (high - low)
        cells.append(_BARS[min(len(_BARS) - 1, int(level * len(_BARS)))])
    return "".join(cells)
