"""Answers that come late, or are errors, as the services' own endpoints simulate them."""

from __future__ import annotations

from collections.abc import Callable

from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.breaks.users import CART


def late(service: str, endpoint: str, low_ms: float, high_ms: float) -> Callable[..., None]:
    def start(hands: Hands, intensity: float) -> None:
        amount = between(low_ms, high_ms, intensity)
        hands.simulate(service, "delay", "duration", amount, endpoint=endpoint)

    return start


def failing(service: str, endpoint: str, low: float, high: float) -> Callable[..., None]:
    def start(hands: Hands, intensity: float) -> None:
        hands.simulate(service, "error", "rate", between(low, high, intensity), endpoint=endpoint)

    return start


FAULTS = (
    Fault(
        name="delay-leaf",
        says="payment answers late",
        services=("payment",),
        kind="latency",
        start=late("payment", "/payment", 300, 2_000),
    ),
    Fault(
        name="delay-middle",
        says="cart, which asks others, answers late",
        services=("cart",),
        kind="latency",
        start=late("cart", "/cart", 300, 2_000),
    ),
    Fault(
        name="delay-endpoint",
        says="one endpoint of gateway answers late, the others do not",
        services=("gateway",),
        kind="latency",
        start=late("gateway", "/cart", 300, 2_000),
        errand=CART,
    ),
    Fault(
        name="errors-leaf",
        says="user fails now and then",
        services=("user",),
        kind="errors",
        start=failing("user", "/user", 0.4, 1.0),
    ),
    Fault(
        name="errors-middle",
        says="checkout fails by itself, whatever it asks answers",
        services=("checkout",),
        kind="errors",
        start=failing("checkout", "/checkout", 0.4, 1.0),
    ),
)
