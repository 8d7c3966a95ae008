"""Puts the configuration together: defaults < file < environment < flags; then checks it whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from watchkeeper import plugins
from watchkeeper.config import check, document
from watchkeeper.config import environment as variables
from watchkeeper.config.node import Environment, Fault, Faults, Node, dotted, merge, planted
from watchkeeper.config.parts import unfit
from watchkeeper.config.sections import ALIASES, SECTIONS, UNUSED, Chosen, Config, Section, Top
from watchkeeper.errors import ConfigError

SYSTEM_FILE: Final = Path("/etc/watchkeeper/watchkeeper.yaml")
LOCAL_FILE: Final = Path("watchkeeper.yaml")

_TOP: Final = frozenset(field.encode_name for field in msgspec.structs.fields(Top))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration, and how it came to be."""

    config: Config
    given: Node
    """What was given, by whom: everything else is a default."""
    file: Path | None

    def unused(self) -> dict[str, str]:
        """Given settings that are accepted and checked but that this version does nothing with;
        each with where it was given."""
        return {
            ".".join(path): leaf.origin
            for path, leaf in self.given.leaves()
            if path[0] in UNUSED and ".".join(path) not in ALIASES
        }


def load(
    file: Path | None = None,
    *,
    flags: Mapping[str, tuple[str, str]] | None = None,
    environment: Environment | None = None,
) -> Loaded:
    """The configuration, or a ConfigError with every fault.

    `flags` are path -> (value, the flag's name). Without a `file`, WATCHKEEPER_CONFIG names it,
    else it is watchkeeper.yaml here or in /etc/watchkeeper, else there is none.
    """
    seen = variables.environment() if environment is None else environment
    faults: Faults = []
    chosen = _find(file, seen)
    given = Node({}, "")
    if chosen is not None:
        given = document.read(chosen, seen, faults)
        if not given.is_mapping:
            faults.append(Fault("", "is no mapping; write `section:` lines", given.origin))
            given = Node({}, given.origin)
    given = merge(given, variables.settings(seen, _TOP, faults))
    for path, (value, name) in (flags or {}).items():
        leaf = variables.text_node(value, path, f"flag {name}", faults)
        given = merge(given, planted(tuple(path.split(".")), leaf))
    given = _with_aliases(given)
    config = _build(given, faults)
    if config is None:
        raise ConfigError([str(fault) for fault in _told_once(faults)])
    return Loaded(config, given, chosen)


def section(file: Path, name: str, *, environment: Environment | None = None) -> Any:
    """The settings of one section, or a ConfigError with every fault. The file is a configuration,
    of which only this counts, or holds nothing but what stands below `name:`."""
    seen = variables.environment() if environment is None else environment
    faults: Faults = []
    given = document.read(file, seen, faults)
    if given.is_mapping and not given.value.keys() & {*SECTIONS, *_TOP}:
        given = planted((name,), given)
    node = given.at((name,))
    if node is None and not faults:
        faults.append(Fault(name, f"is missing; write `{name}:` and its settings", given.origin))
    found = None if node is None else _section(name, SECTIONS[name], node, faults)
    if faults:
        raise ConfigError([str(fault) for fault in _told_once(faults)])
    return found


def _find(file: Path | None, seen: Environment) -> Path | None:
    if file is not None:
        return file
    named = variables.config_file(seen)
    if named is not None:
        return Path(named)
    return next((path for path in (LOCAL_FILE, SYSTEM_FILE) if path.is_file()), None)


def _with_aliases(given: Node) -> Node:
    for alias, target in ALIASES.items():
        leaf = given.at(tuple(alias.split(".")))
        path = tuple(target.split("."))
        if leaf is not None and given.at(path) is None:
            given = merge(given, planted(path, leaf))
    return given


def _told_once(faults: Faults) -> Faults:
    """Without those of a setting whose fault is that of the one which stands for it."""
    at = {(fault.path, fault.origin) for fault in faults}
    stood_for = {(target, origin) for alias, target in ALIASES.items()
                 for path, origin in at if path == alias}  # fmt: skip
    return [fault for fault in faults if (fault.path, fault.origin) not in stood_for]


def _build(given: Node, faults: Faults) -> Config | None:
    known = [*SECTIONS, *_TOP]
    for key, child in given.value.items():
        if key not in known:
            faults.append(Fault(key, check.unknown(key, known), child.origin))
    own = {key: child for key, child in given.value.items() if key in _TOP}
    top = check.build(Top, Node(own, given.origin), (), faults)
    built: dict[str, Any] = {} if top is None else msgspec.structs.asdict(top)
    for name, section in SECTIONS.items():
        node = given.at((name,)) or Node(None, "default")
        if node.value is None:
            node = Node({}, node.origin)
        built[name] = _section(name, section, node, faults)
    if faults:
        return None
    config = Config(**built)
    faults.extend(unfit(config, (given.at(("parts",)) or given).origin))
    return None if faults else config


def _section(name: str, section: Section, node: Node, faults: Faults) -> Any:
    if not section.kind:
        settings = check.build(section.type(), node, (name,), faults)
        if settings is not None:
            _prove(name, section, settings, faults)
        return settings
    if not node.is_mapping:
        remedy = f"`use: {section.use}` and its settings below it" if section.use else "its plugins"
        faults.append(Fault(name, f"is no mapping; write {remedy}", node.origin))
        return None
    if not section.use:
        return _each(name, section, node, faults)
    use, found = check.plugin(section.kind, node, (name,), faults, default=section.use)
    return None if found is None else Chosen(section.kind, use, found)


def _prove(name: str, section: Section, settings: msgspec.Struct, faults: Faults) -> None:
    try:
        section.prove(settings)
    except ConfigError as error:
        faults.extend(Fault("", fault) for fault in error.faults)


def _each(name: str, section: Section, node: Node, faults: Faults) -> dict[str, Chosen]:
    """All plugins of the kind, each with the settings under its name."""
    names = plugin_names(section)
    for key, child in node.value.items():
        if key not in names:
            faults.append(Fault(dotted((name, key)), check.unknown(key, names), child.origin))
    found = {}
    for use in names:
        child = node.value.get(use) or Node({}, "default")
        try:
            kind = section.type(use)
        except ConfigError as error:  # a plugin from outside that cannot be imported
            faults.extend(Fault("", fault) for fault in error.faults)
            continue
        settings = check.build(kind, child, (name, use), faults)
        if settings is not None:
            found[use] = Chosen(section.kind, use, settings)
    return found


def plugin_names(section: Section) -> list[str]:
    """What a section's `use` may be."""
    return sorted(plugins.known(section.kind))
