"""Whom the shop asks and nobody can look into."""

from __future__ import annotations

import socket

from shop.breaks.families.endpoints import late
from shop.breaks.fault import Fault
from shop.breaks.hands import Hands


def _down(hands: Hands, _: float) -> None:
    """Where nobody listens, connections are refused at once, as by a host whose program is gone."""
    host = hands.shop.services["bank"].host
    with socket.socket() as nobody:
        nobody.bind((host, 0))
        port = nobody.getsockname()[1]
    hands.divert("bank", host, port)


FAULTS = (
    Fault(
        name="third-party-down",
        says="bank, which payment asks, refuses connections",
        services=("bank",),
        kind="third_party",
        start=_down,
    ),
    Fault(
        name="third-party-slow",
        says="bank, which payment asks, answers late",
        services=("bank",),
        kind="third_party",
        start=late("bank", "/charge", 300, 2_500),
    ),
)
