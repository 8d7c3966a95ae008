"""Checks nodes against the types of settings, and builds those; every fault, not only the first."""

from __future__ import annotations

import difflib
import enum
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from watchkeeper import plugins
from watchkeeper.config import units
from watchkeeper.config.node import Fault, Faults, Node, Path, dotted
from watchkeeper.errors import ConfigError
from watchkeeper.telemetry import Secret

S = TypeVar("S", bound=msgspec.Struct)

_LISTS: Final = (list, tuple, Sequence, frozenset, set)
_MAPPINGS: Final = (dict, Mapping)
_FAILED: Final = object()


def build(kind: type[S], node: Node, path: Path, faults: Faults) -> S | None:
    """The settings of type `kind` in a node; None if there were faults, which are added."""
    built = _struct(kind, node, path, faults)
    return None if built is _FAILED else built


def plugin(
    kind: str, node: Node, path: Path, faults: Faults, *, default: str = ""
) -> tuple[str, msgspec.Struct | None]:
    """The plugin that a node chooses by `use`, and its settings; None if there were faults."""
    settings = dict(node.value)
    use = settings.pop("use", None) or Node(default, node.origin)
    name = str(use.value)
    try:
        plugin_settings: type[msgspec.Struct] = plugins.load(kind, name).Config
    except ConfigError as error:
        message = str(error).removeprefix(f"{kind}: ")
        if not name:
            message = f"is missing; known: {', '.join(sorted(plugins.known(kind)))}"
        faults.append(Fault(dotted((*path, "use")), message, use.origin))
        return name, None
    return name, build(plugin_settings, Node(settings, node.origin), path, faults)


def plugins_of(kind: Any) -> str:
    """The kind of plugins that a setting lists (`Meta(extra={"plugins": ...})`); else empty."""
    for meta in getattr(kind, "__metadata__", ()):
        named = (getattr(meta, "extra", None) or {}).get("plugins")
        if isinstance(named, str):
            return named
    return ""


def unknown(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is not there."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    if near:
        return f"unknown key; did you mean '{near[0]}'?"
    return f"unknown key; known here: {', '.join(names)}"


def words(name: str, kind: Any) -> str:
    """What a setting's value must be, in words."""
    unit = units.unit_of(name, kind)
    base, limits = bare(kind), _limits(kind)
    if unit and base in (int, float):
        return ", ".join(filter(None, (units.WORDS[unit], limits)))
    return " ".join(filter(None, (_words(base), limits)))


def members(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the type alone; without None."""
    plain = bare(kind)
    if get_origin(plain) in (Union, types.UnionType):
        return tuple(one for one in get_args(plain) if one is not type(None))
    return (kind,)


def bare(kind: Any) -> Any:
    """A type without what is annotated to it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def takes_none(kind: Any) -> bool:
    """Whether None is a value of its own here."""
    return type(None) in get_args(bare(kind))


def struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The settings type in `X` or `X | None`."""
    found = [bare(one) for one in members(kind)]
    if len(found) == 1 and isinstance(found[0], type) and issubclass(found[0], msgspec.Struct):
        return found[0]
    return None


def is_list(kind: Any) -> bool:
    """Whether it is a list, tuple or set of something."""
    return get_origin(kind) in _LISTS


def is_mapping(kind: Any) -> bool:
    """Whether it is a mapping to something, with keys that the operator chooses."""
    return get_origin(kind) in _MAPPINGS


def element_of(kind: Any) -> Any:
    """The type of what a list or mapping holds."""
    for one in members(kind):
        plain = bare(one)
        if is_list(plain):
            return get_args(plain)[0]
        if is_mapping(plain):
            return get_args(plain)[1]
    return Any


def _struct(kind: type[msgspec.Struct], node: Node, path: Path, faults: Faults) -> Any:
    if not node.is_mapping:
        faults.append(Fault(dotted(path), "is no mapping; write `key: value` lines", node.origin))
        return _FAILED
    before = len(faults)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values = {}
    for key, child in node.value.items():
        field = fields.get(key)
        if field is None:
            faults.append(Fault(dotted((*path, key)), unknown(key, fields), child.origin))
        elif child.value is not None or takes_none(field.type):  # `key:` alone gives nothing
            values[field.name] = _value(field.type, key, child, (*path, key), faults)
    for key, field in fields.items():
        if field.required and field.name not in values:
            message = f"is missing; give {words(key, field.type)}"
            faults.append(Fault(dotted((*path, key)), message, node.origin))
    if len(faults) > before:
        return _FAILED
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:  # a rule between fields, said by the type itself
        faults.append(Fault(dotted(path), str(error), node.origin))
        return _FAILED


def _value(kind: Any, name: str, node: Node, path: Path, faults: Faults) -> Any:
    listed = plugins_of(kind)
    if listed and isinstance(node.value, list):
        return _plugins(listed, node, path, faults)
    struct = struct_in(kind)
    if struct is not None and node.value is not None:
        return _struct(struct, node, path, faults)
    for one in members(kind):
        plain = bare(one)
        if is_list(plain) and isinstance(node.value, list):
            return _sequence(one, name, node, path, faults)
        if is_mapping(plain) and node.is_mapping:
            return _table(one, name, node, path, faults)
    return _leaf(kind, name, node, path, faults)


def _sequence(kind: Any, name: str, node: Node, path: Path, faults: Faults) -> Any:
    plain = bare(kind)
    of = get_args(plain)[0]
    before = len(faults)
    if _is_mislong(kind, node, path, faults):
        return _FAILED
    children = [
        _value(of, name, child, (*path, f"[{n}]"), faults) for n, child in enumerate(node.value)
    ]
    if len(faults) > before:
        return _FAILED
    origin: Any = get_origin(plain)
    return tuple(children) if origin is Sequence else origin(children)


def _plugins(kind: str, node: Node, path: Path, faults: Faults) -> Any:
    """A list of `{use: name, ...}`, each checked as what it uses; still mappings afterwards."""
    before = len(faults)
    found = []
    for number, child in enumerate(node.value):
        here = (*path, f"[{number}]")
        if not child.is_mapping:
            names = ", ".join(sorted(plugins.known(kind)))
            message = f"is no mapping; write `use: <name>`, known: {names}"
            faults.append(Fault(dotted(here), message, child.origin))
            continue
        use, settings = plugin(kind, child, here, faults)
        if settings is not None:
            given = {field.encode_name: getattr(settings, field.name)
                     for field in msgspec.structs.fields(settings)
                     if field.encode_name in child.value}  # fmt: skip
            found.append({"use": use, **given})
    return _FAILED if len(faults) > before else found


def _table(kind: Any, name: str, node: Node, path: Path, faults: Faults) -> Any:
    of = get_args(bare(kind))[1]
    before = len(faults)
    if _is_mislong(kind, node, path, faults):
        return _FAILED
    children = {
        key: _value(of, name, child, (*path, key), faults) for key, child in node.value.items()
    }
    return _FAILED if len(faults) > before else children


def _is_mislong(kind: Any, node: Node, path: Path, faults: Faults) -> bool:
    """Whether a list or mapping holds fewer or more than it may; that fault is added."""
    for meta in getattr(kind, "__metadata__", ()):
        least, most = meta.min_length or 0, meta.max_length
        if len(node.value) < least or (most is not None and len(node.value) > most):
            message = f"holds {len(node.value)}; it must be {_limits(kind)}"
            faults.append(Fault(dotted(path), message, node.origin))
            return True
    return False


def _leaf(kind: Any, name: str, node: Node, path: Path, faults: Faults) -> Any:
    for attempt in _attempts(kind, name, node):
        try:
            value = plugins.converted(attempt, kind)
        except msgspec.ValidationError:
            continue
        if not _is_beyond(value):
            return value
    shown = "the value" if _is_secret(kind) else _quoted(node)
    faults.append(Fault(dotted(path), f"{shown} is not {words(name, kind)}", node.origin))
    return _FAILED


def _attempts(kind: Any, name: str, node: Node) -> Iterable[Any]:
    """The readings of a scalar, likeliest first."""
    unit = units.unit_of(name, kind)
    if unit and isinstance(node.value, str):
        number = units.parse(node.value, unit)
        if number is not None:
            yield number
    # A boolean is no number here, although Python and msgspec would let it pass as one.
    if not (isinstance(node.value, bool) and not _takes_bool(kind)):
        yield node.plain()
    if node.text is not None:
        yield node.text


def _is_beyond(value: Any) -> bool:
    """Whether no clock, file or table could hold this number."""
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and abs(value) >= 2**63


def _takes_bool(kind: Any) -> bool:
    return any(bare(one) in (bool, Any, object) for one in members(kind))


def _is_secret(kind: Any) -> bool:
    return any(bare(one) is Secret for one in members(kind))


def _quoted(node: Node) -> str:
    if node.is_mapping:
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    said = node.text if node.text is not None else str(node.value)
    return f"'{said[:80]}'"


_NAMES: Final[Mapping[Any, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Secret: "a secret text",
    FilePath: "a path",
    Any: "any value",
}


def _words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return "one of: " + ", ".join(str(one) for one in get_args(kind))
    if origin in (Union, types.UnionType):
        return " or ".join(words("", one) for one in members(kind))
    if is_list(kind):
        return f"a list, each {words('', get_args(kind)[0])}"
    if is_mapping(kind):
        return f"a mapping, each value {words('', get_args(kind)[1])}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of: " + ", ".join(str(one.value) for one in kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "a mapping"
    supertype = getattr(kind, "__supertype__", None)
    return _words(supertype) if supertype else _NAMES.get(kind, str(kind))


def _limits(kind: Any) -> str:
    said = []
    for meta in getattr(kind, "__metadata__", ()):
        for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            bound = getattr(meta, name, None)
            if bound is not None:
                said.append(f"{sign} {bound:g}" if isinstance(bound, float) else f"{sign} {bound}")
        if getattr(meta, "min_length", None):
            said.append(f"of length >= {meta.min_length}")
        if getattr(meta, "max_length", None) is not None:
            said.append(f"of length <= {meta.max_length}")
        if getattr(meta, "pattern", None):
            said.append(f"like {meta.pattern}")
    return " and ".join(said)
