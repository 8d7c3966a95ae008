"""`watchkeeper slos`: what services promise, what is left of it, and how fast it is spent."""

from __future__ import annotations

import argparse
from typing import Final

from watchkeeper.cli import connection, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output, harmless
from watchkeeper.sdk import Objective

_COLUMNS: Final = (
    Column("service", may_shrink=True),
    Column("objective"),
    Column("left", is_number=True),
    Column("bad of requests", is_number=True),
    Column("1 h", is_number=True),
    Column("6 h", is_number=True),
    Column("1 d", is_number=True),
    Column("3 d", is_number=True),
    Column("burning since (UTC)"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with connection.connect(given) as client:
        found = client.slos()
    if output.as_json:
        output.json(found)
        return Exit.OK
    if found.items:
        output.table(_COLUMNS, [_row(one) for one in found.items])
    elif not found.waiting:
        output.say("no objectives; set `slos` of the watcher `symptoms` in `detection`")
    for one in found.waiting:
        output.say(
            f"{harmless(one.service)}: {harmless(one.objective)}: no request was counted yet"
        )
    return Exit.OK


def _row(one: Objective) -> tuple[str, ...]:
    since = [rate.since for rate in one.burn_rates if rate.since is not None]
    name = f"{one.service} ({one.environment})" if one.environment else one.service
    return (
        harmless(name),
        harmless(one.objective),
        f"{100 * one.budget_left:.1f} %",
        f"{words.number(one.bad)} of {words.number(one.requests)}",
        *(f"{words.number(rate.long)}x" for rate in one.burn_rates),
        words.moment(min(since)) if since else "-",
    )
