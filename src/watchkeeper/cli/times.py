"""Times as people give them to a command: 1h (ago), now, 2026-01-05T10:00:00Z, 1767607200."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from watchkeeper.clock import NS_PER_S
from watchkeeper.config import units
from watchkeeper.errors import ConfigError

EXAMPLES = "1h (ago), now, 2026-01-05T10:00:00Z, epoch seconds"
LATEST_S: Final = 9_000_000_000
"""In 2255; as the server has it."""


def time_s(text: str, name: str, *, now_ns: int) -> float:
    """Seconds since the epoch. A duration is so long ago; `name` is the flag, for messages."""
    seconds = _seconds(text, name, now_ns)
    if not abs(seconds) <= LATEST_S:  # nor is NaN
        raise ConfigError(
            f"{name}: {text} is out of range; write epoch seconds, or a date from 1700 to 2200"
        )
    return seconds


def _seconds(text: str, name: str, now_ns: int) -> float:
    if text == "now":
        return now_ns / NS_PER_S
    try:
        return float(text)
    except ValueError:
        pass
    ago = units.parse(text.removeprefix("-"), "s")
    if ago is not None:
        return now_ns / NS_PER_S - ago
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name}: '{text}' is no time; write one of: {EXAMPLES}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def duration_s(text: str, name: str) -> float:
    """Seconds of 30s, 5m, 7d."""
    seconds = units.parse(text, "s")
    if seconds is None or seconds <= 0:
        raise ConfigError(f"{name}: '{text}' is not {units.WORDS['s']}")
    return float(seconds)


def digits(seconds: float) -> str:
    """A duration as servers read it, in every digit: 90, 0.5, 1234567."""
    return str(int(seconds)) if seconds == int(seconds) else str(seconds)
