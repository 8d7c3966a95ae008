"""Log lines and spans through HTTP into the lake, and read back from ten million, while metrics,
lines and spans go on arriving; and PromQL beside a real Prometheus.

Throughput is by CPU: lines (spans) by the CPU seconds of the server and its decoding processes,
from the first byte until it is at rest, so with what is written out and merged in between. Reading
is measured while writing goes on, at a fixed rate; every latency of a write counts from when it was
due.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench import bodies, client, fleet, ours, panel, peers, promql, rows
from bench.client import N_CONNECTIONS, Connection, Door
from bench.latency import percentile
from bench.peers import Server
from bench.report import Target, progress
from bench.rows import RARE, RARE_EVERY, ROWS_PER_BODY
from bench.suite import Measured, Options, client_core, scratch

TARGETS: Final[dict[str, Target]] = {
    "lines_per_s": (">=", 50_000),
    "spans_per_s": (">=", 20_000),
    "write_p99_ms": ("<=", 100),
    "trace_ms": ("<=", 50),
    "search_ms": ("<=", 1000),
    "promql_equal": (">=", 1.0),
    "panel_ms": ("<=", 500),
}
LINES_PER_S: Final = 10_000
SPANS_PER_S: Final = 4_000
SAMPLES_PER_S: Final = 20_000
SERIES: Final = 20_000
HOUR_NS: Final = 3600 * 10**9
SETTLE_S: Final = 60.0
COMMON: Final = "timeout"
"""A word that one line in eight has."""


@dataclass(frozen=True, slots=True)
class Plan:
    n_lines: int
    """On disk before reading is measured; all of them of the last hour."""
    timed_lines: int
    timed_spans: int
    seconds: int
    seed: int


@dataclass(slots=True)
class Watch:
    """What was measured while all went on."""

    write_s: list[float] = field(default_factory=list)
    trace_s: list[float] = field(default_factory=list)
    search_s: dict[str, list[float]] = field(default_factory=dict)
    trace: str = ""
    """The newest of a body that was taken."""
    over: bool = False


def run(options: Options) -> Measured:
    plan = (
        Plan(200_000, 50_000, 20_000, 5, options.seed)
        if options.quick
        else Plan(10_000_000, 1_000_000, 300_000, 40, options.seed)
    )
    with scratch("doors", options) as folder:
        recipe = peers.watchkeeper(folder / "pinned", ours.T1_AND_FK)
        with client_core() as core, Server(recipe, folder / "pinned", core=core) as server:
            server.wait_ready()
            lines_per_s = throughput(server, rows.LOGS_PATH, make_lines(plan), "lines")
            spans_per_s = throughput(server, rows.TRACES_PATH, make_spans(plan), "spans")
        # On all cores, which writers and a reader share with it.
        recipe = peers.watchkeeper(folder / "whole", ours.T1_AND_FK)
        with Server(recipe, folder / "whole", core=None) as server:
            server.wait_ready()
            fill(plan, server)
            watch = asyncio.run(play(plan, server))
            check_search(server)
        equal = promql.share_equal(folder / "promql")
        panels = panel.waits_s(folder / "panel", plan.seed, days=3 if options.quick else panel.DAYS)
    figures = {
        "lines_per_s": lines_per_s,
        "spans_per_s": spans_per_s,
        "write_p99_ms": 1000 * percentile(watch.write_s, 0.99),
        "trace_ms": 1000 * percentile(watch.trace_s, 0.95),
        "search_ms": 1000 * max(percentile(s, 0.95) for s in watch.search_s.values()),
        "promql_equal": equal,
        "panel_ms": 1000 * max(percentile(waits, 0.95) for waits in panels.values()),
        "write_p50_ms": 1000 * percentile(watch.write_s, 0.5),
        "trace_p50_ms": 1000 * percentile(watch.trace_s, 0.5),
    }
    for kind, seconds in panels.items():
        figures[f"panel_{kind}_p50_ms"] = 1000 * statistics.median(seconds)
    for kind, seconds in watch.search_s.items():
        figures[f"search_{kind}_p50_ms"] = 1000 * statistics.median(seconds)
    return figures, notes(plan, watch)


def make_lines(plan: Plan) -> list[bytes]:
    progress("bodies of lines")
    maker = rows.Lines(plan.seed)
    begin = time.time_ns() - HOUR_NS
    n = plan.timed_lines // ROWS_PER_BODY
    return [maker.body(begin + number * 10**9, 1_000_000) for number in range(n)]


def make_spans(plan: Plan) -> list[bytes]:
    progress("bodies of spans")
    maker = rows.Spans(plan.seed)
    begin = time.time_ns() - HOUR_NS
    n = plan.timed_spans // ROWS_PER_BODY
    return [maker.body(begin + number * 10**9, 1_000_000) for number in range(n)]


def throughput(server: Server, path: str, made: Sequence[bytes], noun: str) -> float:
    """Rows per CPU second. A tenth of the bodies warm it up first."""
    door = server.door(path, rows.HEADERS)
    n_warm = len(made) // 10
    client.post_all(door, [made[:n_warm]])
    server.settle(SETTLE_S)
    progress(f"{len(made) - n_warm} bodies of {noun}")
    before = server.cpu_s()
    client.post_all(door, [made[n_warm:]])
    server.settle(SETTLE_S)
    return (len(made) - n_warm) * ROWS_PER_BODY / (server.cpu_s() - before)


def fill(plan: Plan, server: Server) -> None:
    """The series that will be written, known as they are at work; and as many lines as are to be
    searched, spread over an hour, some at a time."""
    known = itertools.islice(_metric_bodies(plan, 1_200_000), 2 * SERIES // ROWS_PER_BODY)
    to_samples = server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)
    client.post_all(to_samples, [list(known)])
    maker, door = rows.Lines(plan.seed + 1), server.door(rows.LOGS_PATH, rows.HEADERS)
    n = plan.n_lines // ROWS_PER_BODY
    step_ns = HOUR_NS // (n * ROWS_PER_BODY)
    begin = time.time_ns() - HOUR_NS
    some = 100
    for first in range(0, n, some):
        if first % 1000 == 0:
            progress(f"lines: {first * ROWS_PER_BODY:,} of {plan.n_lines:,}")
        numbers = range(first, min(n, first + some))
        made = [maker.body(begin + at * ROWS_PER_BODY * step_ns, step_ns) for at in numbers]
        client.post_all(door, [made])
    server.settle(SETTLE_S)


@dataclass(slots=True)
class Lane:
    """Bodies of one kind, made beforehand, and how often one is due."""

    door: Door
    bodies: list[bytes]
    every_s: float
    traces: list[str] = field(default_factory=list)
    """One of each body, where it has any."""


def make_lanes(plan: Plan, server: Server) -> tuple[Lane, Lane, Lane]:
    """Lines, spans and samples of the time in which they will be sent."""
    progress("bodies to be sent while it is read")
    lines, spans = rows.Lines(plan.seed + 3), rows.Spans(plan.seed + 2)
    now_ns = time.time_ns()
    every_s = [ROWS_PER_BODY / per_s for per_s in (LINES_PER_S, SPANS_PER_S, SAMPLES_PER_S)]
    counts = [int(plan.seconds / one) for one in every_s]
    made, traces = [], []
    for number in range(counts[1]):
        made.append(spans.body(now_ns + round(number * every_s[1] * 1e9), 1000))
        traces.append(spans.newest_trace)
    return (
        Lane(
            server.door(rows.LOGS_PATH, rows.HEADERS),
            [lines.body(now_ns + round(n * every_s[0] * 1e9), 1000) for n in range(counts[0])],
            every_s[0],
        ),
        Lane(server.door(rows.TRACES_PATH, rows.HEADERS), made, every_s[1], traces),
        Lane(
            server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS),
            list(itertools.islice(_metric_bodies(plan, 600_000), counts[2])),
            every_s[2],
        ),
    )


async def play(plan: Plan, server: Server) -> Watch:
    """Write everything when it is due while a reader reads."""
    lines, spans, samples = make_lanes(plan, server)
    progress(f"reading while writing, {plan.seconds} s")
    watch = Watch()
    reader = threading.Thread(target=read, args=(server, watch))
    reader.start()
    began = time.perf_counter() + 0.2
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(send(lines, began, watch, []))
            group.create_task(send(spans, began, watch, []))
            group.create_task(send(samples, began, watch, watch.write_s))
    finally:
        watch.over = True
        await asyncio.to_thread(reader.join)
    return watch


async def send(lane: Lane, began: float, watch: Watch, told: list[float]) -> None:
    """A body whenever one is due, over as many connections as it takes."""
    async with asyncio.TaskGroup() as group:
        for first in range(N_CONNECTIONS):
            group.create_task(_send_some(lane, first, began, watch, told))


async def _send_some(lane: Lane, first: int, began: float, watch: Watch, told: list[float]) -> None:
    connection = Connection(lane.door.port)
    try:
        for index in range(first, len(lane.bodies), N_CONNECTIONS):
            due = began + index * lane.every_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status, text = await connection.post(lane.door.request(lane.bodies[index]))
            if status >= 300:
                raise client.Refused(status, text)
            told.append(time.perf_counter() - due)
            if lane.traces:
                watch.trace = lane.traces[index]
    finally:
        await connection.close()


def read(server: Server, watch: Watch) -> None:
    """One question after the other: a trace, a rare word, a common one, a phrase of one service."""
    hour = {"start": str(time.time() - 3600)}
    asked = {
        "rare": {"text": RARE, **hour},
        "common": {"text": COMMON, **hour},
        "phrase": {"text": '"reset by peer"', "query": '{service="service-7"}', **hour},
        "nothing": {"text": "unheard", **hour},
    }
    while not watch.over:
        if watch.trace:
            began = time.perf_counter()
            client.get(server.port, f"/api/v1/traces/{watch.trace}")
            watch.trace_s.append(time.perf_counter() - began)
        for kind, params in asked.items():
            began = time.perf_counter()
            client.get(server.port, "/api/v1/logs/search", {**params, "limit": "100"})
            watch.search_s.setdefault(kind, []).append(time.perf_counter() - began)
        time.sleep(0.05)


def check_search(server: Server) -> None:
    """What is found has the word, and all that should be there is found."""
    answer: dict[str, Any] = json.loads(
        client.get(server.port, "/api/v1/logs/search", {"text": RARE, "limit": "1000"})
    )
    if not answer["items"] or not all(RARE in item["body"] for item in answer["items"]):
        raise client.Refused(200, f"searching for '{RARE}' found {len(answer['items'])} lines")


def _metric_bodies(plan: Plan, ago_ms: int) -> Iterator[bytes]:
    """One scrape after the other, ROWS_PER_BODY series in a body."""
    walk = fleet.Walk(SERIES, seed=plan.seed, start_ms=int(time.time() * 1000) - ago_ms)
    encoder = bodies.RemoteWrite(bodies.label_runs(range(SERIES)), series_per_body=ROWS_PER_BODY)
    while True:
        yield from encoder.encode(*walk.take(1))


def notes(plan: Plan, watch: Watch) -> list[str]:
    n_searches = sum(len(seconds) for seconds in watch.search_s.values())
    return [
        f"Throughput: {plan.timed_lines:,} lines and {plan.timed_spans:,} spans by OTLP with gzip, "
        f"{ROWS_PER_BODY} a body, by CPU seconds of all of the server's processes on one core.",
        f"Reading: {plan.n_lines:,} lines of one hour on disk; {n_searches} searches of that hour "
        f"and {len(watch.trace_s)} traces (95th percentiles; of the slowest kind of search), while "
        f"{LINES_PER_S:,} lines, {SPANS_PER_S:,} spans and {SAMPLES_PER_S:,} samples/s arrive.",
        f"'{RARE}' is in one line of {RARE_EVERY:,}, '{COMMON}' in one of eight.",
    ]
