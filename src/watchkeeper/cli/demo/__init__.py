"""`watchkeeper demo`: a server and a real shop of its own; something is broken, and it is told."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from watchkeeper.cli import numbers, words
from watchkeeper.cli.demo import level, shop
from watchkeeper.cli.demo.gate import Gate
from watchkeeper.cli.demo.level import Levels
from watchkeeper.cli.demo.narration import Narrator
from watchkeeper.cli.demo.past import before, full
from watchkeeper.cli.demo.remains import remains_in_the_end
from watchkeeper.cli.demo.shop import Shop
from watchkeeper.cli.demo.story import Parts, Story
from watchkeeper.cli.demo.verdict import Verdict
from watchkeeper.cli.evaluate import RealTime
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output
from watchkeeper.cli.server import Server
from watchkeeper.cli.tally import Tally
from watchkeeper.errors import Permanent
from watchkeeper.evaluate.commands_stage import Interrupts
from watchkeeper.evaluate.scenarios import Scenario, chosen
from watchkeeper.sdk import Client

SCENARIO: Final = "deploy-failing"
_PER_S: Final = 20.0
"""Requests: enough for a service that a seventh of them come to."""
_MEASURE_S: Final = 10.0
_SETTLING_S: Final = 4.0
_STEADY_S: Final = 30.0
"""Behind the first thing that was told: as long as the window in which requests are judged."""
_LIVE_S: Final = 8.0
"""And behind the end of the import."""
_DAYS: Final = 7
_WINDOW: Final = 40_000
"""Samples in a request."""
_SEED: Final = 7


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--once", action="store_true",
        help="end behind the story; status 0 only if what it found is true")  # fmt: skip
    add("--yes", action="store_true", help="do not ask before processes are started and broken")
    add("--scenario", default=SCENARIO, metavar="NAME",
        help=f"what to break, of shop/scenarios.yaml ({SCENARIO})")  # fmt: skip
    add("--shop", type=Path, metavar="DIR",
        help="where the repository's shop is, if not here")  # fmt: skip
    add("--port", type=numbers.whole(0, 65535), default=0,
        help="of its server; 0 takes a free one")  # fmt: skip
    add("--data-dir", type=Path, metavar="DIR",
        help="keep what its server stores (else it is deleted)")  # fmt: skip


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    root = shop.found(given.shop)
    (scenario,) = chosen(shop.listed(root), [given.scenario], "--scenario")
    shop.check()
    if not (given.yes or given.json) and not agreed(output):
        return Exit.NO
    narrator = Narrator(output, RealTime())
    interrupts = Interrupts()
    try:
        with interrupts.heard(), emptied() as (folder, pids):
            status = _show(given, (root, folder, pids), scenario, (narrator, interrupts))
    except KeyboardInterrupt:
        status = Exit.STOPPED
    narrator.say(
        "everything is taken away: no process, file, group or namespace of it is left", "dim"
    )
    return status


def agreed(output: Output) -> bool:
    """Asked on a terminal alone."""
    if not sys.stdin.isatty():
        return True
    output.say("This starts a server and a shop of ten processes on this machine, breaks the shop,")
    output.say("and takes everything away again. Nothing outside 127.0.0.1 hears of it.")
    output.err.print("Go on? [Y/n] ", end="")
    return input().strip().lower() in ("", "y", "yes")


@contextmanager
def emptied() -> Iterator[tuple[Path, list[int]]]:
    """A folder of its own, of which nothing is left, nor of whoever lived there."""
    pids: list[int] = []
    left: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="watchkeeper-demo-") as made:
            folder = Path(made)
            folder.chmod(0o711)  # a database that is of another account passes through it
            try:
                yield folder, pids
            finally:
                left = remains_in_the_end(folder, pids)
    finally:
        if left:
            raise Permanent(f"demo: left behind, end it by hand: {', '.join(left)}")


def _show(
    given: argparse.Namespace,
    where: tuple[Path, Path, list[int]],
    scenario: Scenario,
    around: tuple[Narrator, Interrupts],
) -> int:
    (root, folder, pids), (narrator, interrupts) = where, around
    pace = RealTime()
    with ExitStack() as stack:
        narrator.say("starting a server, and a shop of eight real services")
        server = stack.enter_context(Server(given.data_dir or folder / "data", port=given.port))
        gate = stack.enter_context(Gate(server.url))
        options = {
            "watchkeeper": gate.url,
            "per-second": f"{_PER_S / float(full(pace.now_s())):.3g}",
            **shop.lightest(scenario),
        }
        broken = stack.enter_context(Shop(root, folder / "shop", options))
        gate.start()
        client = stack.enter_context(Client(server.url))
        with narrator.output.progress("starting", None):
            there = broken.wait_until_open()
            pids.append(there.pid)
            server.wait_until_well(client)
        narrator.say(f"both are up: {server.url}, and the shop's gateway {there.gateway}")
        levels = _measured(gate, narrator)
        _bring(levels, client, narrator)
        _let_in(gate, levels)
        story = Story(Parts(client, broken, pace, interrupts, narrator), scenario)
        with narrator.output.progress("looking", None):
            story.settle(max(levels.began_s + _STEADY_S, pace.now_s() + _LIVE_S))
            found = story.tell()
        if narrator.output.as_json:
            narrator.output.json(_as_json(scenario, found))
        if not given.once:
            _explore(story, server, broken, narrator)
        return Exit.OK if found.is_true else Exit.NO


def _measured(gate: Gate, narrator: Narrator) -> Levels:
    """Look at what the shop tells of itself, for some seconds."""
    from watchkeeper.cli.demo.bodies import points_of  # with what the server imports

    narrator.say(f"buyers come; looking on for {_MEASURE_S:g} s, to know how much is usual")
    with narrator.output.progress("looking", None):
        time.sleep(_MEASURE_S)
    levels = level.levels(points_of(gate.kept), _SETTLING_S)
    if levels is None or not levels.services:
        raise Permanent("demo: the shop told nothing of itself; report this")
    return levels


def _bring(levels: Levels, client: Client, narrator: Narrator) -> None:
    """A week at that level, in order of time."""
    history = before(levels, end_s=levels.began_s - 1, days=_DAYS, seed=_SEED)
    n_samples = history.n_samples
    narrator.say(
        f"importing {_DAYS} days of history at that level: {levels.n_series} series of "
        f"{len(levels.services)} services, {words.number(n_samples)} samples"
    )
    tally, began = Tally(), time.perf_counter()
    with narrator.output.progress("importing", n_samples) as steps:
        for window in history.windows(_WINDOW):
            tally.add(client.write(window))
            steps.to(tally.n_accepted)
    if tally.n_rejected:
        tally.tell(narrator.output)
        raise Permanent(f"demo: {tally.n_rejected} samples were not accepted; report this")
    took_s = time.perf_counter() - began
    narrator.say(f"imported in {words.lasting(took_s)}; from here on live telemetry flows in")


def _let_in(gate: Gate, levels: Levels) -> None:
    """What the shop has told since its history ends."""
    from watchkeeper.cli.demo.bodies import are_before  # with what the server imports

    gate.open(are_before(levels.began_s))


def _as_json(scenario: Scenario, found: Verdict) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "truth": {"services": scenario.truth.services, "kind": scenario.truth.kind},
        "is_true": found.is_true,
        "says": found.says,
        "found": [
            {"after_s": round(one.took_s, 1), "sense": one.sense, "page": one.page}
            for one in found.findings
        ],
    }


def _explore(story: Story, server: Server, broken: Shop, narrator: Narrator) -> None:
    """Until Ctrl-C, which is how it ends."""
    narrator.say("it all runs on; in another terminal, in this folder, try:")
    for line in (
        f"export WATCHKEEPER_URL={server.url}",
        "watchkeeper anomalies",
        "watchkeeper traces --status error",
        f"python -m shop.breaks start delay-leaf --home {broken.home}",
        f"python -m shop.breaks stop --all --home {broken.home}",
    ):
        narrator.add(line, "bold")
    narrator.say("Ctrl-C ends it, and leaves nothing behind")
    try:
        with narrator.output.progress("looking on", None):
            story.stay()
    except KeyboardInterrupt:
        narrator.say("ending")
