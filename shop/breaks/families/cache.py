"""A cache that is slow, stands still, or cannot be reached."""

from __future__ import annotations

from shop.breaks.families.network import lacks_store, proxied
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.breaks.users import LOOK
from shop.stores import REDIS


def _script(hands: Hands, intensity: float) -> None:
    hands.agent("redis_busy", script=True, on_s=between(0.4, 1.5, intensity), off_s=0.05)


def _pause(hands: Hands, intensity: float) -> None:
    hands.agent("redis_busy", script=False, on_s=between(1.0, 2.5, intensity), off_s=0.2)


FAULTS = (
    Fault(
        name="cache-slow",
        says="Redis is busy with a script that somebody runs again and again",
        services=(REDIS,),
        kind="cache",
        start=_script,
        lacks=lacks_store(REDIS),
        errand=LOOK,
        feel_s=15.0,
    ),
    Fault(
        name="cache-paused",
        says="Redis takes no commands, for a second or two at a time",
        services=(REDIS,),
        kind="cache",
        start=_pause,
        lacks=lacks_store(REDIS),
        errand=LOOK,
        feel_s=15.0,
    ),
    Fault(
        name="cache-cut-off",
        says="connections to Redis are cut off",
        services=(REDIS,),
        kind="connection_reset",
        start=proxied(REDIS, reset=(1.0, 1.0)),
        lacks=lacks_store(REDIS),
        errand=LOOK,
    ),
)
