"""Servers taking turns on one core: the same bodies, and every CPU second of each counted.

While it is not its turn a server is paused. So what it puts off (flush, merge, checkpoint) falls
into its own next turn, and no neighbour disturbs whoever is measured.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import bodies, client, fleet
from bench.client import Door
from bench.ledger import Ledger
from bench.peers import Server

TIMERS_S = 6.0
"""VictoriaMetrics writes its newest samples out after 5 s at the latest."""
MERGES_S = 60.0
BETWEEN_STEPS_S = 2.5
"""Our lake merges step by step, one a second: whoever rests for less is not at rest."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's share of a round."""

    n_samples: int
    cpu_s: float
    """From the first byte until the server was at rest."""
    wall_s: float
    """Until the last answer."""

    @property
    def cpu_us(self) -> float:
        """Per sample."""
        return self.cpu_s / self.n_samples * 1e6


@dataclass(slots=True)
class Contestant:
    """One server with what its turns have cost."""

    label: str
    server: Server
    core: set[int]
    door: Door
    """Where its turns go in."""
    ledger: Ledger
    labels: Callable[[int], Mapping[str, str]] = fleet.labels
    """By which labels the server knows series `number` of the fleet."""
    turns: list[Turn] = field(default_factory=list)
    first_sights: list[Turn] = field(default_factory=list)
    end_cpu_s: float = 0.0
    """What the graceful end cost, with what had to be written out there."""
    rss_bytes: int = 0

    @property
    def remote_write(self) -> Door:
        """Every server has this door, whatever its turns go through."""
        return self.server.door(bodies.REMOTE_WRITE_PATH, bodies.REMOTE_WRITE_HEADERS)

    def take_turn(self, steps: Sequence[Sequence[bytes]], n_samples: int) -> Turn:
        """Wake, send, wait until at rest, pause: what all of it cost."""
        before = self.server.cpu_s()
        if self.server.paused:
            self.server.resume()
        sent = client.post_all(self.door, steps)
        self.server.settle()
        turn = Turn(n_samples, self.server.cpu_s() - before, sent.wall_s)
        self.rss_bytes = self.server.rss_bytes()
        self.server.pause()
        return turn

    def end(self) -> None:
        """Stop gracefully; the cost of it goes to the samples of the turns."""
        before = self.server.cpu_s()
        self.end_cpu_s += self.server.stop() - before

    @property
    def n_samples(self) -> int:
        return sum(turn.n_samples for turn in self.turns)

    @property
    def cpu_us(self) -> float:
        """Per sample, over all turns and the end: flush, merge, compaction, checkpoint included.

        A mean, not a median: what happens in one turn of five was caused by all five.
        """
        return (sum(turn.cpu_s for turn in self.turns) + self.end_cpu_s) / self.n_samples * 1e6

    @property
    def median_cpu_us(self) -> float:
        """Per sample, of the turn in the middle: a slow minute of the machine says less to it."""
        return statistics.median(turn.cpu_us for turn in self.turns)

    @property
    def first_sight_us(self) -> float:
        """Per series, of rounds that showed nothing but new series, one sample each."""
        turns = self.first_sights
        return sum(turn.cpu_s for turn in turns) / sum(turn.n_samples for turn in turns) * 1e6

    @property
    def wall_rate(self) -> float:
        """Median samples per second on the wall clock."""
        return statistics.median(turn.n_samples / turn.wall_s for turn in self.turns)

    def row(self) -> tuple[str, ...]:
        cost = [turn.cpu_us for turn in self.turns]
        return (
            self.label,
            f"{self.cpu_us:.3f}",
            f"{self.median_cpu_us:.3f} [{min(cost):.3f}..{max(cost):.3f}]",
            f"{self.end_cpu_s:.2f}",
            f"{self.wall_rate / 1e6:.2f}",
            f"{self.first_sight_us:.1f}" if self.first_sights else "",
            f"{self.rss_bytes / 2**20:.0f}",
        )


HEAD = (
    "server",
    "CPU us/sample",
    "median of rounds",
    "end, CPU s",
    "wall M samples/s",
    "first sight, CPU us",
    "RSS MiB",
)


def times_cheaper(mine: Contestant, theirs: Contestant) -> float:
    """How often their CPU per sample is ours: mean by mean or median by median, the less of both.

    Whatever comes now and then, a merge as well as a slow minute of the machine, counts on both
    sides or on none.
    """
    return min(theirs.cpu_us / mine.cpu_us, theirs.median_cpu_us / mine.median_cpu_us)


def let_finish(contestants: Sequence[Contestant]) -> None:
    """After the last turn: time for what waits for a timer, and for merges that began with the last
    samples, counted with the end. Else whatever is measured next would pay for them."""
    before = [contestant.server.cpu_s() for contestant in contestants]
    for contestant in contestants:
        contestant.server.resume()
    time.sleep(TIMERS_S)
    for contestant in contestants:
        contestant.server.pause()
    for contestant, cpu_s in zip(contestants, before, strict=True):
        contestant.server.resume()
        contestant.server.settle(MERGES_S, quiet_s=BETWEEN_STEPS_S)
        contestant.server.pause()
        contestant.end_cpu_s += contestant.server.cpu_s() - cpu_s


def send_side_by_side(doors: Sequence[Door], steps: Sequence[Sequence[bytes]]) -> None:
    """The same bodies through several doors at once: nothing is measured here."""
    faults: list[Exception] = []

    def send(door: Door) -> None:
        try:
            client.post_all(door, steps)
        except (OSError, client.Refused) as fault:
            faults.append(fault)

    threads = [threading.Thread(target=send, args=(door,)) for door in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def unpin(contestants: Sequence[Contestant]) -> None:
    _place(contestants, set(range(os.cpu_count() or 1)))


def pin(contestants: Sequence[Contestant]) -> None:
    for contestant in contestants:
        _place([contestant], contestant.core)


def _place(contestants: Sequence[Contestant], core: set[int]) -> None:
    for contestant in contestants:
        for task in Path(f"/proc/{contestant.server.pid}/task").iterdir():
            try:
                os.sched_setaffinity(int(task.name), core)
            except ProcessLookupError:
                continue  # a thread that has just ended
