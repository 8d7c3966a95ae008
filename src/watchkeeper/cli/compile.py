"""`watchkeeper compile`: compile what serves, ahead of the first request."""

from __future__ import annotations

import argparse
import time

from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(given: argparse.Namespace) -> int:
    output, began = Output(as_json=given.json), time.monotonic()
    with output.progress("compiling", None):
        from watchkeeper.cli.rehearsal import rehearse

        rehearse()
    took_s = round(time.monotonic() - began, 1)
    if output.as_json:
        output.json({"seconds": took_s})
    else:
        output.print(f"compiled; it took {took_s:g} s")
    return Exit.OK
