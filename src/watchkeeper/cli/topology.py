"""`watchkeeper topology`: who depends on whom, and what people say of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from watchkeeper import cli
from watchkeeper.cli import connection, numbers, times, words
from watchkeeper.cli.exits import MEANINGS, Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.clock import SystemClock
from watchkeeper.errors import ConfigError
from watchkeeper.sdk import Client, TopologySaid

_VERBS: Final = {
    "show": "Nodes and edges, as they are or were.",
    "said": "What people say of it, as it can be edited and set again.",
    "set": "Set what people say: owners, tiers, runbooks, edges that are not seen.",
}
_COLUMNS: Final = (
    Column("from"),
    Column("kind"),
    Column("to"),
    Column("what it is"),
    Column("calls", is_number=True),
    Column("errors", is_number=True),
    Column("known by"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    found = {}
    for name, says in _VERBS.items():
        verb = verbs.add_parser(
            name, help=says, description=says, epilog=MEANINGS, allow_abbrev=False
        )
        cli.add_everywhere(verb)
        connection.arguments(verb)
        found[name] = verb
    show = found["show"]
    show.add_argument("--service", metavar="NAME", help="only what is around this node")
    show.add_argument("--hops", type=numbers.whole(1), default=1, metavar="N", help="how far (1)")
    show.add_argument("--at", metavar="TIME", help=f"as it was: {times.EXAMPLES} (default: now)")
    found["set"].add_argument("file", help="YAML or JSON with `nodes` and `edges`; - reads it")
    found["set"].add_argument(
        "--expected", type=int, metavar="N", help="only if this version is in force"
    )
    found["set"].add_argument("--dry-run", action="store_true", help="only say what would change")


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    verbs = {"show": _show, "said": _said, "set": _set}
    with connection.connect(given) as client:
        return verbs[given.verb](given, client, output)


def _show(given: argparse.Namespace, client: Client, output: Output) -> int:
    now_ns = SystemClock().now_ns()
    at = times.time_s(given.at, "--at", now_ns=now_ns) if given.at else None
    found = client.topology(given.service, hops=given.hops, at=at)
    if output.as_json:
        output.json(found)
        return Exit.OK
    if not found.edges:
        output.say("nobody is known to depend on anybody; send spans, or set a topology")
        return Exit.OK
    kinds = {one.name: one.kind for one in found.nodes}
    rows = [
        (harmless(one.source), one.kind, harmless(one.target), kinds.get(one.target, "service"),
         words.number(one.calls), words.number(one.errors), one.origin)
        for one in found.edges
    ]  # fmt: skip
    output.table(_COLUMNS, rows)
    for node in found.nodes:
        told = [f"owner {node.owner}"] if node.owner else []
        told += [f"tier {node.tier}"] if node.tier else []
        told += node.runbooks
        if told:
            output.print(harmless(f"{node.name}: {', '.join(told)}"))
    return Exit.OK


def _said(given: argparse.Namespace, client: Client, output: Output) -> int:
    said = client.topology_said()
    if output.as_json:
        output.json(said)
        return Exit.OK
    since = "" if said.since is None else f", since {words.moment(said.since)} by {said.by}"
    output.say(harmless(f"version {said.version}{since}"))
    print(json.dumps(said.document, indent=2))
    return Exit.OK


def _set(given: argparse.Namespace, client: Client, output: Output) -> int:
    text = _text(given.file)
    said = client.set_topology(text, expected=given.expected, dry_run=given.dry_run)
    if output.as_json:
        output.json(said)
    else:
        _changed(said, output)
    return Exit.OK


def _changed(said: TopologySaid, output: Output) -> None:
    for one in said.changed:
        sign = "+" if one.before is None else "-" if one.after is None else "~"
        output.print(harmless(f"{sign} {one.path}"))
    what = "would change" if said.dry_run else "changed"
    stays = said.dry_run or not said.changed
    nothing = "" if said.changed else "nothing "
    output.say(f"{nothing}{what}; version {said.version}{' stays in force' if stays else ''}")


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; name a text file, or -") from error
