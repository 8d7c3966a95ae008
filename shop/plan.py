"""What the processes of one shop have to know of each other."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    folder: str = ""
    """The shop's home; empty: a temporary one, which goes with it."""
    ports: Mapping[str, int] = {}
    stores: Mapping[str, int] = {}
    """Ports of PostgreSQL and Redis; what is not there is embedded."""
    host: str = "127.0.0.1"
    """Where everything listens."""
    watchkeeper: str = ""
    """Where telemetry goes; empty: nowhere, and nothing is observed."""
    instrument: str = "sdk"
    load: bool = True
    """Whether buyers come."""
    metrics_s: float = 1.0
    per_s: float = 2.0
    """Requests a second, on the average of a day."""
    day_s: float = 86_400.0
    """How long a day is; shops in a hurry have short ones."""
    seed: int = 1
    history: int = 200_000
    """Payments of the time before it opened."""


def free_ports(names: Sequence[str], host: str = "127.0.0.1") -> dict[str, int]:
    """Different ones: all are held until all are found."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in names]
        for one in held:
            one.bind((host, 0))
        return {name: one.getsockname()[1] for name, one in zip(names, held, strict=True)}


def write(plan: Plan, file: Path) -> None:
    file.write_bytes(msgspec.json.encode(plan))


def read(file: Path) -> Plan:
    return msgspec.json.decode(file.read_bytes(), type=Plan)


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a service says that it is well."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/health", timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
