"""Run a suite: a table for people, then one line of JSON; status 0 only if every target is met."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Final

from bench.report import Result, print_result
from quality.suite import Options, Unmeasurable

SUITES: Final = {
    "nulls": "false alarms on series without anomalies, at 1, 15 and 60 s steps (needs no data)",
}


def main(arguments: list[str] | None = None) -> int:
    suites = "\n".join(f"  {name:10}{says}" for name, says in SUITES.items())
    parser = argparse.ArgumentParser(
        prog="python -m quality",
        description=__doc__,
        epilog=f"suites:\n{suites}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", choices=SUITES, metavar="suite")
    parser.add_argument("--data", type=Path, help="the folder of the labelled series")
    parser.add_argument("--quick", action="store_true", help="one draw each: does it run at all?")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    result = measure(asked.suite, Options(data=asked.data, quick=asked.quick, seed=asked.seed))
    print_result(result)
    return 0 if result.met else 1


def measure(name: str, options: Options) -> Result:
    """Run a suite; where it cannot be measured there are no figures, so nothing is met."""
    module = importlib.import_module(f"quality.{name}")  # alone: its tools may be heavy
    try:
        figures, notes = module.run(options)
    except Unmeasurable as fault:
        figures, notes = {}, [f"not measured: {fault}"]
    return Result(name, figures, module.TARGETS, notes)


if __name__ == "__main__":
    sys.exit(main())
