"""Reads a YAML document into nodes: lines kept, `${VARIABLE}` filled in, faults collected."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from watchkeeper.config.node import Environment, Fault, Faults, Node, Path, dotted

_VARIABLE: Final = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MAX_DEPTH: Final = 32
"""Deeper than any setting; an anchor that contains itself ends here."""


def read(file: FilePath, environment: Environment, faults: Faults) -> Node:
    """The document in a file; what is wrong with it is added to `faults`."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        faults.append(Fault("", f"{file}: cannot be read: {error.strerror}; name another --config"))
        return Node({}, str(file))
    except UnicodeDecodeError as error:
        faults.append(Fault("", f"{file}: is not UTF-8 (byte {error.start}); save it as UTF-8"))
        return Node({}, str(file))
    return parse(text, str(file), environment, faults)


def parse(text: str, name: str, environment: Environment, faults: Faults) -> Node:
    """The document in a text; `name` stands in messages."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Node({}, name)
        return _Reader(loader, name, environment, faults).node(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "not understood"
        faults.append(Fault("", f"is no YAML: {problem}", f"{name}{line}"))
    except yaml.YAMLError as error:
        faults.append(Fault("", f"is no YAML: {' '.join(str(error).split())}", name))
    except RecursionError:
        faults.append(Fault("", "is no YAML that can be read: nested too deep", name))
    return Node({}, name)


class _Reader:
    """Turns YAML's nodes into ours."""

    def __init__(
        self, loader: yaml.SafeLoader, name: str, environment: Environment, faults: Faults
    ) -> None:
        self._loader = loader
        self._name = name
        self._environment = environment
        self._faults = faults

    def node(self, node: yaml.Node, path: Path) -> Node:
        origin = f"{self._name}:{node.start_mark.line + 1}"
        if len(path) > _MAX_DEPTH:
            self._fault(path, "is nested too deep; an anchor may contain itself", origin)
            return Node(None, origin)
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, path), origin)
        if isinstance(node, yaml.SequenceNode):
            children = [self.node(one, (*path, f"[{n}]")) for n, one in enumerate(node.value)]
            return Node(children, origin)
        return self._scalar(node, path, origin)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Node]:
        self._find_repeats(node, path)
        self._loader.flatten_mapping(node)  # `<<` is resolved; what is said here wins
        found: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)  # as written: `on` is a name here, and not True
            found[key] = self.node(value_node, (*path, key))
        return found

    def _find_repeats(self, node: yaml.MappingNode, path: Path) -> None:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(path, "has a key that is no text", f"{self._name}:{line}")
            elif key_node.value in lines:
                first = lines[key_node.value]
                self._fault(
                    (*path, key_node.value),
                    f"is given twice, first in line {first}; delete one",
                    f"{self._name}:{line}",
                )
            else:
                lines[key_node.value] = line

    def _scalar(self, node: yaml.Node, path: Path, origin: str) -> Node:
        written = str(node.value)
        n_faults = len(self._faults)
        filled = self._filled(written, path, origin)
        if len(self._faults) > n_faults:
            return Node(None, origin)  # as if not given: one fault is told once
        if filled != written:
            return Node(filled, origin)
        try:
            value: Any = self._loader.construct_object(node)
        except ValueError:  # looks like a date or a number and is none, as 2026-99-99
            value = written
        return Node(value, origin, text=written)

    def _filled(self, text: str, path: Path, origin: str) -> str:
        def fill(match: re.Match[str]) -> str:
            escaped, name, default = match.groups()
            if escaped:
                return match[0][1:]
            value = self._environment.get(name)
            if value or (value is not None and default is None):
                return value
            if default is None:
                remedy = f"set it, or write ${{{name}:-a default}}"
                self._fault(path, f"the environment variable {name} is not set; {remedy}", origin)
                return ""
            return str(default)

        return _VARIABLE.sub(fill, text)

    def _fault(self, path: Path, message: str, origin: str) -> None:
        self._faults.append(Fault(dotted(path), message, origin))
