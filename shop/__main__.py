"""The whole shop, until Ctrl-C: `python -m shop --watchkeeper http://127.0.0.1:8100`."""

from __future__ import annotations

import argparse
import signal
import sys

from shop.services import NAMES
from shop.supervise import NotReady, running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shop", description=__doc__)
    parser.add_argument("--watchkeeper", default="", metavar="URL", help="where telemetry goes")
    parser.add_argument("--per-second", type=float, default=2.0, help="requests, a day's average")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running(NAMES, watchkeeper=asked.watchkeeper, per_s=asked.per_second) as plan:
            for name, port in plan.ports.items():
                print(f"{name:14}http://127.0.0.1:{port}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except NotReady as why:
        print(f"shop: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
