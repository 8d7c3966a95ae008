"""`watchkeeper send`: samples from a file, from standard input, or generated; a log line; a
deployment."""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.cli import connection, numbers
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output
from watchkeeper.cli.tally import Tally
from watchkeeper.clock import NS_PER_S, Clock, SystemClock
from watchkeeper.errors import BadInput, ConfigError
from watchkeeper.sdk import Client, LogLine, Sample
from watchkeeper.sdk.reading import UNREADABLE

_BATCH = 5000
"""Points of a request: large enough to be cheap, small enough to be a step of the progress."""


class _Document(msgspec.Struct):
    metrics: list[dict[str, Any]]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        help='{"metrics": [{"name", "value", "labels", "timestamp", "type"}]}, a list of such '
        "points, or one a line; `-` or nothing reads standard input",
    )
    parser.add_argument(
        "--generate", type=numbers.whole(1), metavar="N", help="N series of a daily curve"
    )
    parser.add_argument(
        "--rounds",
        type=numbers.whole(1),
        default=1,
        metavar="N",
        help="with --generate: samples of each",
    )
    parser.add_argument(
        "--every",
        type=numbers.amount(0, 86_400),
        default=1.0,
        metavar="S",
        help="with --generate: pause in seconds",
    )
    parser.add_argument("--log", metavar="TEXT", help="one log line, of now")
    parser.add_argument("--level", default="info", help="with --log (default: info)")
    parser.add_argument(
        "--deployment", metavar="VERSION", help="that a version of --service was deployed now"
    )
    parser.add_argument("--status", default="success", help="with --deployment (default: success)")
    parser.add_argument("--service", default="", help="with --log and --deployment: of whom")
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    _check(given)
    output = Output(as_json=given.json)
    tally = Tally(noun=_noun(given))
    with connection.connect(given) as client:
        if given.log is not None:
            tally.add(client.write_logs([_line(given)]))
        elif given.deployment is not None:
            at_s = SystemClock().now_ns() / NS_PER_S
            tally.add(
                client.write_deployment(
                    given.service, given.deployment, at=at_s, status=given.status
                )
            )
        elif given.generate is not None:
            _send_generated(given, client, tally, output)
        else:
            points = read_points(given.file)
            _send_points(points, client, tally, output)
    tally.tell(output)
    return Exit.OK if not tally.n_rejected else Exit.REFUSED


def _check(given: argparse.Namespace) -> None:
    """What is sent comes from one place."""
    sources = {
        "a file": given.file,
        "--generate": given.generate,
        "--log": given.log,
        "--deployment": given.deployment,
    }
    named = [name for name, value in sources.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(f"send: {' and '.join(named)} exclude each other; give one of them")
    if not named and sys.stdin.isatty():
        raise ConfigError("send: nothing to send; name a file, pipe one in, or use --generate 10")
    if given.deployment is not None and not given.service:
        raise ConfigError("send: --deployment says not of which service; add --service NAME")


def _noun(given: argparse.Namespace) -> str:
    if given.log is not None:
        return "lines"
    return "samples" if given.deployment is None else "changes"


def _line(given: argparse.Namespace) -> LogLine:
    at_s = SystemClock().now_ns() / NS_PER_S
    return LogLine(message=given.log, timestamp=at_s, level=given.level, service=given.service)


def read_points(file: str | None) -> list[dict[str, Any]]:
    """The points of a document, a list, or lines."""
    name = file or "-"
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"send: {name}: cannot be read: {error.strerror}") from error
    if not text.strip():
        raise BadInput(f"send: {name}: is empty; give at least one point")
    first, _, rest = text.strip().partition(b"\n")
    if rest.strip() and _is_point(first):
        return _read_lines(name, text)
    try:
        found = msgspec.json.decode(text, type=_Document | list[dict[str, Any]])
    except UNREADABLE as error:
        if not _is_point(text):
            raise BadInput(
                f'send: {name}: is no JSON of points ({error}); write {{"metrics": [{{"name": '
                '"up", "value": 1}]}'
            ) from error
        return [msgspec.json.decode(text)]
    return found.metrics if isinstance(found, _Document) else found


def _is_point(text: bytes) -> bool:
    try:
        found = msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return isinstance(found, dict) and "metrics" not in found


def _read_lines(name: str, text: bytes) -> list[dict[str, Any]]:
    points = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            points.append(msgspec.json.decode(line, type=dict[str, Any]))
        except UNREADABLE as error:
            raise BadInput(f"send: {name}:{number}: is no JSON of a point ({error})") from error
    return points


def _send_points(
    points: list[dict[str, Any]], client: Client, tally: Tally, output: Output
) -> None:
    with output.progress("sending", len(points)) as steps:
        for start in range(0, len(points), _BATCH):
            batch = points[start : start + _BATCH]
            tally.add(client.write_json(msgspec.json.encode({"metrics": batch})))
            steps.to(start + len(batch))


def _send_generated(
    given: argparse.Namespace, client: Client, tally: Tally, output: Output
) -> None:
    clock = SystemClock()
    with output.progress("sending", given.rounds) as steps:
        chance = random.Random(1)  # noqa: S311 - noise for samples, no secret
        for batch in generated(given.generate, given.rounds, clock, chance):
            tally.add(client.send(batch))
            steps.to(tally.n_requests)
            if tally.n_requests < given.rounds:
                time.sleep(given.every)


def generated(
    n_series: int, rounds: int, clock: Clock, chance: random.Random
) -> Iterator[list[Sample]]:
    """A round of samples at a time: a daily curve with noise, each series with its own phase."""
    for _ in range(rounds):
        at_s = clock.now_ns() / NS_PER_S
        yield [
            Sample(
                "generated_value",
                50
                + 20 * math.sin(2 * math.pi * (at_s / 86400 + index / n_series))
                + chance.gauss(0, 1),
                at_s,
                {"service": "generated", "series": str(index)},
            )
            for index in range(n_series)
        ]
