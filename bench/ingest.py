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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from bench import bodies, client, contest, fleet, history, ours, peers, readback
from bench.contest import Contestant
from bench.fleet import F64, I64, STEP_MS
from bench.history import Past
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
NEW_ROUNDS: Final = 3
N_READ_BACK: Final = 40
LONG_SETTLE_S: Final = 120.0
"""For what has to be merged and compacted after the history."""
PLAIN, T1, FK, OTLP = "ours, no detection", "ours, T1", "ours, T1 + FK", "ours, T1, OTLP"
VICTORIA, PROMETHEUS = "victoria-metrics", "prometheus"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    n_series: int
    history: int
    rounds: int
    steps_per_round: int
    n_new: int
    """Series never seen before, in each of NEW_ROUNDS rounds."""
    seed: int = 1

    start_ms: int = 0

    @property
    def length_ms(self) -> int:
        """From the first sample to the last of the timed rounds."""
        timed = (self.rounds * self.steps_per_round + 1) * STEP_MS
        return self.history * history.STEP_MS + timed


@dataclass(slots=True)
class Ledger:
    """All that was sent of a few series, and how many samples there were in all."""

    watched: I64
    times: list[I64] = field(default_factory=list)
    values: list[F64] = field(default_factory=list)
    n_samples: int = 0
    start_ms: int = 1 << 62
    end_ms: int = 0

    def note(self, times: I64, values: F64) -> None:
        self.start_ms = min(self.start_ms, int(times.min()))
        self.end_ms = max(self.end_ms, int(times.max()))
        self.times.append(times[self.watched])
        self.values.append(values[self.watched])
        self.n_samples += times.size

    def series(self, row: int) -> readback.Points:
        return (
            np.concatenate([times[row] for times in self.times]),
            np.concatenate([values[row] for values in self.values]),
        )


def run(options: Options) -> Measured:
    plan = make_plan(options)
    with scratch("ingest") as folder, client_core() as core, ExitStack() as stack:
        entered = start_all(folder, core, stack)
        ledger = play(plan, entered)
        contest.let_finish(list(entered.values()))
        show_new_series(plan, entered)
        for contestant in entered.values():
            check(contestant, ledger)
            contestant.end()
    print_table(contest.HEAD, [contestant.row() for contestant in entered.values()])
    return figures(entered), notes(plan, entered)


def make_plan(options: Options) -> Plan:
    """How much, and from when on: the last sample is a little younger than now."""
    plan = (
        Plan(n_series=10_000, history=200, rounds=3, steps_per_round=4, n_new=2_000)
        if options.quick
        else Plan(n_series=100_000, history=1500, rounds=8, steps_per_round=5, n_new=20_000)
    )
    now_ms = int(time.time()) * 1000
    return replace(plan, seed=options.seed, start_ms=now_ms - plan.length_ms - 2 * STEP_MS)


def start_all(folder: Path, core: set[int], stack: ExitStack) -> dict[str, Contestant]:
    recipes = {
        PLAIN: peers.watchkeeper(folder / "plain", ours.NO_DETECTION),
        T1: peers.watchkeeper(folder / "t1", ours.T1),
        FK: peers.watchkeeper(folder / "fk", ours.T1_AND_FK),
        OTLP: peers.watchkeeper(folder / "otlp", ours.T1),
        VICTORIA: peers.victoria_metrics(folder / "victoria"),
        PROMETHEUS: peers.prometheus(folder / "prometheus"),
    }
    entered: dict[str, Contestant] = {}
    for label, recipe in recipes.items():
        logs = folder / f"log-{len(entered)}"
        entered[label] = contest.enter(label, recipe, logs, core, otlp=label == OTLP)
        stack.enter_context(entered[label].server)
    for contestant in entered.values():
        contestant.server.wait_ready()
    return entered


def play(plan: Plan, entered: dict[str, Contestant]) -> Ledger:
    """The history for all, then the timed rounds; the order of turns rotates."""
    ledger = Ledger(np.linspace(0, plan.n_series - 1, N_READ_BACK).astype(np.int64))
    walk = fleet.Walk(plan.n_series, seed=plan.seed, start_ms=plan.start_ms)
    runs = bodies.label_runs(range(plan.n_series))
    write_history(plan, entered, runs, walk, ledger)
    remote_write = bodies.RemoteWrite(runs, series_per_body=SERIES_PER_BODY)
    otlp = bodies.Otlp(plan.n_series, series_per_body=SERIES_PER_BODY)
    turns = list(entered.values())
    for number in range(plan.rounds):
        progress(f"round {number + 1} of {plan.rounds}")
        steps = [walk.take(1) for _ in range(plan.steps_per_round)]
        for times, values in steps:
            ledger.note(times, values)
        as_remote_write = [remote_write.encode(*step) for step in steps]
        as_otlp = [otlp.encode(*step, gzip=True) for step in steps]
        for contestant in turns[number % len(turns) :] + turns[: number % len(turns)]:
            sent = as_otlp if contestant.label == OTLP else as_remote_write
            contestant.turns.append(contestant.take_turn(sent, plan.n_series * len(steps)))
    return ledger


def write_history(
    plan: Plan,
    entered: dict[str, Contestant],
    runs: Sequence[bytes],
    walk: fleet.Walk,
    ledger: Ledger,
) -> None:
    """Every series' past, to all servers side by side and unpinned."""
    everyone = list(entered.values())
    numbers, mapped_runs = introduce_otlp(plan, entered[OTLP])
    senders = [
        (Past(runs), [one.remote_write for one in everyone if one.label != OTLP]),
        (Past(mapped_runs, numbers), [entered[OTLP].remote_write]),
    ]
    contest.unpin(everyone)
    history.write(walk, plan.history, senders, ledger.note)
    client.get(entered[VICTORIA].server.port, "/internal/force_merge")
    for contestant in everyone:
        contestant.server.settle(LONG_SETTLE_S)
    contest.pin(everyone)
    for contestant in everyone:
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


def check(contestant: Contestant, ledger: Ledger) -> None:
    """Everything that was sent is there, and nothing else."""
    progress(f"reading back from {contestant.label}")
    contestant.server.resume()
    for row, number in enumerate(ledger.watched.tolist()):
        readback.check_series(contestant.server, contestant.labels(number), ledger.series(row))
    readback.check_count(contestant.server, ledger.start_ms, ledger.end_ms, ledger.n_samples)


def figures(entered: dict[str, Contestant]) -> dict[str, float]:
    cost = {label: contestant.cpu_us for label, contestant in entered.items()}
    cost |= {label: entered[label].cpu_us_in_its_favour for label in (VICTORIA, PROMETHEUS)}
    return {
        "cpu_ratio_victoriametrics": cost[VICTORIA] / cost[T1],
        "cpu_ratio_prometheus": cost[PROMETHEUS] / cost[T1],
        "cpu_ratio_otlp": cost[VICTORIA] / cost[OTLP],
        "new_series_cpu_ratio": entered[VICTORIA].first_sight_us / entered[T1].first_sight_us,
        "t1_overhead": cost[T1] / cost[PLAIN] - 1,
        "fk_overhead": cost[FK] / cost[T1] - 1,
        "fk_cpu_ratio_victoriametrics": cost[VICTORIA] / cost[FK],
        "cpu_us_per_sample": cost[T1],
        "wall_ratio_victoriametrics": entered[T1].wall_rate / entered[VICTORIA].wall_rate,
    }


def notes(plan: Plan, entered: dict[str, Contestant]) -> list[str]:
    pairs = [
        theirs.cpu_us / mine.cpu_us
        for theirs, mine in zip(entered[VICTORIA].turns, entered[T1].turns, strict=True)
    ]
    return [
        f"{plan.n_series} series with {plan.history} samples of history each, "
        f"{plan.rounds} rounds of {plan.steps_per_round} scrapes, {SERIES_PER_BODY} per body.",
        f"VictoriaMetrics / ours with T1, round by round: {min(pairs):.2f} to {max(pairs):.2f}.",
        f"Peers: {peers.version('victoria-metrics')}, {peers.version('prometheus')}; "
        "they store and do not detect.",
        "",
    ]
