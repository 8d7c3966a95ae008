"""What a suite is: a module with TARGETS and `run(options) -> Measured`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import peers
from bench.report import progress


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    quick: bool = False
    """A smoke run: everything small. Figures mean little, targets stay as they are."""
    keep: bool = False
    """Leave the scratch folder, with data and logs of all servers."""
    seed: int = 1
    data: Path | None = None
    """A folder of lines, for a suite that takes such instead of its own; of `evaluate`, where runs
    are kept to be counted together."""


Measured = tuple[Mapping[str, float], Sequence[str]]
"""Figures by name, and notes for people."""


@contextmanager
def scratch(name: str, options: Options) -> Iterator[Path]:
    """A folder for servers' data, removed at the end; under TMPDIR, so on a disk of choice."""
    folder = Path(tempfile.mkdtemp(prefix=f"watchkeeper-bench-{name}-"))
    try:
        yield folder
    finally:
        if options.keep:
            progress(f"left in place: {folder}")
        else:
            shutil.rmtree(folder)


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
