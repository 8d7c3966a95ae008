"""`watchkeeper maintenance`: let detection be quiet for a while, end that early, list."""

from __future__ import annotations

import argparse

from watchkeeper import cli
from watchkeeper.cli import connection
from watchkeeper.cli.exits import MEANINGS, Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.errors import ConfigError
from watchkeeper.sdk import MaintenanceWindow


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    found = {}
    for name, says in {
        "add": "Begin a window now, or later: what begins within it wakes nobody.",
        "end": "End a window early.",
        "list": "Those that are not over.",
    }.items():
        verb = verbs.add_parser(
            name, help=says, description=says, epilog=MEANINGS, allow_abbrev=False
        )
        cli.add_everywhere(verb)
        connection.arguments(verb)
        found[name] = verb
    add = found["add"]
    add.add_argument("duration", help="how long: 30m, 2h, 1d")
    add.add_argument(
        "--match",
        action="append",
        metavar="NAME=VALUE",
        help="only what has this, such as service=shop; may be repeated (default: everything)",
    )
    add.add_argument("--reason", default="maintenance", help="what anomalies say of it")
    add.add_argument("--start", metavar="TIME", help="when it begins (default: now)")
    found["end"].add_argument("id", help="as `maintenance list` shows it")
    found["list"].add_argument("--over", action="store_true", help="those that are over, too")


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with connection.connect(given) as client:
        if given.verb == "list":
            return _listed(client.maintenance(over=given.over), output)
        if given.verb == "end":
            window = client.end_maintenance(given.id)
        else:
            window = client.add_maintenance(
                _match(given.match or ()), given.duration, reason=given.reason, start=given.start
            )
    if output.as_json:
        output.json(window)
    else:
        output.print(f"window {window.id}: {_of(window)}, from {window.from_} to {window.to}")
    return Exit.OK


def _listed(found: tuple[MaintenanceWindow, ...], output: Output) -> int:
    if output.as_json:
        output.json({"items": found})
    elif found:
        columns = [Column("id"), Column("of", may_shrink=True), Column("from"), Column("to"),
                   Column("now"), Column("reason", may_shrink=True), Column("by")]  # fmt: skip
        output.table(columns, [_row(one) for one in found])
    else:
        output.say("no maintenance windows")
    return Exit.OK


def _row(window: MaintenanceWindow) -> list[str]:
    weekly = window.weekly and f"{window.weekly} ({window.time_zone})"
    return [
        window.id or "(settings)",
        _of(window),
        weekly or window.from_ or "",
        "every week" if weekly else window.to or "",
        "holds" if window.holds else "",
        harmless(window.reason),
        harmless(window.by),
    ]


def _of(window: MaintenanceWindow) -> str:
    said = ", ".join(f"{name}={value}" for name, value in window.match.items())
    return harmless(said) or "everything"


def _match(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise ConfigError(f"--match: '{pair}' names no label; write service=shop")
        found[name] = value
    return found
