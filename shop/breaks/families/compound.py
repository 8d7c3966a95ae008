"""Two faults at once, one that grows, and one that comes and goes."""

from __future__ import annotations

from shop.breaks.families.endpoints import failing, late
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands

RAMP_STEPS = 40
RAMP_S = 120.0
ON_S, OFF_S = 5.0, 15.0


def _two(hands: Hands, intensity: float) -> None:
    late("inventory", "/inventory", 200, 1_000)(hands, intensity)
    failing("payment", "/payment", 0.4, 0.9)(hands, intensity)


def _ramp(hands: Hands, intensity: float) -> None:
    last_ms = between(600, 2_000, intensity)
    amounts = [last_ms * k / RAMP_STEPS for k in range(1, RAMP_STEPS + 1)]
    path = "/simulate/delay?endpoint=/payment&duration="
    hands.later("tell", service="payment", path=f"{path}0")
    every_s = RAMP_S / RAMP_STEPS
    hands.agent("ramp", service="payment", path=path, amounts=amounts, every_s=every_s)


def _intermittent(hands: Hands, intensity: float) -> None:
    name = hands.nested("pulse")
    hands.agent(
        "pulses", fault="errors-leaf", name=name, intensity=intensity, on_s=ON_S, off_s=OFF_S
    )


FAULTS = (
    Fault(
        name="two-at-once",
        says="inventory answers late, and payment fails",
        services=("inventory", "payment"),
        kind="two",
        start=_two,
    ),
    Fault(
        name="slow-ramp",
        says="payment answers later and later for two minutes",
        services=("payment",),
        kind="latency",
        start=_ramp,
        feel_s=60.0,
        hold_s=180.0,
    ),
    Fault(
        name="intermittent",
        says="user fails for five seconds in twenty",
        services=("user",),
        kind="errors",
        start=_intermittent,
        feel_s=30.0,
        hold_s=90.0,
    ),
)
