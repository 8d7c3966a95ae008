"""Settings before they are checked: a tree of values that know where they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One value: a scalar, a list of nodes or a mapping of nodes."""

    value: Any
    origin: str
    """`watchkeeper.yaml:12`, `environment WATCHKEEPER_SERVER__PORT`, `flag --port`."""
    text: str | None = None
    """A scalar as it was written, where its type is open: 1.10 may be a number or a version."""

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    def plain(self) -> Any:
        """The values alone."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """Every value that is no mapping, with its path; a list is one value."""
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                yield from child.leaves((*path, key))
        else:
            yield path, self

    def at(self, path: Path) -> Node | None:
        """What lies at a path."""
        found: Node | None = self
        for key in path:
            if found is None or not found.is_mapping:
                return None
            found = found.value.get(key)
        return found


def planted(path: Path, leaf: Node) -> Node:
    """A tree with nothing but this leaf at this path."""
    for key in reversed(path):
        leaf = Node({key: leaf}, leaf.origin)
    return leaf


def merge(lower: Node, upper: Node) -> Node:
    """Both, where `upper` wins. Mappings are joined key by key; anything else is replaced."""
    if not (lower.is_mapping and upper.is_mapping):
        return upper
    joined: dict[str, Node] = dict(lower.value)
    for key, child in upper.value.items():
        joined[key] = merge(joined[key], child) if key in joined else child
    return Node(joined, upper.origin)


def dotted(path: Path) -> str:
    """A path as people write it: `lake.compact[0].rows`."""
    return ".".join(path).replace(".[", "[")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that the operator has to change."""

    path: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        named = f"{self.path}: {self.message}" if self.path else self.message
        return f"{named} ({self.origin})" if self.origin else named


Faults = list[Fault]
Environment = Mapping[str, str]
