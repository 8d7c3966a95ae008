"""`watchkeeper templates`: what log lines have in common that differ in their values."""

from __future__ import annotations

import argparse
from typing import Final

from watchkeeper.cli import connection, numbers, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.sdk import LogTemplate

_LIMIT: Final = 50
_COLUMNS: Final = (
    Column("lines", is_number=True),
    Column("last seen (UTC)"),
    Column("service"),
    Column("template", may_shrink=True),
    Column("id"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", help="a part that the template must have")
    parser.add_argument("--service", metavar="NAME", help="of this service")
    parser.add_argument(
        "--limit",
        type=numbers.whole(1),
        default=_LIMIT,
        metavar="N",
        help=f"most frequent so many ({_LIMIT})",
    )
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with connection.connect(given) as client:
        found = client.log_templates(limit=given.limit, service=given.service, text=given.text)
    if output.as_json:
        output.json(found)
        return Exit.OK
    if not found.items:
        output.say("no templates; `watchkeeper sources` says who sends")
        return Exit.OK
    output.table(_COLUMNS, [_row(one) for one in found.items])
    if found.more:
        output.say(f"the most frequent {len(found.items)}; --limit prints more")
    return Exit.OK


def _row(one: LogTemplate) -> tuple[str, ...]:
    return (
        str(one.lines),
        words.moment(one.last_seen) if one.last_seen else "-",
        harmless(one.service) or "-",
        harmless(one.text),
        one.id or "-",
    )
