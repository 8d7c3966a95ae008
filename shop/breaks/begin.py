"""How a fault begins, and whether it shows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from shop import directory
from shop.breaks import record, users
from shop.breaks.catalogue import fault
from shop.breaks.fault import Lacks
from shop.breaks.hands import Hands
from shop.breaks.processes import Failed
from shop.breaks.record import Record
from shop.breaks.undo import stop
from shop.breaks.users import Usual
from shop.directory import Directory

CALM_S = 0.5
"""An answer in twice that is no fault, whatever else the machine is busy with."""


def begin(home: Path, wanted: str, intensity: float, *, name: str = "") -> None:
    """All of it or, where that fails, nothing. Under a name of its own it is part of another one,
    which looks after what users feel. Raises Lacks, Failed."""
    found = fault(wanted)
    if not 0 <= intensity <= 1:
        raise Failed(f"intensity is {intensity:g}; give 0 to 1")
    shop = directory.read(home)
    if missing := found.lacks(shop):
        raise Lacks(f"{wanted}: this needs {missing}")
    if record.read(home, name or wanted) is not None:
        raise Failed(f"{wanted} runs already; stop it: python -m shop.breaks stop {wanted}")
    usual = Usual() if name else users.usual(_gateway(shop), found.errand)
    with ExitStack() as undone:
        undone.callback(stop, home, name or wanted)
        begun = Record(name=name or wanted, intensity=intensity, usual=usual)
        found.start(Hands(home, begun), intensity)
        undone.pop_all()


def shows(home: Path, wanted: str) -> bool:
    """Whether users feel it, or, of what is no fault, whether they feel nothing."""
    found = fault(wanted)
    running = record.read(home, wanted)
    if running is None:
        raise Failed(f"{wanted} does not run; start it: python -m shop.breaks start {wanted}")
    if found.shows is not None:
        return found.shows(home, running)
    url = _gateway(directory.read(home))
    if found.fault_free:
        before = Usual(running.usual.n_errors, max(running.usual.slowest_s, CALM_S))
        pause_s = users.CALM_PAUSE_S
        return not users.still_feel(url, found.errand, before, found.feel_s, pause_s=pause_s)
    return users.feel(url, found.errand, running.usual, found.feel_s, pause_s=users.PAUSE_S)


def _gateway(shop: Directory) -> str:
    if shop.gateway is None:
        raise Failed("this shop has no gateway, so nobody can feel anything; start all of it")
    return shop.gateway
