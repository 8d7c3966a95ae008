"""What a process needs to be less than the whole."""

from __future__ import annotations

from watchkeeper import plugins
from watchkeeper.config.node import Fault, Faults
from watchkeeper.config.sections import Config
from watchkeeper.model.part import EVERY, Part
from watchkeeper.store.base import SharedStore


def unfit(config: Config, origin: str) -> Faults:
    """Why a process cannot be just these parts; `origin` is where they were given."""
    parts = frozenset(config.parts)
    if parts == frozenset(EVERY):
        return []
    if not parts:
        return [Fault("parts", f"is empty; name any of {', '.join(EVERY)}", origin)]
    found = []
    named = ", ".join(part for part in EVERY if part in parts)
    if config.bus.use == "memory":
        found.append(
            f"a process that is {named} alone needs a bus between processes, and bus.use is "
            "'memory'; set it to redis, or leave `parts` out"
        )
    if not issubclass(plugins.load("store", config.store.use), SharedStore):
        found.append(
            f"a process that is {named} alone needs a store that all share, and store.use is "
            f"'{config.store.use}'; set it to postgres, or leave `parts` out"
        )
    if Part.API in parts and Part.STORE not in parts and not config.remote.url:
        found.append(
            "api without store has no telemetry of its own; set remote.url to the address of the "
            "process that is the store"
        )
    if config.share.url is not None and Part.STORE in parts and Part.DETECT not in parts:
        found.append(
            "store without detect cannot tell other programs what was learned; let one process be "
            "both, or leave share.url out"
        )
    return [Fault("parts", message, origin) for message in found]
