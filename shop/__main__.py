"""The whole shop, until Ctrl-C: `python -m shop --watchkeeper http://127.0.0.1:8100`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from shop.control import NoAnswer, pids
from shop.directory import kept, of, write
from shop.instrument import KINDS, SDK, check
from shop.plan import Plan
from shop.services import NAMES, THIRD_PARTIES
from shop.stores import CACHES, DATABASES, Missing, chosen
from shop.supervise import NotReady, running

FRESH_S = 0.5


def above_0(text: str) -> float:
    """Raises ValueError for what is not."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shop", description=__doc__)
    parser.add_argument("--watchkeeper", default="", metavar="URL", help="where telemetry goes")
    parser.add_argument("--per-second", type=above_0, default=2.0, help="requests, a day's average")
    parser.add_argument("--day", type=above_0, default=86_400.0, metavar="S", help="how long it is")
    parser.add_argument("--seed", type=int, default=1, help="of chance")
    parser.add_argument("--home", default="", metavar="DIR", help="where it lives; kept at its end")
    parser.add_argument("--host", default="127.0.0.1", help="the address where it listens")
    parser.add_argument("--database", choices=DATABASES, default="auto", help="auto: what is there")
    parser.add_argument("--cache", choices=CACHES, default="auto", help="auto: what is there")
    parser.add_argument(
        "--instrument", choices=KINDS, default=SDK, help="how services are observed"
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = Plan(
        folder=asked.home,
        host=asked.host,
        watchkeeper=asked.watchkeeper,
        instrument=asked.instrument,
        per_s=asked.per_second,
        day_s=asked.day,
        seed=asked.seed,
    )
    try:
        check(asked.instrument)
        stores = chosen(asked.database, asked.cache)
        shop = running((*NAMES, *THIRD_PARTIES), plan, stores)
        with shop as plan, kept(Path(plan.folder)) as file:
            _tell(plan, file)
    except KeyboardInterrupt:
        return 0
    except (NotReady, Missing) as why:
        print(f"shop: {why}", file=sys.stderr)
        return 1
    return 0


def _tell(plan: Plan, file: Path) -> None:
    """Once to who looks on, and to others for as long as it runs."""
    for name, port in plan.ports.items():
        print(f"{name:14}http://{plan.host}:{port}", flush=True)
    print(f"{'told in':14}{file}", flush=True)
    told = None
    while True:
        with suppress(NoAnswer):  # it is busy; next time
            now = of(plan, pids(file.parent))
            if now != told:
                write(now, file)
            told = now
        time.sleep(FRESH_S)


if __name__ == "__main__":
    sys.exit(main())
