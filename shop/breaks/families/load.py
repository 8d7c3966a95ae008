"""More is asked than usual: by more buyers, or by services that ask again and again."""

from __future__ import annotations

from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.breaks.users import CHECKOUT

ASKING = ("gateway", "checkout", "payment")


def _surge(hands: Hands, intensity: float) -> None:
    n = round(between(24, 64, intensity))
    hands.agent("buyers", n=n, method=CHECKOUT.method, path=CHECKOUT.path)


def _storm(hands: Hands, intensity: float) -> None:
    hands.effects(retries=dict.fromkeys(ASKING, round(between(3, 6, intensity))))
    rate = between(0.85, 0.98, intensity)
    hands.simulate("bank", "delay", "duration", 50.0, endpoint="/charge")
    hands.simulate("bank", "error", "rate", rate, endpoint="/charge")


FAULTS = (
    Fault(
        name="surge",
        says="many more buyers come than the shop is made for",
        services=(),
        kind="load",
        start=_surge,
        feel_s=15.0,
    ),
    Fault(
        name="retry-storm",
        says="bank fails, and whoever hears of it asks again at once, each of them several times",
        services=("bank",),
        kind="retry_storm",
        start=_storm,
        feel_s=15.0,
    ),
)
