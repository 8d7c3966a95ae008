"""What is known of a fault that runs: a file of its own in the shop's home, as long as it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shop.breaks.users import Usual
from shop.effects import FOLDER, Effects


class Undo(msgspec.Struct, frozen=True):
    """One thing to do in the end."""

    verb: str
    given: Mapping[str, Any]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    intensity: float
    usual: Usual = Usual()
    """What users saw before."""
    effects: Effects = Effects()
    undo: Sequence[Undo] = ()
    """In the order of doing; undone in the other one."""


def file_of(home: Path, name: str) -> Path:
    return home.resolve() / FOLDER / f"{name}.json"


def write(record: Record, home: Path) -> None:
    """At once: nobody reads half of it."""
    file = file_of(home, record.name)
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    draft.replace(file)


def read(home: Path, name: str) -> Record | None:
    """None where that fault does not run."""
    try:
        return msgspec.json.decode(file_of(home, name).read_bytes(), type=Record)
    except FileNotFoundError:
        return None


def names(home: Path) -> list[str]:
    """Of all that run."""
    return sorted(file.stem for file in (home / FOLDER).glob("*.json"))
