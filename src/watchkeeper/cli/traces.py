"""`watchkeeper traces`: list them, or show one as a tree."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from watchkeeper.cli import connection, numbers, times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.clock import SystemClock
from watchkeeper.sdk import Client, FoundSpan, Trace, TraceSummary

_LIMIT: Final = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="one trace, as a tree of its spans")
    parser.add_argument("--service", metavar="NAME", help="with a span of this service")
    parser.add_argument("--name", metavar="NAME", help="... of exactly this name")
    parser.add_argument("--min-duration", metavar="TIME", help="... that took so long: 500ms, 2s")
    parser.add_argument("--max-duration", metavar="TIME", help="... and no longer")
    parser.add_argument("--status", choices=("unset", "ok", "error"), help="... and went so")
    parser.add_argument("--query", metavar="SELECTOR", help='... with these labels: {host="a"}')
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
    with connection.connect(given) as client:
        if given.id is not None:
            return _one(client.trace(given.id), output)
        return _list(given, client, output)


def _list(given: argparse.Namespace, client: Client, output: Output) -> int:
    now_ns = SystemClock().now_ns()
    found = client.traces(
        limit=given.limit,
        service=given.service,
        name=given.name,
        min_duration=given.min_duration,
        max_duration=given.max_duration,
        status=given.status,
        query=given.query,
        start=times.time_s(given.since or "1h", "--since", now_ns=now_ns),
        end=times.time_s(given.until, "--until", now_ns=now_ns) if given.until else None,
    )
    if output.as_json:
        output.json({"items": found})
    elif found:
        output.table(_COLUMNS, [_row(trace) for trace in found])
    else:
        output.say("no traces; --since looks further back")
    return Exit.OK


_COLUMNS: Final = (
    Column("start (UTC)"),
    Column("root", may_shrink=True),
    Column("took", is_number=True),
    Column("spans", is_number=True),
    Column("errors", is_number=True),
    Column("services", may_shrink=True),
    Column("id"),
)


def _row(trace: TraceSummary) -> tuple[str | Text, ...]:
    return (
        words.moment(trace.start),
        harmless(f"{trace.root.service} {trace.root.name}".strip()),
        words.lasting(trace.duration_ms / 1000),
        str(trace.n_spans),
        Text(str(trace.n_errors), style="red" if trace.n_errors else ""),
        harmless(", ".join(trace.services)),
        trace.trace_id,
    )


def _one(trace: Trace, output: Output) -> int:
    if output.as_json:
        output.json(trace)
        return Exit.OK
    columns = (
        Column("span", may_shrink=True),
        Column("service"),
        Column("after", is_number=True),
        Column("took", is_number=True),
        Column("status", may_shrink=True),
    )
    rows = [
        (
            "  " * depth + harmless(span.name),
            harmless(span.service),
            words.lasting((span.start - trace.start).total_seconds()),
            words.lasting(span.duration_ms / 1000),
            Text(
                harmless(f"{span.status} {span.message}".strip()),
                style="red" if span.status == "error" else "",
            ),
        )
        for depth, span in tree(trace.spans)
    ]
    output.table(columns, rows, title=f"trace {trace.trace_id}, {words.moment(trace.start)} UTC")
    if not trace.complete:
        output.say(f"the newest {len(trace.spans)} spans; it has more", "yellow")
    return Exit.OK


def tree(spans: Sequence[FoundSpan]) -> Iterator[tuple[int, FoundSpan]]:
    """(depth, span): each behind its parent, every span once, whatever senders say of parents.

    A span whose parent is not there begins a tree, and so does the first of a circle.
    """
    children: dict[str | None, list[int]] = defaultdict(list)
    ids = {span.span_id for span in spans}
    for number, span in enumerate(spans):
        children[span.parent_id if span.parent_id in ids else None].append(number)
    told: set[int] = set()
    for first in (*children.get(None, ()), *range(len(spans))):
        waiting = [(0, first)]
        while waiting:
            depth, number = waiting.pop()
            if number in told:
                continue
            told.add(number)
            yield depth, spans[number]
            below = children.get(spans[number].span_id or "", ())
            waiting += [(depth + 1, child) for child in reversed(below)]
