"""Kills of the parts of one installation under load, over Redis and PostgreSQL.

Each part is a process of its own. While a sender that retries writes all the time, one part after
the other is killed and started again. Afterwards all that was acknowledged is read back through the
API, and the anomalies that follow from samples alone, not from ticks, are compared with those of
one process that took the same bodies in peace.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from bench import aftermath, client, fleet, ours, peers
from bench.aftermath import Found
from bench.client import Refused
from bench.durability import SERIES_PER_SHARD, Load
from bench.peers import Recipe, Server, Unmeasurable
from bench.postgres import Cluster
from bench.report import Target, progress
from bench.sender import Delivered, Shard
from bench.servers import redis_server
from bench.suite import Measured, Options, scratch

TARGETS: Final[dict[str, Target]] = {
    "kills": (">=", 50),
    "lost": ("<=", 0),
    "duplicated": ("<=", 0),
    "anomaly_mismatches": ("<=", 0),
}
THREE: Final[Mapping[str, Sequence[str]]] = {
    "door": ("ingest", "api"),
    "store": ("store",),
    "detect": ("detect",),
}
SIX: Final[Mapping[str, Sequence[str]]] = {
    "door": ("ingest",),
    "other-door": ("ingest",),
    "store": ("store",),
    "detect": ("detect",),
    "other-detect": ("detect",),
    "api": ("api",),
}
STEPS_PER_S: Final = 4.0
"""Less than where one process is killed, for three, Redis and PostgreSQL share the same cores."""
LEASE_S: Final = 3.0
LIFE_S: Final = (0.2, 2.0)
SETTLED_S: Final = 5.0
LIMIT_S: Final = 120.0


@dataclass(slots=True)
class Crew:
    """The processes of an installation, by name, each on a port and in a folder that it keeps."""

    folder: Path
    recipes: Mapping[str, Recipe]
    parts: Mapping[str, Sequence[str]]
    servers: dict[str, Server] = field(default_factory=dict)
    recovery_s: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, parts: Mapping[str, Sequence[str]], shared: Any) -> Self:
        """`shared` are settings that all of them have."""
        keeper = peers.free_port()
        recipes = {}
        for name, its in parts.items():
            settings = {**shared, "parts": list(its)}
            port = keeper if "store" in its else peers.free_port()
            settings["server"] = {"host": client.HOST, "port": port}
            if "api" in its and "store" not in its:
                settings["remote"] = {"url": f"http://{client.HOST}:{keeper}"}
            recipe = peers.watchkeeper(folder / name, settings, name=name)
            recipes[name] = replace(recipe, port=port)
        return cls(folder, recipes, parts)

    def __enter__(self) -> Self:
        for name in self.recipes:
            self._start(name)
        for server in self.servers.values():
            server.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers.values():
            if server.running:
                server.stop()

    def being(self, part: str) -> list[Server]:
        return [self.servers[name] for name, its in self.parts.items() if part in its]

    def kill(self, name: str) -> None:
        """With no chance to put anything in order; back when this returns, and asked about all."""
        began = time.perf_counter()
        self.servers[name].kill()
        self._start(name)
        self.servers[name].wait_ready()
        if not client.wait_until(self._answers, timeout_s=LIMIT_S):
            raise Unmeasurable(f"no answer after {name} was killed: {self.servers[name].tail()}")
        self.recovery_s.append(time.perf_counter() - began)

    def senders(self, load: Load) -> list[Shard]:
        """In the order of `delivered`, in turns to every door."""
        doors = [self.recipes[name] for name, its in self.parts.items() if "ingest" in its]
        by_door = [load.senders(recipe) for recipe in doors]
        return [by_door[n % len(doors)][n] for n in range(len(load.delivered))]

    def _answers(self) -> bool:
        """Whether what is kept can be read."""
        try:
            for server in self.being("api"):
                client.get(server.port, "/api/v1/metrics/query", {"query": 'up{pod="none"}'})
        except (OSError, Refused):
            return False
        return True

    def _start(self, name: str) -> None:
        self.servers[name] = Server(self.recipes[name], self.folder / name, core=None)


def run(options: Options) -> Measured:
    n_kills = 5 if options.quick else 50
    with scratch("processes", options) as folder, ExitStack() as stack:
        redis = Path(peers.binary("redis-server", "redis-server"))
        url = stack.enter_context(redis_server(redis, folder / "redis"))
        database = stack.enter_context(Cluster())
        shared = settings(url, database.url)
        return rehearse(folder, THREE, shared, n_kills=n_kills, seed=options.seed)


def settings(redis: str, database: str) -> dict[str, Any]:
    return {
        **ours.UNTRACED,
        "bus": {"use": "redis", "url": redis},
        "store": {"use": "postgres", "url": database},
        "runtime": {"lease_s": LEASE_S, "checkpoint_s": 5.0},
        "upkeep": {"save_s": 2.0},
    }


def rehearse(
    folder: Path,
    parts: Mapping[str, Sequence[str]],
    shared: Mapping[str, Any],
    *,
    n_kills: int,
    seed: int,
) -> Measured:
    """Fight, peace, and the comparison."""
    load = Load.of(seed, (int(time.time()) - 8 * 86_400) * 1000)
    chance = random.Random(seed)
    with Crew.of(folder, parts, shared) as crew:
        names = [name for _ in range(n_kills) for name in parts][:n_kills]
        chance.shuffle(names)
        asyncio.run(fight(crew, load, names, chance))
        (reader, *_) = crew.being("api")
        found = read_back(reader, load)
        told = _settled(reader)
        slowest_s = max(crew.recovery_s)
    peace = _in_peace(folder, load)
    return {
        "kills": len(names),
        "lost": found.lost,
        "duplicated": found.duplicated,
        "anomaly_mismatches": aftermath.differences(told, peace),
        "recovery_s": slowest_s,
        "anomalies_compared": len(peace),
        "bodies_acknowledged": sum(one.acknowledged for one in load.delivered),
        "bodies_sent_again": sum(one.retries for one in load.delivered),
    }, [f"killed: {', '.join(f'{names.count(name)} {name}' for name in parts)}."]


async def fight(crew: Crew, load: Load, names: Sequence[str], chance: random.Random) -> None:
    """Send while these are killed, one after the other; then see every body through."""
    over = asyncio.Event()

    async def kill() -> None:
        for number, name in enumerate(names):
            await asyncio.sleep(chance.uniform(*LIFE_S))
            await asyncio.to_thread(crew.kill, name)
            if number % 10 == 9:
                progress(f"{number + 1} of {len(names)} kills")
        over.set()

    async with asyncio.TaskGroup() as group:
        for sender in crew.senders(load):
            group.create_task(sender.send(lambda _: not over.is_set(), per_second=STEPS_PER_S))
        await kill()
    if any(one.dropped for one in load.delivered):
        raise Unmeasurable(f"refused for good: {load.refusals}")


def read_back(server: Server, load: Load) -> Found:
    """As a client does that was told to come again: until the keeper has all, it answers 503."""
    end = time.perf_counter() + LIMIT_S
    while True:
        try:
            return compare(server, load)
        except Refused as refused:
            if refused.status != 503 or time.perf_counter() > end:
                raise
            time.sleep(1)


def compare(server: Server, load: Load) -> Found:
    """What was sent, and what is read."""
    found = Found(0, 0)
    n_bodies = [account.n_bodies for account in load.delivered]
    for shard, n in zip(load.shards, n_bodies, strict=False):
        times, values = shard.sent(n)
        for row in range(0, SERIES_PER_SHARD, fleet.SERIES_PER_POD):
            rows = slice(row, row + fleet.SERIES_PER_POD)
            found += aftermath.compare_pod(server, shard.first + row, times[rows], values[rows])
    for one, n in zip(load.rows, n_bodies[len(load.shards) :], strict=True):
        found += one.compare(server, n)
    return found


def _settled(server: Server) -> Mapping[str, Any]:
    """All anomalies, once no more come."""
    told, since = aftermath.anomalies(server), time.perf_counter()
    end = since + LIMIT_S
    while time.perf_counter() < min(end, since + SETTLED_S):
        time.sleep(0.2)
        now = aftermath.anomalies(server)
        if json.dumps(now, default=str) != json.dumps(told, default=str):
            told, since = now, time.perf_counter()
    return told


def _in_peace(folder: Path, load: Load) -> Mapping[str, Any]:
    """What one process of the same key makes of the same bodies."""
    recipe = peers.watchkeeper(folder / "peace", ours.UNTRACED, name="peace")
    (folder / "peace" / "data").mkdir(parents=True)
    shutil.copy(folder / "store" / "data" / "installation.key", folder / "peace" / "data")

    async def send() -> None:
        async with asyncio.TaskGroup() as group:
            for sender, account in zip(load.senders(recipe), load.delivered, strict=True):
                again = replace(sender, delivered=Delivered())
                group.create_task(again.send(account.n_bodies.__gt__, per_second=None))

    with Server(recipe, folder / "peace", core=None) as server:
        server.wait_ready()
        asyncio.run(send())
        return _settled(server)
