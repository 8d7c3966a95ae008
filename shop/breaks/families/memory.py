"""Memory that grows until the system ends whoever holds it."""

from __future__ import annotations

from shop.breaks import groups
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.directory import Directory

ROOM_MB = 64
EVERY_S = 0.5


def _leak(hands: Hands, intensity: float) -> None:
    group = hands.confine("memory", {"memory": str(ROOM_MB << 20)}, ["user"])
    megabytes = round(between(16, 48, intensity))
    hands.later("tell", service="user", path="/simulate/leak?megabytes=0")
    hands.agent("leaker", service="user", group=str(group), megabytes=megabytes, every_s=EVERY_S)


def _no_limit(_: Directory) -> str:
    return groups.lacks("memory")


FAULTS = (
    Fault(
        name="memory-leak",
        says="user leaks until the system ends it, comes again, and leaks again (cgroup)",
        services=("user",),
        kind="memory",
        start=_leak,
        lacks=_no_limit,
        feel_s=30.0,
    ),
)
