"""The process' environment. The only module that reads it.

`WATCHKEEPER_<SECTION>__<KEY>` sets a key of the configuration. A single underscore belongs to a
name, so what Kubernetes sets for a service called watchkeeper (WATCHKEEPER_PORT=tcp://...) is none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import yaml

from watchkeeper.config.node import Environment, Fault, Faults, Node, merge, planted
from watchkeeper.telemetry import Secret

PREFIX: Final = "WATCHKEEPER_"
DEFAULT_URL: Final = "http://127.0.0.1:8100"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Whom a command talks to, where its flags do not say."""

    url: str
    tenant: str | None
    api_key: Secret | None = None


def environment() -> Environment:
    """The variables of this process."""
    return os.environ


def client_settings(variables: Environment | None = None) -> ClientSettings:
    """From WATCHKEEPER_URL, WATCHKEEPER_TENANT and WATCHKEEPER_API_KEY."""
    found = os.environ if variables is None else variables
    api_key = found.get(f"{PREFIX}API_KEY")
    return ClientSettings(
        url=found.get(f"{PREFIX}URL") or DEFAULT_URL,
        tenant=found.get(f"{PREFIX}TENANT") or None,
        api_key=Secret(api_key) if api_key else None,
    )


def config_file(variables: Environment) -> str | None:
    """The file named by WATCHKEEPER_CONFIG."""
    return variables.get(f"{PREFIX}CONFIG") or None


def settings(variables: Environment, top: frozenset[str], faults: Faults) -> Node:
    """The keys that the environment sets; `top` are those outside of any section."""
    tree = Node({}, "environment")
    for name in sorted(variables):
        if not name.startswith(PREFIX):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if len(path) == 1 and path[0] not in top:
            continue
        origin = f"environment {name}"
        if "" in path:
            message = f"{name}: names no setting; write {PREFIX}SECTION__KEY"
            faults.append(Fault("", message))
            continue
        tree = merge(
            tree, planted(path, text_node(variables[name], ".".join(path), origin, faults))
        )
    return tree


def text_node(text: str, path: str, origin: str, faults: Faults) -> Node:
    """A value given as text: itself, or YAML if it is a list or mapping in brackets."""
    if not text.lstrip().startswith(("[", "{")):
        return Node(text, origin)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        faults.append(Fault(path, f"'{text[:80]}' is no list or mapping; write [a, b]", origin))
        return Node([], origin)
    return _node(value, origin)


def _node(value: object, origin: str) -> Node:
    if isinstance(value, dict):
        return Node({str(key): _node(child, origin) for key, child in value.items()}, origin)
    if isinstance(value, list):
        return Node([_node(child, origin) for child in value], origin)
    return Node(value, origin, text=None if value is None else str(value))
