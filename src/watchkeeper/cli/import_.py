"""`watchkeeper import`: learn from the history of a Prometheus, in event time.

Windows are read in order of time, each with all series, and go through the same door as live
samples. So detectors learn as if they had been there, and what was imported is found by queries.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec

from watchkeeper.cli import connection, numbers, times, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.history import History, TooMuch
from watchkeeper.cli.output import Output, Steps
from watchkeeper.cli.tally import Tally
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.errors import ConfigError, WatchkeeperError
from watchkeeper.sdk import Client, TimeSeries
from watchkeeper.sdk.address import address, trusted
from watchkeeper.sdk.reading import UNREADABLE
from watchkeeper.sdk.series import count

_WANTED_SAMPLES: Final = 200_000
"""Of one window: some megabytes on their way, and a progress that moves."""
_BODY_SAMPLES: Final = 50_000
"""Of one request to the server: well below its limits."""
_PATIENCE_S: Final = 300.0
"""For one answer of the source, which may read a lot for it."""
_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 1800.0
"""So that no series lies idle for long in event time while others advance."""
_REMEDIES: Final = {
    "too_old": "live samples came before history; import into a fresh data_dir, then let senders "
    "send"
}


class Progress(msgspec.Struct, frozen=True):
    """What the resume file holds."""

    source: str
    match: str
    url: str
    start_s: float
    end_s: float
    reached_s: float


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--from", dest="source", required=True, metavar="URL", help="the Prometheus to read")
    days = numbers.amount(0.01, 10_000)
    add("--days", type=days, default=14.0, metavar="N", help="how far back; 14 are enough")
    add("--match", default='{__name__!=""}', metavar="SELECTOR", help="which series to read")
    add("--step", metavar="DURATION", help="resample, such as 1m; else samples as they came")
    add(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="sent to the source, such as 'Authorization: Bearer x'; may be repeated",
    )
    add(
        "--resume-file",
        type=Path,
        default=Path("watchkeeper-import.json"),
        metavar="FILE",
        help="where to remember how far it came; gone when it is done",
    )
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    tally = Tally(_REMEDIES)
    step_s = None if given.step is None else times.duration_s(given.step, "--step")
    source, auth = address(given.source)
    with (
        httpx.Client(
            headers=_headers(given.header),
            auth=auth,
            timeout=_PATIENCE_S,
            verify=trusted(source),
        ) as http,
        connection.connect(given, attempts=10) as client,
    ):
        history = History(source, given.match, http=http, step_s=step_s)
        progress = _begin(given, source, client.url)
        if progress.reached_s > progress.start_s:
            output.say(f"going on at {words.moment_of(progress.reached_s)} ({given.resume_file})")
        else:
            _announce(history, progress, output)
        try:
            _copy(history, client, progress, (given.resume_file, tally, output))
        except (KeyboardInterrupt, WatchkeeperError):
            output.say(f"stopped; the same command goes on from {given.resume_file}")
            raise
    given.resume_file.unlink(missing_ok=True)
    tally.tell(output)
    return Exit.OK if tally.n_accepted else Exit.NO


def _begin(given: argparse.Namespace, source: str, url: str) -> Progress:
    """Where to start: anew, or where a former run was stopped."""
    now_s = SystemClock().now_ns() / NS_PER_S
    fresh = Progress(
        source=source,
        match=given.match,
        url=url,
        start_s=now_s - given.days * 86400,
        end_s=now_s,
        reached_s=now_s - given.days * 86400,
    )
    if not given.resume_file.exists():
        return fresh
    try:
        former = msgspec.json.decode(given.resume_file.read_bytes(), type=Progress)
    except (OSError, *UNREADABLE) as error:
        raise ConfigError(
            f"--resume-file: {given.resume_file} cannot be read ({error}); delete it to start anew"
        ) from error
    if (former.source, former.match, former.url) != (fresh.source, fresh.match, fresh.url):
        raise ConfigError(
            f"--resume-file: {given.resume_file} is of an import from {former.source} of "
            f"{former.match} to {former.url}; delete it, or name another"
        )
    return former


def _headers(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon:
            raise ConfigError(f"--header: '{name}' is no NAME:VALUE")
        found[name.strip()] = value.strip()
    return found


def _announce(history: History, progress: Progress, output: Output) -> None:
    n_series = history.n_series(progress.start_s, progress.end_s)
    days = words.lasting(progress.end_s - progress.start_s)
    output.say(f"{n_series} series of {days} from {progress.source} to {progress.url}")


def _copy(
    history: History, client: Client, progress: Progress, report: tuple[Path, Tally, Output]
) -> None:
    resume_file, tally, output = report
    whole_s = progress.end_s - progress.start_s
    with output.progress("importing", whole_s) as steps:
        for reached_s, series in windows(history, progress.reached_s, progress.end_s):
            for body in bodies(series, _BODY_SAMPLES):
                tally.add(client.write(body))
            _remember(resume_file, msgspec.structs.replace(progress, reached_s=reached_s))
            _show(steps, reached_s - progress.start_s, tally)


def _show(steps: Steps, done_s: float, tally: Tally) -> None:
    rejected = f", {tally.n_rejected} not accepted" if tally.n_rejected else ""
    steps.to(done_s, f"{words.number(tally.n_accepted)} samples{rejected}")


def windows(
    history: History, start_s: float, end_s: float
) -> Iterator[tuple[float, list[TimeSeries]]]:
    """(time reached, samples up to it), in order. Windows grow and shrink to a good size."""
    length_s = 60.0 if history.step_s is None else max(60.0, history.step_s * 10)
    reached_s = start_s
    while reached_s < end_s:
        until_s = min(end_s, reached_s + length_s)
        try:
            series = history.read(reached_s, until_s)
        except TooMuch:
            if length_s <= _SHORTEST_S:
                raise
            length_s = max(_SHORTEST_S, length_s / 4)
            continue
        yield until_s, series
        reached_s = until_s
        n_samples = count(series)
        growth = min(2.0, _WANTED_SAMPLES / n_samples) if n_samples else 2.0
        length_s = min(_LONGEST_S, max(_SHORTEST_S, length_s * growth))


def bodies(series: Sequence[TimeSeries], limit: int) -> Iterator[list[TimeSeries]]:
    """The same samples in portions of at most `limit`, or one series if that alone has more."""
    body: list[TimeSeries] = []
    size = 0
    for one in series:
        if body and size + len(one) > limit:
            yield body
            body, size = [], 0
        body.append(one)
        size += len(one)
    if body:
        yield body


def _remember(file: Path, progress: Progress) -> None:
    """Whole or not at all: a torn file would lose the place."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(msgspec.json.encode(progress))
    new.replace(file)
