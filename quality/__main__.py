"""Run a suite: a table for people, then one line of JSON.

Status 0 only if every target is met, and 2 if a figure is worse than the stored one.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any, Final

from bench.report import Result, print_result
from quality import baseline
from quality.suite import Options, Unmeasurable

SUITES: Final = {
    "nulls": "false alarms on series without anomalies, at 1, 15 and 60 s steps (needs no data)",
    "fleet": "false pages a day of a fleet in which nothing happens (needs no data)",
    "calm": "pages of seven days of the shop, laid out of recorded minutes",
    "nab": "alarms within windows, by the rules of NAB",
    "kpi": "false alarms, recall and F1 on labelled series of operations",
    "wsd": "the same on series of web services",
    "smd": "several series of a machine at once: how well strange minutes are ranked",
    "skab": "the same on short runs of a machine with sensors: F1 of points",
    "loghub": "log lines grouped by the statement that printed them",
    "sessions": "strange sessions of log lines, by what is counted in them",
    "rcd": "root causes by metrics alone",
    "petshop": "root causes by requests, latencies and failures of nodes",
    "nezha": "root causes by spans, lines and metrics",
    "log_nulls": "false findings on log lines of services where nothing happens (needs no data)",
    "storms": "alerts of overlapping faults, put together to incidents (needs no data)",
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
    parser.add_argument("--quick", action="store_true", help="little of it: does it run at all?")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--series", type=int, help="of a made-up fleet: how many")
    parser.add_argument("--store", action="store_true", help="make these figures the baseline")
    asked = parser.parse_args(arguments)
    options = Options(data=asked.data, quick=asked.quick, seed=asked.seed, n_series=asked.series)
    result = measure(asked.suite, options)
    lost = [] if asked.store else baseline.losses(asked.suite, result.figures)
    print_result(Result(result.suite, result.figures, result.targets, [*result.notes, *lost]))
    if asked.store and result.figures:
        baseline.store(asked.suite, result.figures, kept(asked.suite))
    if lost:
        return 2
    return 0 if result.met else 1


def measure(name: str, options: Options) -> Result:
    """Run a suite; where it cannot be measured there are no figures, so nothing is met."""
    module = _module(name)
    try:
        figures, notes = module.run(options)
    except Unmeasurable as fault:
        figures, notes = {}, [f"not measured: {fault}"]
    return Result(name, figures, module.TARGETS, notes)


def kept(name: str) -> tuple[str, ...]:
    """The figures of a suite that its baseline remembers."""
    names: tuple[str, ...] = _module(name).KEPT
    return names


def _module(name: str) -> Any:
    return importlib.import_module(f"quality.{name}")  # alone: its tools may be heavy


if __name__ == "__main__":
    sys.exit(main())
