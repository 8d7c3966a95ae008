"""From a POST to an anomaly that a query shows, and of the write itself, as shipped, at 100,000
samples a second and at 200,000.

Bodies leave at their time whether or not earlier ones were answered, and every latency counts from
the time at which its body was due: a server that stalls is charged for all who had to wait. Now and
then a series leaves its usual place; a reader asks for the newest anomalies all the time.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import bare_writer, bodies, client, fleet, history, ours, peers
from bench.client import N_CONNECTIONS, Connection, Door
from bench.contest import Contestant
from bench.fleet import STEP_MS
from bench.history import Past
from bench.ledger import Ledger
from bench.peers import Server
from bench.report import Target, progress
from bench.suite import Measured, Options, scratch

TARGETS: Final[dict[str, Target]] = {
    "anomaly_p99_ms": ("<=", 1000),
    "write_p99_ms": ("<=", 100),
    # Whether a detector sees a single strange sample is for `quality` to say; but a latency of few
    # would mean little.
    "found_share": (">=", 0.95),
    "anomaly_p99_ms_100k": ("<=", 1000),
    "write_p99_ms_100k": ("<=", 100),
}
HALF, WHOLE = 100_000, 200_000
"""Samples a second, one load after the other."""
SERIES_PER_BODY: Final = 2000
YOUNG: Final = 100
"""Samples of history of series that are not of the first pod of their service: those begin with
what the first has learned, as any pod of a deployment does."""
STRUCK_PER_STEP: Final = 5
STRENGTH: Final = 50.0
"""Times its own size: what is measured is the way, not whether a detector sees it."""
LOOK_EVERY_S: Final = 0.02
GIVE_UP_S: Final = 15.0

Struck = tuple[str, str, str, int]
"""Pod, container, metric and time in ms of a sample that is out of place."""


@dataclass(frozen=True, slots=True)
class Plan:
    n_series: int
    history: int
    seconds: int
    """Of each load."""
    seed: int

    def n_steps(self, samples_per_s: int) -> int:
        return self.seconds * samples_per_s // self.n_series

    @property
    def length_ms(self) -> int:
        n_steps = self.n_steps(HALF) + self.n_steps(WHOLE) + 2
        return self.history * history.STEP_MS + n_steps * STEP_MS


@dataclass(slots=True)
class Load:
    """Bodies in the order in which they are due, and which of them carry something strange."""

    bodies: list[bytes] = field(default_factory=list)
    struck: dict[int, list[Struck]] = field(default_factory=dict)
    per_step: int = 0
    samples_per_s: int = WHOLE


@dataclass(slots=True)
class Watch:
    """When strange samples were due, and when they could first be read as anomalies."""

    due: dict[Struck, float] = field(default_factory=dict)
    seen: dict[Struck, float] = field(default_factory=dict)
    write_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    """Of as much, at the same times, by who writes to the same disk and does nothing else."""
    over: bool = False

    def anomaly_s(self) -> list[float]:
        """Of every strange sample that became an anomaly."""
        return [self.seen[one] - due for one, due in self.due.items() if one in self.seen]


def run(options: Options) -> Measured:
    plan = (
        Plan(20_000, 300, 5, options.seed)
        if options.quick
        else Plan(100_000, 1500, 40, options.seed)
    )
    start_ms = int(time.time()) * 1000 - plan.length_ms
    with scratch("latency", options) as folder:
        recipe = peers.watchkeeper(folder, ours.SHIPPED)
        # On all cores, which senders and a reader share with it.
        with Server(recipe, folder, core=None) as server:
            walk = fleet.Walk(plan.n_series, seed=plan.seed, start_ms=start_ms)
            runs = bodies.label_runs(range(plan.n_series))
            raise_fleet(plan, walk, runs, server.wait_ready())
            encoder = bodies.RemoteWrite(runs, series_per_body=SERIES_PER_BODY)
            loads = [make_load(plan, walk, encoder, rate) for rate in (HALF, WHOLE)]
            server.settle()
            half, whole = [asyncio.run(play(load, server, folder)) for load in loads]
    easier = {f"{name}_100k": value for name, value in figures(half).items()}
    return figures(whole) | easier, notes(plan, [half, whole])


def raise_fleet(plan: Plan, walk: fleet.Walk, runs: Sequence[bytes], server: Server) -> None:
    """A day of history for the first pod of each service, and a while with all of them."""
    door = server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)
    taker = Contestant("ours", server, set(), door, Ledger(np.empty(0, np.int64)))
    elders = np.flatnonzero([fleet.is_first_pod(number) for number in range(plan.n_series)])
    past = Past([runs[number] for number in elders], elders)
    history.write(walk, plan.history - YOUNG, [(past, [taker])])
    history.write(walk, YOUNG, [(Past(runs), [taker])])
    server.settle()


def make_load(
    plan: Plan, walk: fleet.Walk, encoder: bodies.RemoteWrite, samples_per_s: int
) -> Load:
    progress(f"bodies of {samples_per_s:,} samples a second")
    n_steps = plan.n_steps(samples_per_s)
    load = Load(per_step=-(-plan.n_series // SERIES_PER_BODY), samples_per_s=samples_per_s)
    gauges = [number for number in range(plan.n_series) if not fleet.is_counter(number)]
    n_struck = STRUCK_PER_STEP * n_steps
    begin = 0 if samples_per_s == HALF else STRUCK_PER_STEP * plan.n_steps(HALF)
    chosen = np.random.default_rng(plan.seed).permutation(gauges)[begin : begin + n_struck]
    for step in range(n_steps):
        times, values = walk.take(1)
        for number in chosen[step * STRUCK_PER_STEP : (step + 1) * STRUCK_PER_STEP].tolist():
            values[number] = STRENGTH * (abs(values[number]) + 1)
            at = fleet.place(number)
            body = len(load.bodies) + number // SERIES_PER_BODY
            struck = (at.pod, at.container, at.metric, int(times[number, 0]))
            load.struck.setdefault(body, []).append(struck)
        load.bodies += encoder.encode(times, values)
    return load


async def play(load: Load, server: Server, folder: Path) -> Watch:
    """Send everything at its time while a reader looks; then wait for the last anomalies."""
    door = server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)
    watch = Watch()
    reader = threading.Thread(target=look, args=(server, watch))
    reader.start()
    try:
        began = time.perf_counter() + 0.2
        every_s, n_bytes = SERIES_PER_BODY / load.samples_per_s, len(load.bodies[0])
        with bare_writer.beside(folder, every_s=every_s, n_bytes=n_bytes) as watch.bare_s:
            async with asyncio.TaskGroup() as group:
                for lane in range(N_CONNECTIONS):
                    group.create_task(send_lane(load, lane, door, watch, began))
        await asyncio.to_thread(
            client.wait_until, lambda: len(watch.seen) == len(watch.due), timeout_s=GIVE_UP_S
        )
    finally:
        watch.over = True
        reader.join()
    return watch


async def send_lane(load: Load, lane: int, door: Door, watch: Watch, began: float) -> None:
    """Every body whose place in its step belongs to this connection, when it is due."""
    connection = Connection(door.port)
    try:
        for index, body in enumerate(load.bodies):
            if index % load.per_step % N_CONNECTIONS != lane:
                continue
            due = began + index * SERIES_PER_BODY / load.samples_per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            watch.due.update(dict.fromkeys(load.struck.get(index, ()), due))
            status, text = await connection.post(door.request(body))
            if status >= 300:
                raise client.Refused(status, text)
            watch.write_s.append(time.perf_counter() - due)
    finally:
        await connection.close()


def look(server: Server, watch: Watch) -> None:
    """Ask for the newest anomalies again and again, and note when each was first there."""
    while not watch.over:
        answer = json.loads(client.get(server.port, "/api/v1/anomalies", {"limit": "200"}))
        now = time.perf_counter()
        for item in answer["items"]:
            for key in struck_by(item):
                if key in watch.due:
                    watch.seen.setdefault(key, now)
        time.sleep(LOOK_EVERY_S)


def struck_by(item: Mapping[str, Any]) -> list[Struck]:
    """The samples that an anomaly may be about: its first, and the strangest so far.

    They differ where a series had been out of place before it was struck.
    """
    labels = item["labels"]
    try:
        place = (labels["pod"], labels["container"], labels["__name__"])
    except KeyError:
        return []
    moments = {item["started_at"], item["peak_at"]}
    return [(*place, _milliseconds(moment)) for moment in sorted(moments)]


def _milliseconds(moment: str) -> int:
    return int(np.datetime64(moment.rstrip("Z"), "ms").astype(np.int64))


def percentile(values: Sequence[float], q: float) -> float:
    """The value that a share `q` does not exceed: an observed one, so infinity stays infinity."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else math.nan


def figures(watch: Watch) -> dict[str, float]:
    anomaly_s = watch.anomaly_s()
    return {
        "anomaly_p99_ms": 1000 * percentile(anomaly_s, 0.99),
        "write_p99_ms": 1000 * percentile(watch.write_s, 0.99),
        "anomaly_p50_ms": 1000 * percentile(anomaly_s, 0.5),
        "write_p50_ms": 1000 * percentile(watch.write_s, 0.5),
        "write_max_ms": 1000 * max(watch.write_s, default=math.nan),
        "bare_write_p99_ms": 1000 * percentile(watch.bare_s, 0.99),
        "bare_write_max_ms": 1000 * max(watch.bare_s, default=math.nan),
        "found_share": len(anomaly_s) / max(1, len(watch.due)),
        "anomalies_planted": len(watch.due),
    }


def notes(plan: Plan, watches: Sequence[Watch]) -> list[str]:
    n_bodies = " and ".join(str(len(watch.write_s)) for watch in watches)
    return [
        f"{plan.n_series} series, {HALF:,} and {WHOLE:,} samples/s for {plan.seconds} s each in "
        f"{n_bodies} bodies, sent when due; as shipped; a reader every {1000 * LOOK_EVERY_S:g} ms.",
        "Bare: as much, when due, by a writer that only makes it durable, on the same disk.",
    ]
