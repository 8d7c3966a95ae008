"""Finds a store's SQL: named statements and numbered migrations, kept in files of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

_HEAD: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MIGRATION: Final = re.compile(r"(?P<number>\d{4})_(?P<when>pre|post)_(?P<name>\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. `pre`: the release before can run beside it; `post`: it cannot."""

    number: int
    when: str
    name: str
    script: str


@cache
def queries(package: str) -> Mapping[str, str]:
    """Name -> statement, of the package's `queries.sql`."""
    text = (resources.files(package) / "queries.sql").read_text(encoding="utf-8")
    pieces = _HEAD.split(text)
    return dict(zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True))


@cache
def migrations(package: str) -> tuple[Migration, ...]:
    """All of the package's `schema/`, in order of number."""
    found = []
    for file in (resources.files(package) / "schema").iterdir():
        match = _MIGRATION.fullmatch(file.name)
        if match:
            script = file.read_text(encoding="utf-8")
            found.append(Migration(int(match["number"]), match["when"], match["name"], script))
    return tuple(sorted(found, key=lambda migration: migration.number))
