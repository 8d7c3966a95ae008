"""What a suite is: a module with TARGETS and `run(options) -> Measured`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import peers


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    quick: bool = False
    """A smoke run: everything small. Figures mean little, targets stay as they are."""
    long: bool = False
    """Also what takes too long for every day."""
    seed: int = 1


Measured = tuple[Mapping[str, float], Sequence[str]]
"""Figures by name, and notes for people."""


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder for servers' data, removed at the end; under TMPDIR, so on a disk of choice."""
    with tempfile.TemporaryDirectory(prefix=f"watchkeeper-bench-{name}-") as folder:
        yield Path(folder)


@contextmanager
def client_core() -> Iterator[set[int]]:
    """Keep this process off the servers' core; yields that core."""
    before = os.sched_getaffinity(0)
    for_servers, for_client = peers.cores()
    os.sched_setaffinity(0, for_client)
    try:
        yield for_servers
    finally:
        os.sched_setaffinity(0, before)
