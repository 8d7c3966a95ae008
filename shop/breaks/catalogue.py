"""All faults there are, and how a list of scenarios names them."""

from __future__ import annotations

from typing import Any

from shop.breaks.families import (
    cache,
    calm,
    clock,
    compound,
    cpu,
    database,
    endpoints,
    load,
    memory,
    network,
    processes,
    releases,
    third_party,
    wrong,
)
from shop.breaks.fault import Fault
from shop.breaks.processes import Failed

FAULTS: tuple[Fault, ...] = (
    *endpoints.FAULTS,
    *wrong.FAULTS,
    *processes.FAULTS,
    *cpu.FAULTS,
    *memory.FAULTS,
    *database.FAULTS,
    *cache.FAULTS,
    *network.FAULTS,
    *releases.FAULTS,
    *load.FAULTS,
    *clock.FAULTS,
    *third_party.FAULTS,
    *compound.FAULTS,
    *calm.FAULTS,
)


def fault(name: str) -> Fault:
    for one in FAULTS:
        if one.name == name:
            return one
    raise Failed(f"no fault is called '{name}': {', '.join(one.name for one in FAULTS)}")


def scenario(one: Fault) -> dict[str, Any]:
    """What `watchkeeper evaluate` has to know of it."""
    command = f"{{{{python}}}} -m shop.breaks {{verb}} {one.name} --home {{{{home}}}}"
    return {
        "name": one.name,
        "says": one.says,
        "truth": {
            "service": one.services[0] if len(one.services) == 1 else list(one.services),
            "kind": one.kind,
        },
        "start": command.format(verb="start") + " --intensity {intensity}",
        "check": command.format(verb="check"),
        "stop": command.format(verb="stop"),
        "fault_free": one.fault_free,
        "hold_s": one.hold_s,
        "intensity": [0.0, 1.0],
    }
