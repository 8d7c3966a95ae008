"""Answers that are wrong, and come as any other: no error, no delay, nothing in a log."""

from __future__ import annotations

from pathlib import Path

from shop import directory
from shop.breaks import users
from shop.breaks.fault import FEEL_S, Fault, between
from shop.breaks.hands import Hands
from shop.breaks.record import Record
from shop.stock import PRICE_CENTS


def _wrong(hands: Hands, intensity: float) -> None:
    rate = between(0.4, 1.0, intensity)
    hands.simulate("payment", "wrong", "rate", rate, endpoint="/payment")


def _shows(home: Path, _: Record) -> bool:
    url = directory.read(home).gateway
    return url is not None and users.are_charged_wrongly(url, PRICE_CENTS, FEEL_S)


FAULTS = (
    Fault(
        name="wrong-answers",
        says="payment says that it was paid, too early and for nothing, and nothing fails",
        services=("payment",),
        kind="wrong_answer",
        start=_wrong,
        shows=_shows,
    ),
)
