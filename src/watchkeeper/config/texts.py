"""What a setting means, in its author's words: annotated to its type, or written below it."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache

import msgspec


def text_of(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> str:
    """One sentence or a few; empty if nobody wrote any."""
    for meta in getattr(field.type, "__metadata__", ()):
        if getattr(meta, "description", None):
            return str(meta.description)
    return _written_below(kind).get(field.name, "")


@cache
def _written_below(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """Field -> the string below it in the source, for a class and those that it derives from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one is not msgspec.Struct and issubclass(one, msgspec.Struct):
            found |= dict(_strings_below(_body(one)))
    return found


def _body(kind: type) -> list[ast.stmt]:
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError):  # made at run time, or shipped without its source
        return []
    return definition.body if isinstance(definition, ast.ClassDef) else []


def _strings_below(lines: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for line, below in itertools.pairwise(lines):
        text = _string(below)
        if text and isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            yield line.target.id, " ".join(text.split())


def _string(line: ast.stmt) -> str | None:
    if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
        value = line.value.value
        return value if isinstance(value, str) else None
    return None
