"""What looks like something and is nothing: nobody may be paged for it."""

from __future__ import annotations

from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands

QUIET_S = 120.0


def _nothing(_: Hands, __: float) -> None:
    return


def _deploy(hands: Hands, intensity: float) -> None:
    hands.deploy("user", f"v1.1.{round(intensity * 100)}")


def _cron(hands: Hands, intensity: float) -> None:
    hands.agent("burner", nice=19, on_s=between(1.0, 5.0, intensity), off_s=15.0)


def _pause(hands: Hands, intensity: float) -> None:
    for_s = between(0.02, 0.1, intensity)
    hands.agent("pauser", service="cart", for_s=for_s, every_s=10.0)


FAULTS = tuple(
    Fault(
        name=name,
        says=says,
        services=(),
        kind="none",
        start=start,
        fault_free=True,
        hold_s=QUIET_S,
    )
    for name, says, start in (
        ("quiet", "nothing happens", _nothing),
        ("good-deploy", "a version of user is deployed that is as good as the one before", _deploy),
        ("cron-spike", "a job beside the shop computes for some seconds, and stands back", _cron),
        ("pause", "cart stops for a blink, as for collecting garbage", _pause),
    )
)
