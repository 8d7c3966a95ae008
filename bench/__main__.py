"""Run a suite: a table for people, then one line of JSON; status 0 only if every target is met."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Final

from bench.client import Refused
from bench.peers import Unmeasurable
from bench.readback import Different
from bench.report import Result, print_result, progress
from bench.suite import Options

SUITES: Final = {
    "ingest": "samples over HTTP beside VictoriaMetrics and Prometheus, CPU per sample",
    "kernel": "the detectors' kernels beside a river pipeline",
    "detect": "the grid tier on 100,000 series beside a river pipeline",
    "scale": "memory and CPU at a million series",
    "logs": "log lines to templates beside Drain3, lines a second and core",
    "lake": "bytes on disk, and queries while 200,000 samples/s arrive",
    "latency": "POST to queryable anomaly, and the write itself, at 200,000 samples/s",
    "doors": "lines and spans through HTTP, read back from ten million; PromQL beside Prometheus",
    "durability": "kill -9 under load: nothing lost, nothing twice, equal scores",
    "middleware": "a Flask application bare and observed, CPU per request",
    "evaluate": "faults of the shop: detected, how soon, false pages, causes",
    "processes": "kill -9 of the parts of one installation, over Redis and PostgreSQL",
}


def main(arguments: list[str] | None = None) -> int:
    suites = "\n".join(f"  {name:12}{says}" for name, says in SUITES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"suites:\n{suites}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", choices=SUITES, metavar="suite")
    parser.add_argument("--quick", action="store_true", help="small: does it run at all?")
    parser.add_argument("--keep", action="store_true", help="leave data and logs of all servers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--data", type=Path, help="a folder of log lines (logs), or of earlier runs (evaluate)"
    )
    asked = parser.parse_args(arguments)
    if asked.quick:
        progress("a quick run: small, so its figures are no evidence")
    result = measure(asked.suite, Options(asked.quick, asked.keep, asked.seed, asked.data))
    print_result(result)
    return 0 if result.met else 1


def measure(name: str, options: Options) -> Result:
    """Run a suite; where it cannot be measured there are no figures, so nothing is met."""
    module = importlib.import_module(f"bench.{name}")  # alone: its tools may be heavy
    try:
        figures, notes = module.run(options)
    except (Unmeasurable, Different, Refused, OSError) as fault:
        figures, notes = {}, [f"not measured: {fault}"]
    return Result(name, figures, module.TARGETS, notes)


if __name__ == "__main__":
    sys.exit(main())
