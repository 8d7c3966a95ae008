"""A million series: bytes of memory for each, and what a sample costs beside a thousand series.

Memory is the slope of resident bytes between two sizes of the same server, so that what it needs
at rest cancels out. Before either is read, as many samples are sent, so that buffers are as full.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import bodies, client, fleet, ours, peers
from bench.peers import Server
from bench.report import Target, progress
from bench.suite import Measured, Options, client_core, scratch

TARGETS: Final[dict[str, Target]] = {
    "bytes_per_series": ("<=", 700),
    "bytes_per_series_fk": ("<=", 2600),
    "scale_1k_1m": ("<=", 2.5),
}
SERIES_PER_BODY: Final = 1000
"""As many as the small server has, so that both get bodies of one size."""
STEP_MS: Final = 60_000
"""Every sample closes a cell of the grid, so that its detector's state is all in use."""
RSS_LOOKS: Final = 8
RSS_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    small: int
    middle: int
    large: int
    n_samples: int
    """To be sent before memory is read, and while CPU is measured."""
    seed: int
    start_ms: int


class Crowd:
    """A growing number of series of one server."""

    def __init__(self, server: Server, plan: Plan) -> None:
        self.server = server
        self._plan = plan
        self._blocks: list[tuple[fleet.Walk, bodies.RemoteWrite]] = []
        self._door = server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)
        self.n_series = 0
        self._next_ms = plan.start_ms

    def grow(self, to: int) -> None:
        """More series, shown with one sample each; a block at a time, to keep the client small."""
        while self.n_series < to:
            n = min(100_000, to - self.n_series)
            first = self.n_series
            walk = fleet.Walk(n, seed=self._plan.seed, start_ms=self._next_ms, first=first)
            runs = bodies.label_runs(range(first, first + n))
            self._blocks.append((walk, bodies.RemoteWrite(runs, series_per_body=SERIES_PER_BODY)))
            self.n_series += n
            progress(f"{self.server.name}: {self.n_series} series")
            self._send(self._blocks[-1:])

    def scrape(self, n_samples: int) -> float:
        """Send a sample of each series until so many are sent; CPU us per sample, settled."""
        steps = max(1, n_samples // self.n_series)
        self.server.settle()
        before = self.server.cpu_s()
        for _ in range(steps):
            self._next_ms += STEP_MS
            self._send(self._blocks)
        self.server.settle()
        return (self.server.cpu_s() - before) / (steps * self.n_series) * 1e6

    def resident_bytes(self) -> float:
        """Median of a few looks: maintenance comes and goes."""
        looks = []
        for _ in range(RSS_LOOKS):
            looks.append(self.server.rss_bytes())
            time.sleep(RSS_LOOK_EVERY_S)
        return statistics.median(looks)

    def _send(self, blocks: list[tuple[fleet.Walk, bodies.RemoteWrite]]) -> None:
        for walk, encoder in blocks:
            client.post_all(self._door, [encoder.encode(*walk.take(1, step_ms=STEP_MS))])


def run(options: Options) -> Measured:
    start_ms = (int(time.time()) - 5 * 86_400) * 1000
    plan = (
        Plan(1000, 4000, 20_000, 100_000, options.seed, start_ms)
        if options.quick
        else Plan(1000, 200_000, 1_000_000, 4_000_000, options.seed, start_ms)
    )
    with scratch("scale", options) as folder, client_core() as core:
        small_us = cost_of_a_few(plan, folder / "few", core)
        # As many series as are allowed by default leave no room for any of its own.
        settings = {**ours.T1, **ours.NO_TRACES}
        t1_bytes, large_us = slope(plan, folder / "t1", settings, core)
        fk_bytes, _ = slope(plan, folder / "fk", ours.UNTRACED, core)
    figures = {
        "bytes_per_series": t1_bytes,
        "bytes_per_series_t1": t1_bytes,
        "bytes_per_series_fk": fk_bytes,
        "scale_1k_1m": large_us / small_us,
        "cpu_us_per_sample_small": small_us,
        "cpu_us_per_sample_large": large_us,
    }
    return figures, [
        f"Memory: resident bytes between {plan.middle} and {plan.large} series. "
        f"CPU: at {plan.large} series over that at {plan.small}, {SERIES_PER_BODY} samples a body."
    ]


def cost_of_a_few(plan: Plan, folder: Path, core: set[int]) -> float:
    with Server(peers.watchkeeper(folder, ours.T1), folder, core=core) as server:
        crowd = Crowd(server.wait_ready(), plan)
        crowd.grow(plan.small)
        crowd.scrape(plan.n_samples // 4)
        return crowd.scrape(plan.n_samples)


def slope(
    plan: Plan, folder: Path, settings: Mapping[str, object], core: set[int]
) -> tuple[float, float]:
    """Bytes per series between the middle and the large size, and CPU us per sample at the large
    one."""
    with Server(peers.watchkeeper(folder, settings), folder, core=core) as server:
        crowd = Crowd(server.wait_ready(), plan)
        crowd.grow(plan.middle)
        crowd.scrape(plan.n_samples)
        middle_bytes = crowd.resident_bytes()
        crowd.grow(plan.large)
        cpu_us = crowd.scrape(plan.n_samples)
        per_series = (crowd.resident_bytes() - middle_bytes) / (plan.large - plan.middle)
        return per_series, cpu_us
