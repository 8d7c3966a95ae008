"""A shop within this process, for the unit tests of what breaks it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from shop import directory
from shop.breaks.__main__ import main
from shop.directory import Directory, Found
from tests.street import Street


class House(NamedTuple):
    """A shop whose services all live in this process; some of them can be asked from outside."""

    home: Path
    street: Street

    def run(self, verb: str, name: str, *more: str) -> int:
        return main([verb, name, "--home", str(self.home), *more])


@contextmanager
def open_house(home: Path, *names: str) -> Iterator[House]:
    street = Street(home)
    with street.open(names or ("gateway", "user")) as ports:
        told(home, ports)
        yield House(home=home, street=street)


def told(home: Path, ports: dict[str, int], pid: int | None = None) -> Directory:
    """What a shop tells of itself, here with this process as the one whose end is that of all."""
    place = Directory(
        pid=pid or os.getpid(),
        services={n: Found(port=p, pid=None, host="127.0.0.1") for n, p in ports.items()},
        gateway=f"http://127.0.0.1:{ports['gateway']}" if "gateway" in ports else None,
        database="sqlite",
        cache="memory",
    )
    directory.write(place, home / directory.FILE)
    return place


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()
