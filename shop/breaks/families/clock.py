"""A clock that is wrong."""

from __future__ import annotations

import email.utils
import time
import urllib.request
from pathlib import Path

from shop import directory
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.breaks.record import Record

SERVICE = "payment"
PLAIN_S = 5.0


def _skew(hands: Hands, intensity: float) -> None:
    hands.effects(ahead_s={SERVICE: between(-30.0, -300.0, intensity)})


def _is_skewed(home: Path, _: Record) -> bool:
    """By the date of its answers, which nobody but it has set."""
    at = directory.read(home).services[SERVICE]
    with urllib.request.urlopen(f"http://{at.host}:{at.port}/health", timeout=5) as response:
        told = email.utils.parsedate_to_datetime(response.headers["date"])
    return abs(told.timestamp() - time.time()) > PLAIN_S


FAULTS = (
    Fault(
        name="clock-skew",
        says="the clock of payment is minutes behind; users feel nothing of it",
        services=(SERVICE,),
        kind="clock",
        start=_skew,
        shows=_is_skewed,
    ),
)
