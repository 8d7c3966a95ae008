"""Kills under load: all that was acknowledged is there exactly once, and every score is the same.

A sender that retries as Prometheus does writes all the time, while the server is killed again and
again: plainly, on a disk that forgets unsynced pages, in the middle of a torn write, while it
replays its log. Afterwards all that was sent is read back, and the detectors' state and the
anomalies that follow from samples alone, not from ticks, are compared with those of a server that
took the same bodies in peace.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from bench import aftermath, bodies, client, fleet, ours, peers, readback, row_shards
from bench.aftermath import Found
from bench.client import Door
from bench.fleet import F64, I64
from bench.full_disk import fill, relieve, small_disk
from bench.peers import Recipe, Server
from bench.report import Target, progress
from bench.row_shards import LineShard, RowShard, SpanShard
from bench.sender import Delivered, Shard
from bench.suite import Measured, Options, scratch

TARGETS: Final[dict[str, Target]] = {
    "kills": (">=", 100),
    "lost": ("<=", 0),
    "duplicated": ("<=", 0),
    "score_mismatches": ("<=", 0),
}
N_SHARDS: Final = 4
SERIES_PER_SHARD: Final = fleet.SERIES_PER_POD * fleet.PODS_PER_SERVICE
"""One service each: series of one role meet in one shard, so that their order is the sender's."""
STEP_MS: Final = 60_000
"""A sample a minute: every sample closes a cell of the grid, and the grid's detector sees days."""
STEPS_PER_S: Final = 10.0
TROUBLE_STEPS: Final = 12
STRUCK_SHARE: Final = 0.004
LIFE_S: Final = (0.02, 2.0)
"""How long a server lives once it is ready."""
PLAIN, UNSYNCED_LOST, TORN, SCRIBBLED, WHILE_STARTING = WAYS = (
    "killed",
    "killed, unsynced pages lost",
    "killed in a torn write",
    "killed, rubbish behind the log",
    "killed while starting",
)


class Troubled:
    """A shard's values: a walk on which now and then a gauge leaves its usual place for a while.

    Bodies are made in order and kept while they may be asked for again.
    """

    def __init__(self, shard: int, *, seed: int, start_ms: int) -> None:
        self.first = shard * SERIES_PER_SHARD
        self._seed = (seed, shard)
        self._walk = fleet.Walk(SERIES_PER_SHARD, seed=seed, start_ms=start_ms, first=self.first)
        self._gauges = np.array(
            [not fleet.is_counter(self.first + row) for row in range(SERIES_PER_SHARD)]
        )
        self._encoder = bodies.RemoteWrite(
            bodies.label_runs(range(self.first, self.first + SERIES_PER_SHARD)),
            series_per_body=SERIES_PER_SHARD,
        )
        self.times: list[I64] = []
        self.values: list[F64] = []
        self._bodies: list[bytes] = []

    def body(self, index: int) -> bytes:
        while len(self._bodies) <= index:
            times, values = self._walk.take(1, step_ms=STEP_MS)
            period = len(self._bodies) // TROUBLE_STEPS
            struck = np.random.default_rng((*self._seed, period)).random(len(values)) < STRUCK_SHARE
            values[struck & self._gauges] *= 20
            self.times.append(times)
            self.values.append(values)
            self._bodies.append(self._encoder.encode(times, values)[0])
        return self._bodies[index]

    def sent(self, n_bodies: int) -> tuple[I64, F64]:
        """All times and values of the first bodies, (n series, n bodies)."""
        return (
            np.concatenate(self.times[:n_bodies], axis=1),
            np.concatenate(self.values[:n_bodies], axis=1),
        )


@dataclass(frozen=True, slots=True)
class Load:
    """All that is sent, and what became of it."""

    shards: list[Troubled]
    rows: list[RowShard]
    delivered: list[Delivered]
    """Of shards, then of rows."""

    @classmethod
    def of(cls, seed: int, start_ms: int, *, n_shards: int = N_SHARDS) -> Self:
        shards = [Troubled(number, seed=seed, start_ms=start_ms) for number in range(n_shards)]
        lately_ms = int(time.time()) * 1000 - 3_600_000  # within what is kept of lines and spans
        rows: list[RowShard] = [LineShard("ledger", lately_ms), SpanShard("ledger", lately_ms)]
        return cls(shards, rows, [Delivered() for _ in range(len(shards) + len(rows))])

    def senders(self, recipe: Recipe) -> list[Shard]:
        """In the order of `delivered`."""
        door = Door(recipe.port, bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)
        ways = [(door, shard.body) for shard in self.shards]
        ways += [(one.door(recipe), one.body) for one in self.rows]
        return [
            Shard(into, body, account)
            for (into, body), account in zip(ways, self.delivered, strict=True)
        ]

    @property
    def refusals(self) -> list[str]:
        return [one.refusal for one in self.delivered if one.dropped]


@dataclass(slots=True)
class Campaign:
    """A server that dies often, and whoever keeps sending to it."""

    folder: Path
    recipe: Recipe
    chance: random.Random
    ways: Sequence[str]
    """To die, one after the other."""
    deaths: dict[str, int] = field(default_factory=dict)
    over: bool = False

    def kill_again_and_again(self) -> Server:
        """Life after life; then the server that lives. To be called beside the event loop."""
        for number, way in enumerate(self.ways):
            died = self._live_and_die(way)
            self.deaths[died] = self.deaths.get(died, 0) + 1
            if number % 10 == 9:
                progress(f"{number + 1} of {len(self.ways)} kills")
        return self._start().wait_ready()

    def _live_and_die(self, way: str) -> str:
        """How it died: as wanted, but for a torn write that did not come in time."""
        if way in (PLAIN, SCRIBBLED):
            server = self._start().wait_ready()
            time.sleep(self.chance.uniform(*LIFE_S))
        elif way == WHILE_STARTING:
            server = self._start()
            time.sleep(self.chance.uniform(0, 2))
        elif way == UNSYNCED_LOST:
            server = self._start(torn_after=0).wait_ready()
            time.sleep(self.chance.uniform(*LIFE_S))
        else:
            server = self._start(torn_after=self.chance.randint(2, 60))
            if not client.wait_until(lambda: not server.running, timeout_s=20, every_s=0.01):
                way = UNSYNCED_LOST
        server.kill()
        if way == SCRIBBLED:
            aftermath.scribble(self.folder / "data", self.chance)
        return way

    def _start(self, *, torn_after: int | None = None) -> Server:
        """On the disk as it is; or on a frail one, which tears at a write if not 0."""
        recipe = self.recipe
        if torn_after is not None:
            command = ["bench.frail" if part == "watchkeeper" else part for part in recipe.command]
            root = str(Path(__file__).parents[1])
            path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), root)))
            environment = {"BENCH_TORN_AFTER": str(torn_after), "PYTHONPATH": path}
            recipe = replace(recipe, command=command, environment=environment)
        return Server(recipe, self.folder, core=None)


def run(options: Options) -> Measured:
    return rehearse(options, n_kills=5 if options.quick else 100)


def rehearse(options: Options, *, n_kills: int) -> Measured:
    """The whole: fight, peace, and the comparison."""
    seed = options.seed
    start_ms = (int(time.time()) - 8 * 86_400) * 1000
    load = Load.of(seed, start_ms)
    with scratch("durability", options) as folder:
        recipe = peers.watchkeeper(folder / "killed", ours.UNTRACED)
        chance = random.Random(seed)
        ways = chance.choices(WAYS, (30, 20, 20, 15, 15), k=n_kills)
        campaign = Campaign(folder / "killed", recipe, chance, ways)
        progress(f"{n_kills} kills while {len(load.shards) + len(load.rows)} shards send")
        asyncio.run(fight(campaign, load))
        killed = Aftermath.of(campaign.recipe, folder / "killed", load)
        progress("the same bodies in peace")
        recipe = peers.watchkeeper(folder / "peace", ours.UNTRACED)
        make_peace(recipe, folder, load)
        peace = Aftermath.of(recipe, folder / "peace", load)
        with small_disk(folder / "small") as small:
            squeezed = squeeze(small, seed, start_ms)
    return (
        figures(campaign, load, killed, peace, squeezed),
        notes(campaign, load),
    )


def squeeze(folder: Path, seed: int, start_ms: int) -> Found:
    """A server on a disk that is full for a while, and what it has of what it acknowledged."""
    load = Load.of(seed + 1, start_ms)
    recipe = peers.watchkeeper(folder, ours.UNTRACED)
    over = asyncio.Event()

    async def send(ballast: Path) -> None:
        async with asyncio.TaskGroup() as group:
            for sender in load.senders(recipe):
                group.create_task(sender.send(lambda _: not over.is_set(), per_second=None))
            await relieve(ballast.unlink, load.delivered)
            over.set()

    with Server(recipe, folder, core=None) as server:
        server.wait_ready()
        asyncio.run(send(fill(folder)))
    if any(one.dropped for one in load.delivered):
        raise readback.Different(f"full disk: refused for good: {load.refusals}")
    return Aftermath.of(recipe, folder, load).found


async def fight(campaign: Campaign, load: Load) -> None:
    """Send while the server is killed; once it lives for good, see every body through."""
    async with asyncio.TaskGroup() as group:
        for sender in load.senders(campaign.recipe):
            group.create_task(sender.send(lambda index: not campaign.over, per_second=STEPS_PER_S))
        server = await asyncio.to_thread(campaign.kill_again_and_again)
        campaign.over = True
    await asyncio.to_thread(server.stop)


def make_peace(recipe: Recipe, folder: Path, load: Load) -> None:
    """A server of the same installation takes the same bodies, and nobody disturbs it."""
    data = folder / "peace" / "data"
    data.mkdir()
    shutil.copy(folder / "killed" / "data" / "installation.key", data)

    async def send() -> None:
        async with asyncio.TaskGroup() as group:
            for sender, account in zip(load.senders(recipe), load.delivered, strict=True):
                again = replace(sender, delivered=Delivered())
                group.create_task(again.send(account.n_bodies.__gt__, per_second=None))

    with Server(recipe, folder / "peace", core=None) as server:
        server.wait_ready()
        asyncio.run(send())


@dataclass(slots=True)
class Aftermath:
    """What a server's folder holds after a graceful end."""

    found: Found
    """Of samples, lines and spans."""
    anomalies: Mapping[str, Any]
    states: Mapping[bytes, bytes]
    stored_again: int
    """Rows in files beyond those sent. Reading passes over them and compaction drops them."""

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, load: Load) -> Self:
        states = aftermath.states(folder / "data")
        n_bodies = [account.n_bodies for account in load.delivered]
        n_samples = sum(n_bodies[: len(load.shards)]) * SERIES_PER_SHARD
        stored_again = aftermath.stored_rows(folder / "data") - n_samples
        found = Found(0, 0)
        with Server(recipe, folder, core=None) as server:
            server.wait_ready()
            for shard, n in zip(load.shards, n_bodies, strict=False):
                times, values = shard.sent(n)
                for row in range(0, SERIES_PER_SHARD, fleet.SERIES_PER_POD):
                    rows = slice(row, row + fleet.SERIES_PER_POD)
                    found += aftermath.compare_pod(
                        server, shard.first + row, times[rows], values[rows]
                    )
            for one, n in zip(load.rows, n_bodies[len(load.shards) :], strict=True):
                found += one.compare(server, n)
            return cls(found, aftermath.anomalies(server), states, stored_again)


def figures(
    campaign: Campaign, load: Load, killed: Aftermath, peace: Aftermath, squeezed: Found
) -> dict[str, float]:
    if peace.found != Found(0, 0) or any(one.dropped for one in load.delivered):
        raise readback.Different(f"even in peace {peace.found}; refused: {load.refusals}")
    return {
        "kills": sum(campaign.deaths.values()),
        "lost": killed.found.lost + squeezed.lost,
        "duplicated": killed.found.duplicated + squeezed.duplicated,
        "score_mismatches": aftermath.differences(killed.states, peace.states)
        + aftermath.differences(killed.anomalies, peace.anomalies),
        "bodies_acknowledged": sum(one.acknowledged for one in load.delivered),
        "bodies_sent_again": sum(one.retries for one in load.delivered),
        "stored_again": killed.stored_again,
        "states_compared": len(peace.states),
        "anomalies_compared": len(peace.anomalies),
    }


def notes(campaign: Campaign, load: Load) -> list[str]:
    acknowledged = [one.acknowledged for one in load.delivered]
    n_samples = SERIES_PER_SHARD * sum(acknowledged[: len(load.shards)])
    n_rows = row_shards.ROWS_PER_BODY * sum(acknowledged[len(load.shards) :])
    ways = ", ".join(f"{n} {way}" for way, n in sorted(campaign.deaths.items()))
    return [f"{n_samples} samples, {n_rows} lines and spans acknowledged; deaths: {ways}."]
