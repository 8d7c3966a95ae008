"""Versions that are worse than those before, and others beside them that are not."""

from __future__ import annotations

from collections.abc import Callable

from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands

READY_S = 15.0


def _deploys(
    service: str, decoy: str, setting: str, low: float, high: float
) -> Callable[[Hands, float], None]:
    """The decoy first: who blames whatever was deployed last, or first, is wrong half the time."""

    def start(hands: Hands, intensity: float) -> None:
        amount = between(low, high, intensity)
        steps = [(decoy, ()), (service, (f"{setting}={amount:g}",))]
        if intensity < 0.5:
            steps.reverse()
        for name, settings in steps:
            hands.deploy(name, f"v2.0.{round(intensity * 100)}", *settings)

    return start


FAULTS = (
    Fault(
        name="deploy-slow",
        says="a version of payment is slow; one of user, deployed beside it, is not",
        services=("payment",),
        kind="deploy",
        start=_deploys("payment", "user", "delay_ms", 300, 1_500),
        feel_s=READY_S,
    ),
    Fault(
        name="deploy-failing",
        says="a version of shipping fails; one of notification, deployed beside it, does not",
        services=("shipping",),
        kind="deploy",
        start=_deploys("shipping", "notification", "error_rate", 0.4, 1.0),
        feel_s=READY_S,
    ),
    Fault(
        name="configuration",
        says="checkout is configured to wait for others no longer than a moment",
        services=("checkout",),
        kind="configuration",
        start=_deploys("checkout", "cart", "timeout_s", 0.003, 0.001),
        feel_s=READY_S,
    ),
)
