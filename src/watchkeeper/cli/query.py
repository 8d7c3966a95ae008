"""`watchkeeper query`: samples as a table with their course, or as JSON."""

from __future__ import annotations

import argparse
import math

from watchkeeper.cli import connection, numbers, times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, labels_text
from watchkeeper.clock import SystemClock
from watchkeeper.errors import ConfigError
from watchkeeper.sdk import Client, QueriedSeries

_FOLDS = ("avg", "min", "max", "sum", "count")
_MAX_COURSE = 60
_TYPICAL_STEPS = (1, 5, 10, 15, 30, 60, 300, 900, 3600, 10800, 21600, 86400)


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("selector", help="such as 'http_requests_total{service=\"shop\"}'")
    add(
        "--promql",
        action="store_true",
        help="the selector is any expression of PromQL, such as 'sum(rate(errors_total[5m]))'",
    )
    add("--from", dest="start", default="1h", metavar="TIME", help=f"since when: {times.EXAMPLES}")
    add("--to", dest="end", default="now", metavar="TIME", help="until when, not included")
    add(
        "--step", metavar="DURATION", help="fold over steps such as 1m; `raw`: samples as they came"
    )
    add("--over-time", choices=(*_FOLDS, "last", "rate"), help="how a step's samples become one")
    add("--agg", choices=_FOLDS, help="fold across series")
    add("--by", metavar="LABELS", help="labels that keep series apart, such as service,code")
    add("--points", action="store_true", help="print every point, not the course")
    add(
        "--limit",
        type=numbers.whole(1),
        default=50,
        metavar="N",
        help="print at most so many series",
    )
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    now_ns = SystemClock().now_ns()
    start = times.time_s(given.start, "--from", now_ns=now_ns)
    end = times.time_s(given.end, "--to", now_ns=now_ns)
    with connection.connect(given) as client:
        found = (
            _computed(client, given, start, end)
            if given.promql
            else client.query(
                given.selector,
                start=start,
                end=end,
                step=_step(given, end - start),
                over_time=given.over_time,
                across=given.agg,
                by=given.by,
            )
        )
    if output.as_json:
        output.json({"series": found, "start": start, "end": end})
    elif given.points:
        _print_points(found[: given.limit], output)
    elif found:
        _print_courses(found[: given.limit], output)
    if len(found) > given.limit and not output.as_json:
        output.say(f"{len(found) - given.limit} more series; --limit {len(found)} prints them")
    if not found:
        output.say("nothing found: no such series, or no samples of it in this time")
        return Exit.NO
    return Exit.OK


def _computed(
    client: Client, given: argparse.Namespace, start: float, end: float
) -> tuple[QueriedSeries, ...]:
    if given.over_time or given.agg or given.by or given.step == "raw":
        raise ConfigError(
            "--promql: --over-time, --agg, --by and --step raw are for selectors; say it in the "
            "expression, such as 'sum by (service) (rate(errors_total[5m]))'"
        )
    step = _step(given, end - start) or f"{_typical(end - start)}s"
    return client.promql_range(given.selector, start=start, end=end, step=step)


def _step(given: argparse.Namespace, length_s: float) -> str | None:
    """What was asked; else raw, but for what needs steps or would be too much to look at."""
    if given.step == "raw":
        return None
    if given.step is not None:
        return f"{times.digits(times.duration_s(given.step, '--step'))}s"
    if given.points and not given.agg and given.over_time is None:
        return None
    return f"{_typical(length_s)}s"


def _typical(length_s: float) -> int:
    wanted = length_s / _MAX_COURSE
    return next((s for s in _TYPICAL_STEPS if s >= wanted), 86400)


def _print_courses(found: tuple[QueriedSeries, ...], output: Output) -> None:
    columns = [
        Column("series", may_shrink=True),
        Column("points", is_number=True),
        Column("min", is_number=True),
        Column("avg", is_number=True),
        Column("max", is_number=True),
        Column("last", is_number=True),
        Column("course"),
    ]
    rows = []
    for series in found:
        values = [value for _, value in series.points]
        finite = [value for value in values if math.isfinite(value)] or [math.nan]
        rows.append(
            (
                labels_text(series.labels),
                str(len(values)),
                words.number(min(finite)),
                words.number(math.fsum(finite) / len(finite)),
                words.number(max(finite)),
                words.number(values[-1] if values else math.nan),
                words.sparkline(values, _MAX_COURSE),
            )
        )
    output.table(columns, rows)


def _print_points(found: tuple[QueriedSeries, ...], output: Output) -> None:
    columns = [
        Column("time (UTC)"),
        Column("value", is_number=True),
        Column("series", may_shrink=True),
    ]
    rows = [
        (words.moment_of(time_s), words.number(value), labels_text(series.labels))
        for series in found
        for time_s, value in series.points
    ]
    output.table(columns, rows)
