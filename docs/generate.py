"""Write the reference pages that follow from the code; `make docs` runs it, a test compares.

Each page is a function from nothing to Markdown. Nothing here runs the product: settings come from
the types, commands from the parser, routes from the OpenAPI description, metrics from the source.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import watchkeeper
from watchkeeper import cli, plugins, telemetry
from watchkeeper.api.app import described
from watchkeeper.config import reference
from watchkeeper.config.sections import ALIASES, SECTIONS, UNUSED

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from the code. Change it there. -->\n"


# Settings.


def configuration() -> str:
    lines = [
        "# Configuration",
        NOTE,
        "One YAML file: `watchkeeper run --config watchkeeper.yaml`. `${NAME}` is replaced from",
        "the environment, `${NAME:-otherwise}` has a fallback. A key that is not listed here is",
        "an error, and every fault is reported at once. `WATCHKEEPER_SECTION__KEY` in the",
        "environment sets a key, too, and `--set section.key=value` goes before both.",
        "`watchkeeper config check` checks a file without starting, `config show` prints what",
        "would be used, and `config schema` prints a JSON schema for editors.",
        "",
    ]
    for section, keys in groupby(reference.describe(), key=lambda key: key.path.partition(".")[0]):
        rows = [(f"`{k.path}`", _cell(k.type), _code(k.default), _cell(k.text)) for k in keys]
        lines += [f"## {section}", ""]
        if section in SECTIONS:
            lines += [SECTIONS[section].text, ""]
        if section in UNUSED:
            used = [key for key in ALIASES if key.startswith(f"{section}.")]
            lines += [
                f"Accepted and checked; this version acts on nothing of it but {_codes(used)}.",
                "",
            ]
        lines += _table(("key", "takes", "default", "meaning"), rows)
    return "\n".join(lines).rstrip() + "\n"


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
            module = importlib.import_module(plugin.__module__)
            lines += [f"### `{name}`", "", (module.__doc__ or "").strip(), ""]
            settings = [
                (f"`{key.path}`", _cell(key.type), _code(key.default), _cell(key.text))
                for key in reference.keys_of(plugin.Config)
            ]
            if settings:
                lines += _table(("setting", "takes", "default", "meaning"), settings)
    return "\n".join(lines).rstrip() + "\n"


# Commands.


def commands() -> str:
    parser = cli.build_parser()
    lines = ["# Commands", NOTE, _first_paragraph(parser.description), ""]
    lines += [f"{(parser.epilog or '').strip().capitalize()}.", ""]
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


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a person may give it; neither --help nor its commands."""
    skipped = argparse._HelpAction | argparse._SubParsersAction  # noqa: SLF001
    return [action for action in parser._actions if not isinstance(action, skipped)]  # noqa: SLF001


def _options(parser: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in arguments_of(parser):
        names = _codes(action.option_strings) or f"`{action.metavar or action.dest}`"
        has_default = action.default not in (None, False, argparse.SUPPRESS, [], ())
        rows.append((names, f"`{action.default}`" if has_default else "", _cell(action.help or "")))
    return list(_table(("option", "default", "meaning"), rows)) if rows else []


# The HTTP API.


def api() -> str:
    lines = [
        "# HTTP API",
        NOTE,
        "The server describes itself at `/openapi.json`. Errors are `application/problem+json`,",
        "except where a protocol has its own words: 400 for what cannot be understood, 404 for",
        "what is not there, 413 and 415 for what is too large or in no form we speak, 401 and 403",
        "for who is not known or not permitted, 429 for who is over their limit, 503 with",
        "`Retry-After` for what cannot be done now. Times are ISO 8601 or seconds since the epoch.",
        "",
    ]
    schema = described().openapi()
    for method, path, operation in routes():
        lines += [f"## `{method} {path}`", ""]
        lines += [operation.get("description") or f"{operation['summary'].rstrip('.')}.", ""]
        lines += [f"Needs {operation['x-needs'].replace('nothing', 'no key')}.", ""]
        rows = [_parameter(one, schema) for one in operation.get("parameters", ())]
        if rows:
            lines += _table(("parameter", "in", "takes", "default", "meaning"), rows)
        said = {
            code: _cell(answer["description"]) for code, answer in operation["responses"].items()
        }
        answers = [(code, text) for code, text in said.items() if text not in _UNSAID]
        if answers:
            lines += _table(("answer", "when"), answers)
    return "\n".join(lines).rstrip() + "\n"


_UNSAID = {"Successful Response", "Validation Error"}
"""What FastAPI says where the route says nothing."""


def routes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of everything that is served."""
    schema = described().openapi()
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            yield method.upper(), path, operation


def _parameter(parameter: dict[str, Any], whole: dict[str, Any]) -> tuple[str, ...]:
    schema = parameter["schema"]
    kinds = [_kind(part, whole) for part in schema.get("anyOf", [schema])]
    takes = " or ".join(kind for kind in kinds if kind != "null")
    default = f"`{schema['default']}`" if schema.get("default") else ""
    required = "*required*" if parameter.get("required") else default
    meaning = _cell(parameter.get("description", ""))
    return f"`{parameter['name']}`", parameter["in"], takes, required, meaning


def _kind(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return _codes(whole["components"]["schemas"][name]["enum"])
    bounds = [f"{s} {schema[k]}" for k, s in (("minimum", ">="), ("maximum", "<=")) if k in schema]
    return " ".join([str(schema.get("type", "")), ", ".join(bounds)]).strip()


# Our own metrics.


def metrics() -> str:
    rows = [
        (f"`{metric.name}`", metric.kind, _codes(metric.labels), _cell(metric.description))
        for metric in own_metrics()
    ]
    lines = [
        "# Metrics of Watchkeeper itself",
        NOTE,
        "Served at `GET /metrics` in Prometheus' text format. Labels are bounded sets.",
        "",
        *_table(("metric", "type", "labels", "meaning"), rows),
    ]
    return "\n".join(lines).rstrip() + "\n"


def own_metrics() -> list[telemetry.Metric]:
    """Every metric that any module registers, by name."""
    for module in pkgutil.walk_packages(watchkeeper.__path__, "watchkeeper."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    mine = (m for m in telemetry.metrics() if not m.name.startswith("watchkeeper_test_"))
    return sorted(mine, key=lambda metric: metric.name)


# Markdown.


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


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
