"""The network between two services: a proxy of our own stands between them, or a name leads
nowhere, or packets are lost within a namespace of the fault's own. Nothing of the machine's network
is touched."""

from __future__ import annotations

from collections.abc import Callable

from shop.breaks import namespaces
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.breaks.users import LOOK
from shop.directory import Directory

NOWHERE = "payment.shop.invalid"
"""RFC 6761 promises that no such name is ever found."""


def lacks_store(name: str) -> Callable[[Directory], str]:
    def lacks(shop: Directory) -> str:
        return "" if name in shop.stores else f"a shop that runs {name}; this one has it embedded"

    return lacks


def proxied(
    service: str, caller: str = "*", **harm: tuple[float, float]
) -> Callable[[Hands, float], None]:
    def start(hands: Hands, intensity: float) -> None:
        amounts = {kind: between(*ends, intensity) for kind, ends in harm.items()}
        hands.proxy(service, caller, **amounts)

    return start


def _lose(hands: Hands, intensity: float) -> None:
    hands.lose("shipping", between(0.25, 0.5, intensity))


def _no_namespace(_: Directory) -> str:
    return namespaces.lacks()


def _name(hands: Hands, _: float) -> None:
    hands.divert("payment", NOWHERE, hands.shop.services["payment"].port, "checkout")


FAULTS = (
    Fault(
        name="network-latency",
        says="the way from checkout to payment is long, and unsteady",
        services=("payment",),
        kind="network_latency",
        start=proxied("payment", "checkout", delay_ms=(150, 600), jitter_ms=(50, 200)),
    ),
    Fault(
        name="packet-loss",
        says="what shipping sends and gets is lost and sent again, as TCP does it",
        services=("shipping",),
        kind="packet_loss",
        start=proxied("shipping", lost=(0.2, 0.5)),
    ),
    Fault(
        name="packets-dropped",
        says="the system drops what is sent to shipping, and TCP sends it again (nft)",
        services=("shipping",),
        kind="packet_loss",
        start=_lose,
        lacks=_no_namespace,
        feel_s=15.0,
    ),
    Fault(
        name="partition",
        says="whoever asks cart waits, and nothing comes",
        services=("cart",),
        kind="partition",
        start=proxied("cart", silent=(1.0, 1.0)),
    ),
    Fault(
        name="connection-reset",
        says="connections to user are cut off",
        services=("user",),
        kind="connection_reset",
        start=proxied("user", reset=(0.4, 1.0)),
    ),
    Fault(
        name="bandwidth",
        says="the way from gateway to inventory is narrow",
        services=("inventory",),
        kind="bandwidth",
        start=proxied("inventory", "gateway", bytes_per_s=(1_200, 300)),
        errand=LOOK,
    ),
    Fault(
        name="name-resolution",
        says="checkout finds nothing under the name of payment",
        services=("payment",),
        kind="name_resolution",
        start=_name,
    ),
)
