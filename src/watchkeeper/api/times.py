"""Times at the edge: ISO 8601 or epoch seconds in, ISO 8601 out; nanoseconds inside."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LATEST_S: Final = 9_000_000_000
"""In 2255; so many seconds before and after 1970 fit into 64 bits of nanoseconds."""


def parse_time(text: str, name: str) -> int:
    """Nanoseconds of a time such as 2026-01-05T10:00:00Z or 1767607200.5."""
    try:
        seconds = Decimal(text)  # a float of epoch seconds is off by a hundred nanoseconds
    except InvalidOperation:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(
                f"{name}: '{text}' is no time; write 2026-01-05T10:00:00Z or epoch seconds"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = Decimal((moment - _EPOCH) // _MICROSECOND) / 1_000_000
    if not seconds.is_finite() or abs(seconds) > _LATEST_S:
        raise BadInput(
            f"{name}: {text} is out of range; write epoch seconds, or a date from 1700 to 2200"
        )
    return int((seconds * NS_PER_S).to_integral_value())


def parse_duration(text: str, name: str) -> int:
    """Nanoseconds of a duration such as 15s, 5m, 1h, 7d or plain seconds."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    digits = text.rstrip("msdhw")
    unit = text[len(digits) :] or "s"
    try:
        seconds = float(digits) * units[unit]
    except (ValueError, KeyError):
        raise BadInput(f"{name}: '{text}' is no duration; write 15s, 5m, 1h or 7d") from None
    if not (math.isfinite(seconds) and 1 / NS_PER_S <= seconds <= 366 * 86400):
        raise BadInput(f"{name}: {text} must be longer than nothing and at most 366d")
    return round(seconds * NS_PER_S)


def iso(time_ns: int) -> str:
    """ISO 8601 in UTC with the fewest digits that say it exactly, to the microsecond."""
    whole, rest = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest // 1000:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"
