"""What of a shop and its faults is still there: nothing may be, whoever ended it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
PLACES: Final = (Path("/sys/fs/cgroup"), Path("/run/netns"))
"""Where control groups and network namespaces are."""
WIRES: Final = Path("/sys/class/net")
_OURS: Final = "watchkeeper-"
_END_S: Final = 5.0
_LOOK_S: Final = 0.1


def remains(
    folder: Path,
    pids: Sequence[int],
    proc: Path = PROC,
    places: Sequence[Path] = PLACES,
    wires: Path = WIRES,
) -> list[str]:
    """Processes that name its folder; groups, namespaces and wires that are called after one of
    these processes. Rules are within namespaces."""
    found = [f"process {one}" for one in _processes(str(folder), proc)]
    for pid in pids:
        found += [str(one) for place in places for one in place.glob(f"**/{_OURS}*-{pid}")]
        found += [str(one) for one in wires.glob(f"wk{pid}")]
    return found


def remains_in_the_end(folder: Path, pids: Sequence[int]) -> list[str]:
    """What was just told to end may take a moment."""
    deadline = time.monotonic() + _END_S
    while (found := remains(folder, pids)) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return found


def _processes(folder: str, proc: Path) -> Iterator[int]:
    for place in proc.glob("[0-9]*"):
        if place.name == str(os.getpid()):
            continue
        try:
            said = (place / "cmdline").read_bytes()
        except OSError:
            continue  # gone meanwhile
        if folder.encode() in said:
            yield int(place.name)
