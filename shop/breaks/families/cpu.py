"""CPU that a service burns, that is kept from it, or that others take."""

from __future__ import annotations

import os

from shop.breaks import groups
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.directory import Directory

PERIOD_US = 100_000


def _burn(hands: Hands, intensity: float) -> None:
    hands.simulate("cart", "burn", "threads", round(between(8, 24, intensity)))


def _quota(hands: Hands, intensity: float) -> None:
    quota_us = round(between(3_000, 1_000, intensity))  # the kernel takes no less than 1 ms
    hands.confine("cpu", {"cpu_quota": str(quota_us)}, ["checkout"])


def _no_quota(_: Directory) -> str:
    return groups.lacks("cpu")


def _neighbour(hands: Hands, intensity: float) -> None:
    n = round(between(10, 16, intensity) * (os.cpu_count() or 1))
    hands.agent("burner", n=n, on_s=3600.0)


FAULTS = (
    Fault(
        name="cpu-burn",
        says="cart computes for nothing in threads of its own",
        services=("cart",),
        kind="cpu",
        start=_burn,
        feel_s=15.0,
    ),
    Fault(
        name="cpu-quota",
        says="checkout is given a few milliseconds of CPU in a hundred (cgroup)",
        services=("checkout",),
        kind="cpu",
        start=_quota,
        lacks=_no_quota,
        feel_s=15.0,
    ),
    Fault(
        name="noisy-neighbour",
        says="processes beside the shop take the CPU of its machine",
        services=(),
        kind="cpu",
        start=_neighbour,
        feel_s=20.0,
    ),
)
