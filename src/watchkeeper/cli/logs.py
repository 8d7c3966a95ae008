"""`watchkeeper logs`: search log lines."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from rich.text import Text

from watchkeeper.cli import connection, numbers, times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output, harmless
from watchkeeper.clock import SystemClock
from watchkeeper.sdk import FoundLine

_LIMIT: Final = 100
_STYLES: Final[Mapping[str, str]] = {
    "fatal": "bold red",
    "error": "red",
    "warn": "yellow",
    "debug": "dim",
    "trace": "dim",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "text", nargs="*", help='words that must all occur; "phrases" in double quotes as they are'
    )
    parser.add_argument("--contains", metavar="PART", help="what must occur as it is, anywhere")
    parser.add_argument("--query", metavar="SELECTOR", help='labels: {service="shop"}')
    parser.add_argument("--level", metavar="WORD", help="at least so grave: warn, error ...")
    parser.add_argument("--template", metavar="ID", help="only lines of this template")
    parser.add_argument("--trace", metavar="ID", help="only lines of this trace")
    parser.add_argument("--since", metavar="TIME", help="1h (ago; the default), a date ...")
    parser.add_argument("--until", metavar="TIME", help="before: 5m (ago), a date ... (now)")
    parser.add_argument(
        "--limit",
        type=numbers.whole(1),
        default=_LIMIT,
        metavar="N",
        help=f"newest so many ({_LIMIT})",
    )
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    now_ns = SystemClock().now_ns()
    with connection.connect(given) as client:
        page = client.logs(
            limit=given.limit,
            text=" ".join(given.text) or None,
            contains=given.contains,
            query=given.query,
            level=given.level,
            template=given.template,
            trace_id=given.trace,
            start=times.time_s(given.since or "1h", "--since", now_ns=now_ns),
            end=times.time_s(given.until, "--until", now_ns=now_ns) if given.until else None,
        )
    if output.as_json:
        output.json(page)
        return Exit.OK
    for line in reversed(page.items):  # as they were written: the newest where one looks first
        output.print(_line(line))
    if not page.items:
        output.say("no lines; --since looks further back")
    elif page.cursor is not None:
        output.say(f"the newest {len(page.items)}; --limit prints more")
    return Exit.OK


def _line(line: FoundLine) -> Text:
    return Text.assemble(
        (words.moment(line.time), "dim"),
        "  ",
        (f"{line.severity:<5}", _STYLES.get(line.severity, "")),
        "  ",
        (harmless(line.service) or "-", "bold"),
        "  ",
        harmless(line.body).rstrip("\n").replace("\n", "\n    "),
    )
