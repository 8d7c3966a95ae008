"""Ingest over HTTP beside VictoriaMetrics and Prometheus: CPU microseconds per sample.

Bodies are made once and sent by one client to every server, each pinned to the same core, in
alternating turns. We decode, log durably, store and detect; the peers decode and store. All series
have a long history before anything is timed, so that detectors are past their cold start. What was
sent is read back from every server and compared, or there are no figures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from bench import bodies, client, contest, fleet, history, ours, peers, readback
from bench.contest import Contestant
from bench.fleet import I64, STEP_MS
from bench.history import Past
from bench.ledger import Ledger
from bench.peers import Server
from bench.report import Target, print_table, progress
from bench.suite import Measured, Options, client_core, scratch

TARGETS: Final[dict[str, Target]] = {
    "cpu_ratio_victoriametrics": (">=", 2.0),
    "cpu_ratio_prometheus": (">=", 10.0),
    "cpu_ratio_otlp": (">=", 1.0),
    "new_series_cpu_ratio": (">=", 2.0),
    "t1_overhead": ("<=", 0.2),
    "fk_overhead": ("<=", 0.4),
    "fk_cpu_ratio_victoriametrics": (">=", 1.5),
}
SERIES_PER_BODY: Final = 2000
NEW_ROUNDS: Final = 6
N_READ_BACK: Final = 40
LONG_SETTLE_S: Final = 120.0
"""For what has to be merged and compacted after the history."""
PLAIN, T1, FK, OTLP = "ours, no detection", "ours, T1", "ours, T1 + FK", "ours, T1, OTLP"
SHIPPED = "ours, as shipped"
PEERS = VICTORIA, PROMETHEUS = "victoria-metrics", "prometheus"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    n_series: int
    history: int
    peer_history: int
    """Peers get the newest part only: they store and learn nothing, and would take minutes more."""
    rounds: int
    steps_per_round: int
    prometheus_steps: int
    """It gets the first steps of each round only: at its cost all of them would take half an hour,
    and it has nothing to merge within them."""
    n_new: int
    """Series never seen before, in each of NEW_ROUNDS rounds."""
    seed: int = 1

    start_ms: int = 0

    @property
    def length_ms(self) -> int:
        """From the first sample to the last of the timed rounds."""
        timed = ((1 + self.rounds) * self.steps_per_round + 1) * STEP_MS
        return self.history * history.STEP_MS + timed


def run(options: Options) -> Measured:
    plan = make_plan(options)
    with scratch("ingest", options) as folder, client_core() as core, ExitStack() as stack:
        entered = start_all(plan, folder, core, stack)
        play(plan, entered)
        contest.let_finish(list(entered.values()))
        show_new_series(plan, entered)
        for contestant in entered.values():
            check(contestant)
            contestant.end()
    print_table(contest.HEAD, [contestant.row() for contestant in entered.values()])
    return figures(entered), notes(plan, entered)


def make_plan(options: Options) -> Plan:
    """How much, and from when on: the last sample is a little younger than now.

    The timed rounds are 32 million samples, after which our lake merges what it wrote out in the
    meantime: so each sample is charged for one merge, and none for the history's.
    """
    plan = (
        Plan(10_000, 200, 100, rounds=3, steps_per_round=4, prometheus_steps=4, n_new=2_000)
        if options.quick
        else Plan(
            100_000, 1500, 300, rounds=16, steps_per_round=20, prometheus_steps=2, n_new=20_000
        )
    )
    now_ms = int(time.time()) * 1000
    return replace(plan, seed=options.seed, start_ms=now_ms - plan.length_ms - 2 * STEP_MS)


def start_all(plan: Plan, folder: Path, core: set[int], stack: ExitStack) -> dict[str, Contestant]:
    watched = np.linspace(0, plan.n_series - 1, N_READ_BACK).astype(np.int64)
    recipes = {
        PLAIN: peers.watchkeeper(folder / "plain", ours.NO_DETECTION),
        T1: peers.watchkeeper(folder / "t1", ours.T1),
        FK: peers.watchkeeper(folder / "fk", ours.T1_AND_FK),
        SHIPPED: peers.watchkeeper(folder / "shipped", ours.SHIPPED),
        OTLP: peers.watchkeeper(folder / "otlp", ours.T1),
        VICTORIA: peers.victoria_metrics(folder / "victoria"),
        PROMETHEUS: peers.prometheus(folder / "prometheus"),
    }
    entered: dict[str, Contestant] = {}
    for label, recipe in recipes.items():
        logs = folder / f"log-{len(entered)}"
        server = stack.enter_context(Server(recipe, logs, core=core))
        path, headers = bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS
        if label == OTLP:
            path, headers = bodies.OTLP_PATH, bodies.OTLP_GZIP_HEADERS
        door = server.door(path, headers)
        entered[label] = Contestant(label, server, core, door, Ledger(watched))
    for contestant in entered.values():
        contestant.server.wait_ready()
    return entered


def play(plan: Plan, entered: dict[str, Contestant]) -> None:
    """The history for all, then the timed rounds; the order of turns rotates."""
    walk = fleet.Walk(plan.n_series, seed=plan.seed, start_ms=plan.start_ms)
    runs = bodies.label_runs(range(plan.n_series))
    write_history(plan, entered, runs, walk)
    remote_write = bodies.RemoteWrite(runs, series_per_body=SERIES_PER_BODY)
    otlp = bodies.Otlp(plan.n_series, series_per_body=SERIES_PER_BODY)
    turns = list(entered.values())
    for number in range(-1, plan.rounds):
        progress(f"round {number + 1} of {plan.rounds}" + " (not counted)" * (number < 0))
        steps = [walk.take(1) for _ in range(plan.steps_per_round)]
        as_remote_write = [remote_write.encode(*step) for step in steps]
        as_otlp = [otlp.encode(*step, gzip=True) for step in steps]
        for contestant in turns[number % len(turns) :] + turns[: number % len(turns)]:
            sent = as_otlp if contestant.label == OTLP else as_remote_write
            n_steps = plan.prometheus_steps if contestant.label == PROMETHEUS else len(steps)
            turn = contestant.take_turn(sent[:n_steps], plan.n_series * n_steps)
            for times, values in steps[:n_steps]:
                contestant.ledger.note(times, values)
            if number >= 0:
                contestant.turns.append(turn)


def write_history(
    plan: Plan,
    entered: dict[str, Contestant],
    runs: Sequence[bytes],
    walk: fleet.Walk,
) -> None:
    """Every series' past, to all servers side by side and unpinned."""
    everyone = list(entered.values())
    numbers, mapped_runs = introduce_otlp(plan, entered[OTLP])
    otlp, others = [entered[OTLP]], [one for one in everyone if one.label != OTLP]
    ours_alone = [one for one in others if one.label not in PEERS]
    past, mapped = Past(runs), Past(mapped_runs, numbers)
    contest.unpin(everyone)
    for n_samples, takers in (
        (plan.history - plan.peer_history, ours_alone),
        (plan.peer_history, others),
    ):
        history.write(walk, n_samples, [(past, takers), (mapped, otlp)])
    client.get(entered[VICTORIA].server.port, "/internal/force_merge")
    for contestant in everyone:
        contestant.server.settle(LONG_SETTLE_S)
    contest.pin(everyone)
    for contestant in everyone:
        if contestant.label not in PEERS:
            # So that no history waits in memory to be written out at the timed samples' cost. The
            # peers have nothing like that: one merges, the other keeps it in its own log.
            contestant.server.restart()
            contestant.server.settle()
        contestant.server.pause()


def introduce_otlp(plan: Plan, contestant: Contestant) -> tuple[I64, list[bytes]]:
    """Show the series by OTLP, and learn by which labels the server knows them.

    Under those labels their history is sent by remote write, which packs many samples in a row.
    The first value of each series is its number, so that each is recognised.
    """
    otlp = bodies.Otlp(plan.n_series, series_per_body=SERIES_PER_BODY)
    before_ms = plan.start_ms - history.STEP_MS
    numbers = np.arange(plan.n_series, dtype=np.float64)[:, None]
    times = np.full(numbers.shape, before_ms, np.int64)
    contest.send_side_by_side([contestant.door], [otlp.encode(times, numbers, gzip=True)])
    found = readback.ours(contestant.server, readback.EVERYTHING, before_ms, before_ms)
    if len(found) != plan.n_series:
        raise readback.Different(f"OTLP: {plan.n_series} series were sent, {len(found)} are there")
    order = [int(one["points"][0][1]) for one in found]
    labels = [dict(sorted(one["labels"].items())) for one in found]
    contestant.labels = dict(zip(order, labels, strict=True)).__getitem__
    return np.array(order, np.int64), [bodies.label_run(one) for one in labels]


def show_new_series(plan: Plan, entered: dict[str, Contestant]) -> None:
    """Rounds of series never seen before, one sample each, and one of each round looked up."""
    now_ms = plan.start_ms + plan.length_ms
    for number in range(NEW_ROUNDS):
        progress(f"new series, round {number + 1} of {NEW_ROUNDS}")
        first = plan.n_series + number * plan.n_new
        numbers = range(first, first + plan.n_new)
        walk = fleet.Walk(plan.n_new, seed=plan.seed, start_ms=now_ms, first=first)
        times, values = walk.take(1)
        encoder = bodies.RemoteWrite(bodies.label_runs(numbers), series_per_body=SERIES_PER_BODY)
        sent = [encoder.encode(times, values)]
        for contestant in (entered[T1], entered[VICTORIA], entered[PROMETHEUS]):
            contestant.first_sights.append(contestant.take_turn(sent, plan.n_new))
            contestant.server.resume()
            for row in (0, plan.n_new // 2, plan.n_new - 1):
                readback.check_series(
                    contestant.server, fleet.labels(first + row), (times[row], values[row])
                )
            contestant.server.pause()


def check(contestant: Contestant) -> None:
    """Everything that was sent is there, and nothing else."""
    progress(f"reading back from {contestant.label}")
    contestant.server.resume()
    ledger = contestant.ledger
    for row, number in enumerate(ledger.watched.tolist()):
        readback.check_series(contestant.server, contestant.labels(number), ledger.series(row))
    readback.check_count(contestant.server, ledger.start_ms, ledger.end_ms, ledger.n_samples)


def figures(entered: dict[str, Contestant]) -> dict[str, float]:
    cost = {label: contestant.cpu_us for label, contestant in entered.items()}

    def cheaper(mine: str, theirs: str) -> float:
        return contest.times_cheaper(entered[mine], entered[theirs])

    return {
        "cpu_ratio_victoriametrics": cheaper(T1, VICTORIA),
        "cpu_ratio_prometheus": cheaper(T1, PROMETHEUS),
        "cpu_ratio_otlp": cheaper(OTLP, VICTORIA),
        "new_series_cpu_ratio": entered[VICTORIA].first_sight_us / entered[T1].first_sight_us,
        "t1_overhead": cost[T1] / cost[PLAIN] - 1,
        "fk_overhead": cost[FK] / cost[T1] - 1,
        "fk_cpu_ratio_victoriametrics": cheaper(FK, VICTORIA),
        "shipped_overhead": cost[SHIPPED] / cost[T1] - 1,
        "shipped_cpu_ratio_victoriametrics": cheaper(SHIPPED, VICTORIA),
        "cpu_us_per_sample": cost[T1],
        "wall_ratio_victoriametrics": entered[T1].wall_rate / entered[VICTORIA].wall_rate,
    }


def notes(plan: Plan, entered: dict[str, Contestant]) -> list[str]:
    pairs = [
        theirs.cpu_us / mine.cpu_us
        for theirs, mine in zip(entered[VICTORIA].turns, entered[T1].turns, strict=True)
    ]
    return [
        f"{plan.n_series} series with {plan.history} samples of history each ({plan.peer_history} "
        f"at the peers), "
        f"{plan.rounds} rounds of {plan.steps_per_round} scrapes (Prometheus: of the first "
        f"{plan.prometheus_steps}), {SERIES_PER_BODY} per body.",
        "VictoriaMetrics / ours with T1: mean by mean "
        f"{entered[VICTORIA].cpu_us / entered[T1].cpu_us:.2f}, median by median "
        f"{entered[VICTORIA].median_cpu_us / entered[T1].median_cpu_us:.2f}, "
        f"round by round {min(pairs):.2f} to {max(pairs):.2f}.",
        f"Peers: {peers.version('victoria-metrics')}, {peers.version('prometheus')}; "
        "they store and do not detect.",
        "",
    ]
