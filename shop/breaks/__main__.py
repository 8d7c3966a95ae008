"""Break a shop that runs, look whether its users feel it, and mend it again.

Status 0: done, or users feel it; 1: they do not, or it failed; 3: this machine lacks a means.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from shop import directory
from shop.breaks import record
from shop.breaks.begin import begin, shows
from shop.breaks.catalogue import FAULTS, fault, scenario
from shop.breaks.fault import Fault, Lacks
from shop.breaks.processes import Failed
from shop.breaks.undo import stop
from shop.control import NoAnswer
from shop.directory import NotRunning

LACKS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        return _DO[asked.verb](asked)
    except Lacks as why:
        print(f"breaks: {why}", file=sys.stderr)
        return LACKS
    except (Failed, NotRunning, NoAnswer) as why:
        print(f"breaks: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1


def _list(asked: argparse.Namespace) -> int:
    lacking = _lacking(asked.home)
    if asked.json:
        told = [{**scenario(one), "lacks": lacking.get(one.name, "")} for one in FAULTS]
        print(json.dumps(told, indent=2))
        return 0
    for one in FAULTS:
        print(f"{one.name:22}{', '.join(one.services) or '-':18}{_said(one, lacking)}")
    return 0


def _said(one: Fault, lacking: dict[str, str]) -> str:
    missing = lacking.get(one.name)
    return f"{one.says} (this needs {missing})" if missing else one.says


def _lacking(home: Path | None) -> dict[str, str]:
    """By name, where a shop runs to ask for."""
    if home is None:
        return {}
    shop = directory.read(home)
    return {one.name: missing for one in FAULTS if (missing := one.lacks(shop))}


def _scenarios(_: argparse.Namespace) -> int:
    print(scenarios(), end="")
    return 0


def scenarios() -> str:
    """The file for `watchkeeper evaluate`."""
    listed = {"scenarios": [scenario(one) for one in FAULTS]}
    head = "# Rewritten by: python -m shop.breaks scenarios > shop/scenarios.yaml\n"
    return head + yaml.safe_dump(listed, sort_keys=False, width=100)


def _start(asked: argparse.Namespace) -> int:
    begin(asked.home, asked.name, asked.intensity)
    return 0


def _check(asked: argparse.Namespace) -> int:
    if shows(asked.home, asked.name):
        return 0
    said = "users feel it" if fault(asked.name).fault_free else "nobody feels it"
    print(f"breaks: {asked.name}: {said}", file=sys.stderr)
    return 1


def _stop(asked: argparse.Namespace) -> int:
    """One, or all that run. What does not end keeps nothing else from ending."""
    if bool(asked.name) == asked.all:
        raise Failed("name one fault to stop, or give --all")
    if asked.name:
        fault(asked.name)
    failed = []
    for name in record.names(asked.home) if asked.all else [asked.name]:
        try:
            stop(asked.home, name)
        except Failed as why:
            failed.append(str(why))
    if failed:
        raise Failed("; ".join(failed))
    return 0


_DO = {
    "list": _list,
    "scenarios": _scenarios,
    "start": _start,
    "check": _check,
    "stop": _stop,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shop.breaks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="every fault, whose it is, and what it needs")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.add_argument("--home", type=Path, metavar="DIR", help="say what that shop lacks")
    verbs.add_parser("scenarios", help="all of them, as `watchkeeper evaluate` reads them")
    for verb, says in (
        ("start", "break it"),
        ("check", "whether users feel it"),
        ("stop", "mend it; any number of times"),
    ):
        one = verbs.add_parser(verb, help=says)
        one.add_argument("name", metavar="NAME", nargs="?" if verb == "stop" else None)
        one.add_argument("--home", type=Path, required=True, metavar="DIR", help="the shop's")
        if verb == "start":
            one.add_argument(
                "--intensity", type=float, default=0.5, metavar="0..1", help="how hard"
            )
        if verb == "stop":
            one.add_argument("--all", action="store_true", help="everything that runs")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = main()
    for number in (signal.SIGINT, signal.SIGTERM):  # it is done, and says so, whatever comes now
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)
