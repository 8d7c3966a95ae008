"""`watchkeeper causes`: why something is the matter, with the evidence."""

from __future__ import annotations

import argparse
from typing import Final

from rich.text import Text

from watchkeeper.cli import connection, times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.clock import SystemClock
from watchkeeper.sdk import CauseFound, Causes

_COLUMNS: Final = (
    Column("cause"),
    Column("kind"),
    Column("probability", is_number=True),
    Column("evidence", may_shrink=True),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service",
        action="append",
        metavar="NAME",
        help="where it was felt; may be repeated (default: anywhere)",
    )
    parser.add_argument(
        "--at",
        metavar="TIME",
        help=f"when it began: {times.EXAMPLES} (default: with the oldest open anomaly)",
    )
    parser.add_argument("--until", metavar="TIME", help="how far to look (default: now)")
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    now_ns = SystemClock().now_ns()
    with connection.connect(given) as client:
        found = client.causes(
            given.service or (),
            at=times.time_s(given.at, "--at", now_ns=now_ns) if given.at else None,
            until=times.time_s(given.until, "--until", now_ns=now_ns) if given.until else None,
        )
    if output.as_json:
        output.json(found)
    else:
        _told(found, output)
    return Exit.OK


def _told(found: Causes, output: Output) -> None:
    since = f"since {words.moment(found.onset)} UTC"
    if found.root_cause is None:
        output.print(f"cause: unknown, {since}")
    else:
        output.print(harmless(
            f"cause: {found.root_cause.node}, {found.confidence:.0%} ({found.confidence_word}), "
            f"{since}"
        ))  # fmt: skip
    if found.affected:
        output.print(harmless(f"affected: {', '.join(found.affected)}"))
    if found.causes:
        output.table(_COLUMNS, [row for cause in found.causes for row in _rows(cause)])
    for one in found.ruled_out:
        output.say(harmless(f"ruled out {one.node}: {one.text}"))
    for missing in found.missing:
        output.say(harmless(f"missing for {missing}"))


def _rows(cause: CauseFound) -> list[tuple[str | Text, ...]]:
    """Its first line says who; then a line for each that was seen, for and against."""
    told: list[str | Text] = [harmless(one.text) for one in cause.evidence]
    told += [Text(f"against: {harmless(one.text)}", style="dim") for one in cause.against]
    first, *others = told or [""]
    head = (harmless(cause.node), cause.kind, f"{cause.probability:.0%}", first)
    return [head, *(("", "", "", other) for other in others)]
