"""`watchkeeper config`: check, show and describe the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from watchkeeper import cli
from watchkeeper.cli.exits import MEANINGS, Exit
from watchkeeper.cli.output import Column, Output
from watchkeeper.config import reference
from watchkeeper.config.loading import Loaded, load
from watchkeeper.config.schema import schema
from watchkeeper.errors import ConfigError

_FLAGS: Final = {"parts": "--only"}
"""Of settings whose flag has another name."""


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for name, says in (
        ("check", "Check a file, every fault at once, without starting anything."),
        ("show", "Print the configuration that would be used, secrets starred."),
        ("schema", "Print a JSON Schema, for editors."),
    ):
        verb = verbs.add_parser(
            name, help=says, description=says, epilog=MEANINGS, allow_abbrev=False
        )
        cli.add_everywhere(verb)
        if name != "schema":
            verb.add_argument("file", nargs="?", type=Path, help="the file (else as in `run`)")
            sources(verb)
        if name == "show":
            verb.add_argument(
                "--origin", action="store_true", help="say where each value came from"
            )


def sources(parser: argparse.ArgumentParser) -> None:
    """The flags by which any command that needs the configuration takes it."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the file (else WATCHKEEPER_CONFIG, ./watchkeeper.yaml, "
        "/etc/watchkeeper/watchkeeper.yaml)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set one key, such as server.port=8200; may be repeated",
    )


def loaded(given: argparse.Namespace, **flags: str | None) -> Loaded:
    """The configuration that the flags of `sources` name; `flags` are path -> value, with `__`
    for the dot."""
    chosen: dict[str, tuple[str, str]] = {}
    for setting in given.set:
        path, equals, value = setting.partition("=")
        if not (equals and path):
            raise ConfigError(f"--set: '{setting}' is no KEY=VALUE, such as server.port=8200")
        chosen[path] = (value, "--set")
    for name, flag_value in flags.items():
        if flag_value is not None:
            path = name.replace("__", ".")
            flag = _FLAGS.get(path) or f"--{path.rpartition('.')[2].replace('_', '-')}"
            chosen[path] = (flag_value, flag)
    file = getattr(given, "file", None) or given.config
    return load(file, flags=chosen)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    if given.verb == "schema":
        print(msgspec.json.format(msgspec.json.encode(schema(), enc_hook=str), indent=2).decode())
        return Exit.OK
    found = loaded(given)
    return _check(found, output) if given.verb == "check" else _show(found, given.origin, output)


def _check(found: Loaded, output: Output) -> int:
    unused = found.unused()
    if output.as_json:
        output.json({"file": found.file, "ok": True, "unused": unused})
        return Exit.OK
    output.print(f"{found.file or 'no file, defaults only'}: sound")
    if unused:
        output.print("accepted, not used by this version yet:")
        for group, keys in _grouped(unused).items():
            output.print(f"  {group}: {', '.join(keys)}")
    return Exit.OK


def _grouped(unused: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in unused:
        group, _, key = path.rpartition(".")
        groups.setdefault(group, []).append(key)
    return groups


def _show(found: Loaded, origin: bool, output: Output) -> int:
    values = reference.values(found)
    if output.as_json and origin:
        output.json({one.path: {"value": one.value, "origin": one.origin} for one in values})
    elif output.as_json:
        output.json(reference.tree(found))
    elif origin:
        columns = [Column("key"), Column("value", may_shrink=True), Column("from")]
        output.table(columns, [(one.path, _text(one.value), one.origin) for one in values])
    else:
        print(reference.to_yaml(found), end="")
    return Exit.OK


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
