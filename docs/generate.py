"""Write the reference pages that follow from the code; `make docs` runs it, a test compares.

Each page is a function from nothing to Markdown. Nothing here runs the product: settings come from
the types, commands from the parser, routes from the OpenAPI description, metrics from the source.
"""

from __future__ import annotations

import argparse
import ast
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper import cli, plugins
from watchkeeper.api.app import create_app
from watchkeeper.config import Config

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code. Change it there. -->\n"


# Settings.


def configuration() -> str:
    lines = [
        "# Configuration",
        NOTE,
        "One YAML file: `watchkeeper run --config watchkeeper.yaml`. `${NAME}` is replaced from the",
        "environment, `${NAME:-otherwise}` has a fallback. A key that is not listed here is an",
        "error, and every fault is reported at once. `watchkeeper config check` checks a file",
        "without starting, `config show` prints what would be used, and `config schema` prints a",
        "JSON schema for editors. Keys that choose a plugin take `use: <name>` and the settings that",
        "[the plugin](plugins.md) lists.",
    ]
    return "\n".join([*lines, "", *_section(Config, "")]) + "\n"


def setting_keys(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every key that a person may write, dotted."""
    for field in msgspec.structs.fields(struct):
        key = f"{prefix}{field.encode_name}"
        inner = _struct_of(field.type)
        if inner is None:
            yield key
        else:
            yield from setting_keys(inner, f"{key}.")


def _section(struct: type[msgspec.Struct], prefix: str) -> Iterator[str]:
    """A heading and a table per struct, the inner ones after their owner."""
    inner: list[tuple[str, type[msgspec.Struct]]] = []
    rows = []
    for field in msgspec.structs.fields(struct):
        key = f"{prefix}{field.encode_name}"
        owned = _struct_of(field.type)
        if owned is not None:
            inner.append((key, owned))
        else:
            rows.append(_setting(key, field))
    if prefix:
        yield f"## `{prefix.rstrip('.')}`"
        yield ""
        yield _first_paragraph(struct.__doc__)
        yield ""
    if rows:
        yield from _table(("key", "takes", "default", "meaning"), rows)
    for key, owned in inner:
        yield from _section(owned, f"{key}.")


def _setting(key: str, field: msgspec.structs.FieldInfo) -> tuple[str, str, str, str]:
    limits, meaning = _meta(field.type)
    takes = f"{_type_name(field.type)}{limits}"
    return f"`{key}`", takes, _default(field), meaning


def _struct_of(annotated: Any) -> type[msgspec.Struct] | None:
    plain = _plain(annotated)
    is_struct = isinstance(plain, type) and issubclass(plain, msgspec.Struct)
    return plain if is_struct else None


def _plain(annotated: Any) -> Any:
    while typing.get_origin(annotated) is typing.Annotated:
        annotated = typing.get_args(annotated)[0]
    return annotated


def _meta(annotated: Any) -> tuple[str, str]:
    """The bounds, as `>= 1`, and the description."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >="}
    metas = [m for m in getattr(annotated, "__metadata__", ()) if isinstance(m, msgspec.Meta)]
    bounds = [
        f"{sign} {getattr(meta, name)}"
        for meta in metas
        for name, sign in signs.items()
        if getattr(meta, name) is not None
    ]
    meaning = " ".join(meta.description for meta in metas if meta.description)
    return (f" {', '.join(bounds)}" if bounds else ""), meaning


def _type_name(annotated: Any) -> str:
    plain = _plain(annotated)
    origin, args = typing.get_origin(plain), typing.get_args(plain)
    if plain is type(None):
        return "null"
    if plain is Any:
        return "anything"
    if isinstance(plain, typing.NewType):
        return _type_name(plain.__supertype__)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(arg) for arg in args)
    if origin is typing.Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping of {_type_name(args[1])}"
    if origin is not None:
        return f"list of {_type_name(args[0])}"
    words = {str: "text", int: "integer", float: "number", bool: "true or false"}
    return words.get(plain, f"`{plain.__name__}`")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    else:
        value = field.default
    if value is msgspec.NODEFAULT:
        return "*required*"
    if isinstance(value, Path):
        value = str(value)
    return f"`{_cell(msgspec.json.encode(value).decode())}`"


# Plugins.


def plugin_table() -> str:
    lines = [
        "# Plugins",
        NOTE,
        "What `use: <name>` may say, by kind, and each one's own settings. A package of yours adds",
        "to a list through an entry point in the group `watchkeeper.<kind>`.",
        "",
    ]
    for kind, names in plugins.BUILTIN.items():
        lines += [f"## {kind}", ""]
        for name in names:
            plugin = plugins.load(kind, name)
            lines += [f"### `{name}`", "", _first_paragraph(plugin.__doc__), ""]
            settings = [_setting(f.encode_name, f) for f in msgspec.structs.fields(plugin.Config)]
            if settings:
                lines += _table(("setting", "takes", "default", "meaning"), settings)
    return "\n".join(lines).rstrip() + "\n"


# Commands.


def commands() -> str:
    parser = cli.build_parser()
    lines = ["# Commands", NOTE, _first_paragraph(parser.description), ""]
    lines += _options(parser)
    for path, command in each_command(parser):
        lines += [f"## `{path}`", "", _first_paragraph(command.description), ""]
        usage = " ".join(command.format_usage().removeprefix("usage: ").split())
        lines += [f"    {usage}", ""]
        lines += _options(command)
    return "\n".join(lines).rstrip() + "\n"


def each_command(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its full name, in the order of the help."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to walk a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield command.prog, command
                yield from each_command(command)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):  # noqa: SLF001
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
        default = action.default
        has_default = default not in (None, False, argparse.SUPPRESS, [], ())
        rows.append((names, f"`{default}`" if has_default else "", _cell(action.help or "")))
    return list(_table(("option", "default", "meaning"), rows)) if rows else []


# The HTTP API.


def api() -> str:
    lines = [
        "# HTTP API",
        NOTE,
        "The server describes itself at `/openapi.json`. Errors are `application/problem+json`,",
        "except where a protocol has its own words. Times are ISO 8601 or seconds since the epoch.",
        "",
    ]
    for method, path, operation in routes():
        lines += [f"## `{method} {path}`", ""]
        lines += [operation.get("description") or f"{operation['summary'].rstrip('.')}.", ""]
        rows = [_parameter(parameter) for parameter in operation.get("parameters", ())]
        if rows:
            lines += _table(("parameter", "in", "takes", "default", "meaning"), rows)
        answers = [
            (f"{code}", _cell(a["description"])) for code, a in operation["responses"].items()
        ]
        lines += _table(("answer", "when"), answers)
    return "\n".join(lines).rstrip() + "\n"


def routes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of everything that is served."""
    schema = create_app(typing.cast("Any", None)).openapi()
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            yield method.upper(), path, operation


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str, str, str]:
    schema = parameter["schema"]
    kinds = [part.get("type") or part.get("$ref", "").rsplit("/", 1)[-1]
             for part in schema.get("anyOf", [schema])]  # fmt: skip
    takes = " or ".join(kind for kind in kinds if kind != "null")
    default = f"`{schema['default']}`" if schema.get("default") is not None else ""
    required = "*required*" if parameter.get("required") else default
    meaning = _cell(parameter.get("description", ""))
    return f"`{parameter['name']}`", parameter["in"], takes, required, meaning


# Our own metrics.


def metrics() -> str:
    rows = [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), _cell(says))
        for name, kind, labels, says in sorted(own_metrics())
    ]
    lines = [
        "# Metrics of Watchkeeper itself",
        NOTE,
        "Served at `GET /metrics` in Prometheus' text format. Labels are bounded sets.",
        "",
        *_table(("metric", "type", "labels", "meaning"), rows),
    ]
    return "\n".join(lines).rstrip() + "\n"


def own_metrics() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """(name, type, labels, help) of every metric that the source defines through `telemetry`."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in _MAKERS:
                kind = ast.unparse(node.func).rsplit(".", 1)[-1]
                given = dict(zip(("name", "help", "labels"), node.args, strict=False))
                given |= {k.arg: k.value for k in node.keywords if k.arg in {"help", "labels"}}
                words = {key: ast.literal_eval(value) for key, value in given.items()}
                yield words["name"], kind, tuple(words.get("labels", ())), words["help"]


_MAKERS = {f"telemetry.{kind}" for kind in ("counter", "gauge", "histogram")}


# Markdown.


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").strip().split("\n\n")[0].split())


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "plugins.md": plugin_table,
    "commands.md": commands,
    "api.md": api,
    "metrics.md": metrics,
}


def main() -> int:
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
