"""What can be configured, and what was: names, types, defaults, texts, values, origins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from watchkeeper.config import check, units
from watchkeeper.config.loading import Loaded, plugin_names
from watchkeeper.config.node import dotted
from watchkeeper.config.sections import SECTIONS, UNUSED, Chosen, Config, Section, Top
from watchkeeper.config.texts import text_of
from watchkeeper.errors import ConfigError
from watchkeeper.telemetry import Secret

_REQUIRED: Final = "(required)"


class Key(NamedTuple):
    """One setting, as the reference tells it."""

    path: str
    type: str
    default: str
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """One setting of a loaded configuration, as `config show` tells it."""

    path: str
    value: Any
    """Fit for YAML and JSON; a secret is stars, a duration or size has its unit."""
    origin: str


def describe() -> list[Key]:
    """Every setting there is, in order. A plugin's settings name it in their text."""
    found = list(keys_of(Top, ""))
    for name, section in SECTIONS.items():
        if not section.kind:
            found.extend(keys_of(section.type(), f"{name}."))
            continue
        names = plugin_names(section)
        if not section.use:
            for use in names:
                found.extend(_plugin_keys(section, use, f"{name}.{use}"))
            continue
        found.append(Key(f"{name}.use", f"one of: {', '.join(names)}", section.use, section.text))
        for use in names:
            found.extend(
                key._replace(text=f"With `use: {use}`: {key.text}")
                for key in _plugin_keys(section, use, name)
            )
    return found


def values(loaded: Loaded) -> list[Value]:
    """The effective configuration, setting by setting."""
    found = []
    for path, value in _given_or_used(loaded):
        leaf = loaded.given.at(path)
        found.append(Value(dotted(path), value, "default" if leaf is None else leaf.origin))
    return found


def to_yaml(loaded: Loaded) -> str:
    """The effective configuration as a file."""
    return yaml.safe_dump(tree(loaded), sort_keys=False, allow_unicode=True)


def tree(loaded: Loaded) -> dict[str, Any]:
    """The effective configuration as a document that loads again (but for its secrets)."""
    whole: dict[str, Any] = {}
    for path, value in _given_or_used(loaded):
        place = whole
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return whole


def keys_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[Key]:
    """The settings of one type, those inside it included."""
    for field in msgspec.structs.fields(kind):
        path = f"{prefix}{field.encode_name}"
        struct = check.struct_in(field.type)
        if struct is not None:
            yield from keys_of(struct, f"{path}.")
        else:
            said = check.words(field.encode_name, field.type)
            yield Key(path, said, _default(field), text_of(kind, field))


def _plugin_keys(section: Section, use: str, name: str) -> Iterator[Key]:
    try:
        kind = section.type(use)
    except ConfigError:  # its package is not installed here
        return
    yield from keys_of(kind, f"{name}.")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        value = field.default
    elif field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    else:
        return _REQUIRED
    shown = shown_as(field.encode_name, field.type, value)
    return shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()


def _given_or_used(loaded: Loaded) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All settings, without the defaults of sections that nobody gave and nothing uses."""
    for path, value in _flat(loaded.config):
        if path[0] not in UNUSED or loaded.given.at(path[:1]) is not None:
            yield path, value


def _flat(config: Config) -> Iterator[tuple[tuple[str, ...], Any]]:
    for field in msgspec.structs.fields(Top):
        value = getattr(config, field.name)
        yield (field.encode_name,), shown_as(field.encode_name, field.type, value)
    for name in SECTIONS:
        section = getattr(config, name)
        if isinstance(section, Mapping):
            for use, chosen in section.items():
                yield from _flat_struct(chosen.settings, (name, use))
        elif isinstance(section, Chosen):
            yield (name, "use"), section.use
            yield from _flat_struct(section.settings, (name,))
        else:
            yield from _flat_struct(section, (name,))


def _flat_struct(
    struct: msgspec.Struct, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        here = (*path, field.encode_name)
        if isinstance(value, msgspec.Struct):
            yield from _flat_struct(value, here)
        else:
            yield here, shown_as(field.encode_name, field.type, value)


def shown_as(name: str, kind: Any, value: Any) -> Any:
    """A value as a file may hold it."""
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    unit = units.unit_of(name, kind)
    if unit and isinstance(value, int | float) and not isinstance(value, bool):
        return units.show(value, unit)
    if isinstance(value, list | tuple):
        of = check.element_of(kind)
        return [shown_as(name, of, one) for one in value]
    if isinstance(value, Mapping):
        of = check.element_of(kind)
        return {str(key): shown_as(name, of, one) for key, one in value.items()}
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: shown_as(field.encode_name, field.type, getattr(value, field.name))
            for field in msgspec.structs.fields(value)
        }
    return msgspec.to_builtins(value, enc_hook=str)
