"""One process that does harm: `python -m shop.breaks.agent FILE KIND JSON`.

It goes on as long as `FILE`, the fault's record, and the shop are there, and says `ready` first.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from shop.directory import NotRunning, read


class May:
    """Whether to go on, asked before each act; and where everything is."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.home = file.parent.parent

    def __bool__(self) -> bool:
        if not self.file.exists():
            return False
        try:
            read(self.home)
        except NotRunning:
            return False
        return True

    def ready(self) -> None:
        """The first act is done; from now on nobody listens."""
        print("ready", flush=True)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)


def main(file: str, kind: str, given: str) -> None:
    agent = importlib.import_module(f"shop.breaks.agents.{kind}")
    agent.run(May(Path(file)), **json.loads(given))


if __name__ == "__main__":
    main(*sys.argv[1:4])
