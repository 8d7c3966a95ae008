"""Processes that stand still, or end again and again."""

from __future__ import annotations

from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.breaks.users import LOOK


def _hang(hands: Hands, _: float) -> None:
    hands.freeze("inventory")


def _crash(hands: Hands, intensity: float) -> None:
    hands.agent("killer", service="shipping", every_s=between(3.0, 0.5, intensity))


FAULTS = (
    Fault(
        name="hang",
        says="inventory stands still and keeps its connections open (SIGSTOP)",
        services=("inventory",),
        kind="hang",
        start=_hang,
        errand=LOOK,
    ),
    Fault(
        name="crash-loop",
        says="shipping ends as soon as it has come again (SIGKILL)",
        services=("shipping",),
        kind="crash",
        start=_crash,
        feel_s=15.0,
    ),
)
