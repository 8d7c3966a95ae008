"""`watchkeeper version`."""

from __future__ import annotations

import argparse
import json
import platform

from watchkeeper import __version__
from watchkeeper.cli.exits import Exit


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(given: argparse.Namespace) -> int:
    python = platform.python_version()
    if given.json:
        print(json.dumps({"version": __version__, "python": python}))
    else:
        print(f"watchkeeper {__version__} (Python {python}, {platform.system()})")
    return Exit.OK
