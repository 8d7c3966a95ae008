"""Who buys: requests to the gateway, as many as the hour of the day brings, at random moments.

Open loop: whoever waits for an answer keeps nobody else from asking, up to a bound.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from shop.plan import Plan, answers, read

BUYERS = 16
SWING = 0.6
"""How far the fullest hour is above the average, and the emptiest below."""
FULLEST = 0.6
"""When the day is fullest, as a share of it."""
PATHS = (("GET", "/inventory", 0.6), ("GET", "/cart", 0.25), ("POST", "/checkout", 0.15))


def rate(per_s: float, share_of_day: float) -> float:
    """Requests a second at a time of the day."""
    return per_s * (1 + SWING * math.cos(2 * math.pi * (share_of_day - FULLEST)))


def wait_s(plan: Plan, at_s: float, chance: random.Random) -> float:
    """How long until the next request, as independent buyers come."""
    return chance.expovariate(rate(plan.per_s, at_s / plan.day_s % 1.0))


def asked(chance: random.Random) -> tuple[str, str]:
    """What the next buyer wants: method and path."""
    (method, path, _) = chance.choices(PATHS, [share for _, _, share in PATHS])[0]
    return method, f"{path}/{chance.randrange(50)}"


def main(plan_file: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # buyers do not wait for answers then
    plan = read(Path(plan_file))
    while not all(answers(port, plan.host) for port in plan.ports.values()):
        time.sleep(0.2)  # the shop is not open yet
    chance = random.Random(plan.seed)
    url = f"http://{plan.host}:{plan.ports['gateway']}"
    with (
        httpx.Client(base_url=url, timeout=30.0, trust_env=False) as client,
        ThreadPoolExecutor(BUYERS) as buyers,
    ):
        waiting: set[object] = set()
        while True:
            time.sleep(wait_s(plan, time.time(), chance))
            if len(waiting) < BUYERS:
                future = buyers.submit(_ask, client, *asked(chance))
                waiting.add(future)
                future.add_done_callback(waiting.discard)


def _ask(client: httpx.Client, method: str, path: str) -> None:
    try:
        client.request(method, path)
    except httpx.TransportError as error:
        print(f"{method} {path}: {error}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(0)
