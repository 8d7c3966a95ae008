"""What a fault is: whose it is, how it begins, and who feels it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shop.breaks.hands import Hands
from shop.breaks.record import Record
from shop.breaks.users import CHECKOUT, Errand
from shop.directory import Directory

HOLD_S = 60.0
FEEL_S = 8.0


class Lacks(Exception):
    """This machine, or this shop, has no means for it; the message names it."""


def nothing(_: Directory) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    name: str
    says: str
    """What it is, for people."""
    services: tuple[str, ...]
    """Whose fault it is; none where it is no service's."""
    kind: str
    start: Callable[[Hands, float], None]
    """How it begins, with an intensity from 0, at which users just feel it, to 1."""
    lacks: Callable[[Directory], str] = nothing
    """What keeps it from beginning; empty if nothing does."""
    errand: Errand = CHECKOUT
    """What a user wants who feels it."""
    feel_s: float = FEEL_S
    """How long it may take until he does."""
    shows: Callable[[Path, Record], bool] | None = None
    """Whether it is there, where users feel nothing of it."""
    fault_free: bool = False
    """Nobody may feel it, and nobody be paged for it."""
    hold_s: float = HOLD_S


def between(low: float, high: float, intensity: float) -> float:
    """A measure for an intensity; `low` is that for 0, even if it is the larger number."""
    return low + (high - low) * intensity
