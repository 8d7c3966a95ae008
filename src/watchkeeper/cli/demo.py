"""`watchkeeper demo`: a server of its own, a week of a small shop, and one anomaly found."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from watchkeeper.cli import numbers, words
from watchkeeper.cli.anomalies import explained
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output, labels_text
from watchkeeper.cli.server import Server
from watchkeeper.cli.shop import Planted, Shop, shop
from watchkeeper.cli.tally import Tally
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.errors import Permanent
from watchkeeper.sdk import Anomaly, Client
from watchkeeper.sdk.series import METRIC_NAME, count

_DAYS: Final = 7
_STEP_S: Final = 15
_WINDOW_STEPS: Final = 480
"""Two hours of all series in a request."""
_BEFORE_S: Final = 300
"""How long before now it goes wrong."""
_AFTER_S: Final = 600
"""How long it stays wrong while live data flow on, so that one sees it end."""
_CELL_S: Final = 60
"""What the grid finds is dated to the minute in which it began."""
_LIVE_S: Final = 86_400
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.25
_COURSE_S: Final = 3600
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which episode of those around the planted time ranks first, and whether it is the planted."""

    first: Anomaly | None
    is_planted: bool


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--once",
        action="store_true",
        help="end when it is found; status 0 only if it is the one that was planted",
    )
    parser.add_argument(
        "--port",
        type=numbers.whole(0, 65535),
        default=0,
        help="of its server; 0 takes a free one",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="keep what it stores (else it is deleted)"
    )


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with ExitStack() as stack:
        data_dir = given.data_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="watchkeeper-demo-"))
        )
        server = stack.enter_context(Server(data_dir, port=given.port))
        output.say(f"starting a server at {server.url}")
        client = stack.enter_context(Client(server.url))
        with output.progress("starting", None):
            server.wait_until_well(client)
        return _show(given, client, server, output)


def _show(given: argparse.Namespace, client: Client, server: Server, output: Output) -> int:
    now_s = SystemClock().now_ns() // NS_PER_S // _STEP_S * _STEP_S
    planted = Planted(start_s=now_s - _BEFORE_S, end_s=now_s + _AFTER_S)
    n_past = _DAYS * 86_400 // _STEP_S
    week = shop(
        now_s - (n_past - 1) * _STEP_S,
        n_past + _LIVE_S // _STEP_S,
        _STEP_S,
        planted=planted,
        seed=_SEED,
    )
    tally = bring(week, n_past, client, output)
    with output.progress("looking", None):
        verdict = wait(client, planted)
    tell(verdict, client, tally, output)
    if not given.once and verdict.first is not None:
        go_on(week, n_past, client, (server, output))
    return Exit.OK if verdict.is_planted else Exit.NO


def bring(week: Shop, n_past: int, client: Client, output: Output) -> Tally:
    """Import the past of the shop, in order of time."""
    tally = Tally()
    n_samples = n_past * len(week.series)
    output.say(
        f"importing {_DAYS} days of a shop: {len(week.series)} series, "
        f"{words.number(n_samples)} samples, in event time"
    )
    began = time.perf_counter()
    with output.progress("importing", n_samples) as steps:
        for window in week.windows(0, n_past, _WINDOW_STEPS):
            tally.add(client.write(window))
            steps.to(tally.n_accepted)
    took_s = time.perf_counter() - began
    if tally.n_rejected:
        tally.tell(output)
        raise Permanent(f"demo: {tally.n_rejected} samples were not accepted; report this")
    output.say(f"imported in {words.lasting(took_s)}, {words.number(n_samples / took_s)} samples/s")
    return tally


def wait(client: Client, planted: Planted, patience_s: float = _PATIENCE_S) -> Verdict:
    """Until something of evidence level was found around the planted time."""
    deadline = time.monotonic() + patience_s
    while True:
        verdict = judge(list(client.anomalies(since=planted.start_s)), planted)
        if verdict.first is not None or time.monotonic() > deadline:
            return verdict
        time.sleep(_LOOK_S)


def judge(found: Sequence[Anomaly], planted: Planted) -> Verdict:
    """The strangest series of evidence level comes first; at a tie the planted one, which is there
    too. That services fall silent behind the import is the demo's own doing, and left out."""
    evidence = [one for one in found if one.severity == "evidence" and one.metric]
    if not evidence:
        return Verdict(None, is_planted=False)
    first = min(evidence, key=lambda one: (one.p_value, not planted.is_in(dict(one.labels))))
    in_time = first.peak_at.timestamp() > planted.start_s - _CELL_S
    return Verdict(first, is_planted=planted.is_in(dict(first.labels)) and in_time)


def tell(verdict: Verdict, client: Client, tally: Tally, output: Output) -> None:
    """Show what was found, with its course."""
    if output.as_json:
        output.json(
            {
                "found": verdict.first,
                "is_planted": verdict.is_planted,
                "samples": tally.n_accepted,
            }
        )
        return
    if verdict.first is None:
        output.print(f"nothing was found within {_PATIENCE_S:g} s, although one was planted")
        return
    title = "found, and it is the one that was planted" if verdict.is_planted else "found another"
    style = "green" if verdict.is_planted else "red"
    output.print(Panel(_card(verdict.first, client), title=title, border_style=style, expand=False))


def _card(anomaly: Anomaly, client: Client) -> Table:
    card = Table(box=None, show_header=False)
    for name, text in explained(anomaly):
        card.add_row(Text(name, style="dim"), text)
    card.add_row(Text("its course", style="dim"), _course(anomaly, client))
    return card


def _course(anomaly: Anomaly, client: Client) -> Text:
    """The last hour, a character a minute; red from where it was found."""
    labels = {name: value for name, value in anomaly.labels.items() if name != METRIC_NAME}
    selector = labels_text({METRIC_NAME: anomaly.metric, **labels})
    end_s = SystemClock().now_ns() / NS_PER_S
    found = client.query(selector, start=end_s - _COURSE_S, end=end_s, step="1m")
    points = found[0].points if found else ()
    line = words.sparkline([value for _, value in points], 60)
    started_s = anomaly.started_at.timestamp()
    before = sum(time_s < started_s for time_s, _ in points)
    at = round(before * len(line) / max(1, len(points)))
    return Text.assemble(line[:at], (line[at:], "bold red"))


def go_on(week: Shop, first: int, client: Client, around: tuple[Server, Output]) -> None:
    """Go on with live samples until Ctrl-C, each at its time; tell when the anomaly ends."""
    server, output = around
    output.say(
        f"live samples flow on; in another terminal: watchkeeper anomalies --follow "
        f"--url {server.url}   (Ctrl-C ends the demo)"
    )
    clock = SystemClock()
    with output.progress("live", None) as steps:
        for step in range(first, week.n_steps):
            due_s = float(week.time_ms[step]) / 1000
            time.sleep(max(0.0, due_s - clock.now_ns() / NS_PER_S))
            window = week.steps(step, step + 1)
            client.write(window)
            steps.to(0, f"{words.moment_of(due_s)}, {count(window)} samples")
