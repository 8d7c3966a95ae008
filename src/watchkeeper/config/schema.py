"""JSON Schema of the configuration file, for editors that complete and check while one types.

Our own and not msgspec's, because durations and sizes may be written as text here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from watchkeeper.config import check, units
from watchkeeper.config.loading import plugin_names
from watchkeeper.config.reference import shown_as
from watchkeeper.config.sections import SECTIONS, Section, Top
from watchkeeper.config.texts import text_of
from watchkeeper.errors import ConfigError
from watchkeeper.telemetry import Secret

_TYPES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    Secret: "string",
    Path: "string",
}
_BOUNDS: Final = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_COUNTED: Final = {"array": "Items", "object": "Properties"}
"""What the length of these is the number of."""


def schema() -> dict[str, Any]:
    """The whole file."""
    properties: dict[str, Any] = dict(of_struct(Top)["properties"])
    for name, section in SECTIONS.items():
        if section.kind and not section.use:
            every = {one["properties"].pop("use")["const"]: one for one in _choices(section)}
            properties[name] = {"description": section.text, "type": "object",
                                "additionalProperties": False, "properties": every}  # fmt: skip
        elif section.kind:
            properties[name] = {"description": section.text, "anyOf": list(_choices(section))}
        else:
            properties[name] = {"description": section.text, **of_struct(section.type())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Watchkeeper's configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _choices(section: Section) -> Iterator[dict[str, Any]]:
    """One alternative for each plugin that is installed."""
    for use in plugin_names(section):
        try:
            found = of_struct(section.type(use))
        except ConfigError:
            continue
        found["properties"] = {"use": {"const": use}, **found["properties"]}
        if section.use and use != section.use:
            found["required"] = ["use", *found.get("required", ())]
        yield found


def of_struct(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """One settings type."""
    fields = msgspec.structs.fields(kind)
    required = [field.encode_name for field in fields if field.required]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.encode_name: _property(kind, field) for field in fields},
        **({"required": required} if required else {}),
    }


def _property(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if text_of(kind, field):
        found["description"] = text_of(kind, field)
    if field.default is not msgspec.NODEFAULT:
        found["default"] = shown_as(field.encode_name, field.type, field.default)
    return {**found, **_value(field.encode_name, field.type)}


def _value(name: str, kind: Any) -> dict[str, Any]:
    alternatives = [_one(name, one) for one in check.members(kind)]
    if check.takes_none(kind):
        alternatives.append({"type": "null"})
    found = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    unit = units.unit_of(name, kind)
    if unit is None or not _is_number(kind):
        return {**found, **_bounds(kind, str(found.get("type")))}
    text = {"type": "string", "description": units.WORDS[unit]}
    return {"anyOf": [{**found, **_bounds(kind, str(found.get("type")))}, text]}


def _one(name: str, kind: Any) -> dict[str, Any]:
    bare = check.bare(kind)
    struct = check.struct_in(bare)
    if struct is not None:
        return of_struct(struct)
    if get_origin(bare) is Literal:
        return {"enum": list(get_args(bare))}
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return {"enum": [one.value for one in bare]}
    if check.is_list(bare):
        return {"type": "array", "items": _value(name, check.element_of(bare))}
    if check.is_mapping(bare):
        of = _value(name, check.element_of(bare))
        return {"type": "object", "additionalProperties": of}
    supertype = getattr(bare, "__supertype__", None)
    if supertype is not None:
        return _one(name, supertype)
    return {"type": _TYPES[bare]} if bare in _TYPES else {}


def _is_number(kind: Any) -> bool:
    return all(check.bare(one) in (int, float) for one in check.members(kind))


def _bounds(kind: Any, of: str) -> dict[str, Any]:
    return {
        said.replace("Length", _COUNTED.get(of, "Length")): getattr(meta, name)
        for meta in getattr(kind, "__metadata__", ())
        for name, said in _BOUNDS.items()
        if getattr(meta, name, None) is not None
    }
