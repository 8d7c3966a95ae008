"""Scenarios: what is broken, by which commands, and where the truth lies."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import yaml
from msgspec import Meta

from watchkeeper.errors import ConfigError

HOME: Final = "{home}"
INTENSITY: Final = "{intensity}"
PYTHON: Final = "{python}"
"""The interpreter that we are, with what is installed beside us."""
_COMMANDS: Final = ("start", "check", "stop")


class Truth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What really is the matter."""

    service: str | tuple[str, ...] = ()
    """Whose fault it is; empty where it is no service's."""
    kind: str = ""

    @property
    def services(self) -> tuple[str, ...]:
        if isinstance(self.service, str):
            return (self.service,) if self.service else ()
        return self.service


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is done to a system, and undone."""

    name: Annotated[str, Meta(min_length=1)]
    truth: Truth = Truth()
    start: str = ""
    """Breaks it. Status 0: done; 3: this machine lacks a means."""
    stop: str = ""
    """Mends it, whatever `start` came to; any number of times."""
    check: str = ""
    """Status 0: users feel it now; without it, nobody asks."""
    fault_free: bool = False
    """Nothing of it is a fault, so nothing of it may page."""
    hold_s: Annotated[float, Meta(gt=0)] = 60.0
    """How long it stays, from the end of `start` on."""
    intensity: tuple[float, float] = (1.0, 1.0)
    says: str = ""
    """What it is, for people."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    scenarios: list[Any]


def read(text: str, name: str) -> tuple[Scenario, ...]:
    """The scenarios of a file. Every fault is told at once."""
    try:
        listed = msgspec.convert(yaml.safe_load(text), _File).scenarios
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{name}: {said}; write `scenarios: [{{name: ...}}]`") from error
    faults: list[str] = []
    found: list[Scenario] = []
    for number, one in enumerate(listed):
        try:
            found.append(msgspec.convert(one, Scenario))
        except msgspec.ValidationError as error:
            faults.append(f"{name}: scenarios[{number}]: {error}")
    faults += [f"{name}: {fault}" for one in found for fault in _faults(one)]
    names = [one.name for one in found]
    faults += [
        f"{name}: two scenarios are called '{twice}'; give each a name of its own"
        for twice in sorted({one for one in names if names.count(one) > 1})
    ]
    if not listed:
        faults.append(f"{name}: no scenarios; list at least one")
    if faults:
        raise ConfigError(faults)
    return tuple(found)


def _faults(scenario: Scenario) -> list[str]:
    low, high = scenario.intensity
    found = []
    if not low <= high:
        found.append(
            f"intensity of '{scenario.name}' is [{low:g}, {high:g}]; the lower comes first"
        )
    if not scenario.fault_free and not scenario.start:
        found.append(f"'{scenario.name}' has no `start`; name one, or set `fault_free: true`")
    if scenario.start and not scenario.stop:
        found.append(f"'{scenario.name}' has no `stop`; name what undoes its `start`")
    for field in _COMMANDS:
        try:
            shlex.split(getattr(scenario, field))
        except ValueError as error:
            found.append(f"`{field}` of '{scenario.name}': {error}; see to its quotes")
    return found


def chosen(
    scenarios: Sequence[Scenario], names: Sequence[str], flag: str = "--only"
) -> tuple[Scenario, ...]:
    """Those that a flag names, or all."""
    known = {one.name for one in scenarios}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            [f"{flag}: no scenario '{name}'; known: {', '.join(sorted(known))}" for name in unknown]
        )
    return tuple(one for one in scenarios if not names or one.name in names)


def needs_home(scenarios: Sequence[Scenario]) -> bool:
    """Whether a command names the system's folder."""
    return any(HOME in getattr(one, field) for one in scenarios for field in _COMMANDS)


def words(command: str, intensity: float, home: str) -> tuple[str, ...]:
    """A command's words, filled in one by one: no shell reads them."""
    filled = []
    for word in shlex.split(command):
        for name, value in (
            (INTENSITY, f"{intensity:g}"), (PYTHON, sys.executable), (HOME, home),
        ):  # fmt: skip
            word = word.replace(name, value)
        filled.append(word)
    return tuple(filled)
