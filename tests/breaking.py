"""A shop of real processes to break, and the look for what is left of a fault."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shop import directory
from shop.breaks import groups, record
from shop.breaks.processes import agents
from shop.control import pids
from shop.plan import Plan
from shop.supervise import running


@contextmanager
def open_shop(home: Path, names: Sequence[str], stores: Sequence[str] = ()) -> Iterator[Path]:
    """With `shop.json` as fresh as a shop keeps it; without buyers."""
    with running(names, Plan(folder=str(home), load=False), stores) as plan:
        file, closed = home / directory.FILE, threading.Event()

        def tell() -> None:
            while not closed.wait(0.3):
                directory.write(directory.of(plan, pids(home)), file)

        directory.write(directory.of(plan, pids(home)), file)
        telling = threading.Thread(target=tell)
        telling.start()
        try:
            yield home
        finally:
            closed.set()
            telling.join()
            file.unlink()


def left_of(home: Path, name: str) -> list[str]:
    """Files, processes and groups of a fault, which are to be none after its end."""
    file = record.file_of(home, name)
    found = [str(one) for one in file.parent.glob(f"{name}*")]
    found += [f"process {pid}" for pid, _ in agents(file)]
    held = groups.ROOT.glob(f"**/{groups.PREFIX}{name}-*")
    return found + [str(one) for one in held]
