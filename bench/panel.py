"""Panels of a dashboard over 30 days: a counter of 100 containers, scraped every 15 seconds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from bench import bodies, client, fleet, peers
from bench.fleet import METRICS, SERIES_PER_POD, STEP_MS
from bench.peers import Server
from bench.report import progress

DAYS: Final = 30
N_SERIES: Final = 100
CHUNK: Final = 400
"""Samples of one series in one body."""
N_ASKED: Final = 15
SETTINGS: Final = {
    "lake": {"raw_retention_s": 31 * 86_400},
    "ingest": {"admit": {"oldest_s": 31 * 86_400}},
}
METRIC: Final = "http_requests_total"
PANELS: Final = {
    "rate": f"sum by (service) (rate({METRIC}[5m]))",
    "topk": f"topk(5, rate({METRIC}[5m]))",
}


def waits_s(folder: Path, seed: int, *, days: int = DAYS) -> dict[str, list[float]]:
    """How long each panel took, asked again and again with a point an hour."""
    n_steps = days * 86_400_000 // STEP_MS
    end_ms = int(time.time()) * 1000
    begin_ms = end_ms - n_steps * STEP_MS
    with Server(peers.watchkeeper(folder, SETTINGS), folder, core=None) as server:
        server.wait_ready()
        _fill(server, seed, begin_ms, n_steps)
        times = {"start": str(begin_ms / 1000), "end": str(end_ms / 1000), "step": "3600"}
        return {kind: _waits_s(server, {"query": asked, **times}) for kind, asked in PANELS.items()}


def _fill(server: Server, seed: int, begin_ms: int, n_steps: int) -> None:
    first = METRICS.index(METRIC)
    runs = bodies.label_runs([first + pod * SERIES_PER_POD for pod in range(N_SERIES)])
    encoder = bodies.RemoteWrite(runs, series_per_body=10, samples_each=CHUNK)
    walk = fleet.Walk(2 * N_SERIES, seed=seed, start_ms=begin_ms)
    counters = [number for number in range(walk.n) if fleet.is_counter(number)]
    door = server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)
    for done in range(0, n_steps, CHUNK):
        if done % (100 * CHUNK) == 0:
            progress(f"30 days of {N_SERIES} series: {done:,} of {n_steps:,} samples of each")
        times, values = walk.take(CHUNK)
        client.post_all(door, [encoder.encode(times[counters], values[counters])])
    server.settle(limit_s=300.0)


def _waits_s(server: Server, form: dict[str, str]) -> list[float]:
    waits = []
    for _ in range(N_ASKED):
        began = time.perf_counter()
        answer = json.loads(client.post_form(server.port, "/prometheus/api/v1/query_range", form))
        waits.append(time.perf_counter() - began)
        n_points = sum(len(one["values"]) for one in answer["data"]["result"])
        expected = int((float(form["end"]) - float(form["start"])) / 3600)
        if n_points < expected:
            raise client.Refused(200, f"{form['query']}: {n_points} points, not {expected} or more")
    return waits
