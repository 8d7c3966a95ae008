"""Settings of a section that come in a request: checked as those of the file are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import yaml

from watchkeeper.config import check, document
from watchkeeper.config.node import Fault, Faults, Node
from watchkeeper.config.sections import SECTIONS
from watchkeeper.errors import ConfigError

S = TypeVar("S", bound=msgspec.Struct)

MAX_BYTES: Final = 256 << 10
_BODY: Final = "body"
_DEEPEST: Final = 32


def read(section: str, body: bytes, media: str) -> msgspec.Struct:
    """The settings in a body, or a ConfigError with every fault. `media` is its content type."""
    one = SECTIONS[section]
    return built(one.type(), body, media, one.prove)


def built(kind: type[S], body: bytes, media: str, prove: Callable[[S], None]) -> S:
    """A body as settings of a kind, or a ConfigError with every fault; `prove` raises one where
    they are well-formed one by one, but not together."""
    faults: Faults = []
    node = _parsed(body, media, faults)
    settings = None
    if not faults:
        settings = check.build(kind, node, (), faults)
    if settings is not None:
        try:
            prove(settings)
        except ConfigError as error:
            faults += [Fault("", fault) for fault in error.faults]
    if settings is None or faults:
        raise ConfigError([str(fault) for fault in faults])
    return settings


def written(settings: msgspec.Struct) -> str:
    """Settings as JSON, whole, in an order that is always the same."""
    return json.dumps(msgspec.to_builtins(settings), sort_keys=True, ensure_ascii=False)


def _parsed(body: bytes, media: str, faults: Faults) -> Node:
    if len(body) > MAX_BYTES:
        faults.append(Fault("", f"has {len(body)} bytes; at most {MAX_BYTES} are taken", _BODY))
        return Node({}, _BODY)
    if "yaml" in media:
        return _of_yaml(body, faults)
    try:
        return _node(msgspec.json.decode(body), 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        faults.append(Fault("", f"is no JSON: {error}; send YAML as application/yaml", _BODY))
        return Node({}, _BODY)


def _of_yaml(body: bytes, faults: Faults) -> Node:
    """Without aliases, of which a short text can make a very long one, and without the variables
    of this server."""
    try:
        text = body.decode()
        fault = _unfit(text)
        if fault:
            faults.append(Fault("", fault, _BODY))
    except UnicodeDecodeError as error:
        faults.append(Fault("", f"is not UTF-8 (byte {error.start})", _BODY))
    except (yaml.YAMLError, RecursionError):
        pass  # to be told with its place
    return Node({}, _BODY) if faults else document.parse(text, _BODY, {}, faults)


def _unfit(text: str) -> str:
    """What is wrong with YAML before anything is made of it; empty if nothing is."""
    depth, is_empty = 0, True
    for event in yaml.parse(text):
        is_empty = is_empty and not isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            return "has an alias (*name); write out what it stands for"
        if depth > _DEEPEST:  # reading on would take time that grows with the square of it
            return f"is nested more than {_DEEPEST} deep"
    return "is empty; write {} if all is to be as by default" if is_empty else ""


def _node(value: Any, depth: int) -> Node:
    if depth > _DEEPEST:
        raise msgspec.DecodeError("nested too deep")
    if isinstance(value, dict):
        return Node({key: _node(child, depth + 1) for key, child in value.items()}, _BODY)
    if isinstance(value, list):
        return Node([_node(child, depth + 1) for child in value], _BODY)
    return Node(value, _BODY)
