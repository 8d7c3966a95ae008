"""Upkeep: heads written out, the door's memory saved, the log released behind what is kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
import xxhash
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.bus.base import SAMPLES, Bus, Delivery
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import Retryable
from watchkeeper.ingest.prepare import Preparer
from watchkeeper.ingest.stage import Ingest
from watchkeeper.lake.files import Files
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Logged, NewSeries, Tick
from watchkeeper.patience import Patience

_log: Final = telemetry.Log(__name__)
STATE_FILE: Final = "door.state"
_RELEASED = telemetry.gauge(
    "watchkeeper_ingest_log_released_position", "Records up to here are kept elsewhere."
)


class UpkeepConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what is kept is put in order."""

    every_s: Annotated[
        float, Meta(gt=0, description="How often the lake is given time to write and compact.")
    ] = 1.0
    save_s: Annotated[
        float,
        Meta(gt=0, description="How often the door's memory is saved and the log released."),
    ] = 60.0
    idle_s: Annotated[
        float, Meta(gt=0, description="A series without samples for so long leaves memory.")
    ] = 3600.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and when upkeep is done, and for whom the log is kept."""

    executor: Executor
    clock: Clock
    data_dir: Path
    groups: tuple[str, ...]
    """Those who begin at their checkpoints."""
    persist: Callable[[int], None] | None = None
    """Makes the catalog durable; needed where no log of this process would restore its slots."""
    reached: Callable[[], int | None] = lambda: None
    """Up to where everybody in this process is done; None where nobody has anything to do."""
    let_go: Callable[[float], None] | None = None
    """Lets series leave memory that were idle for so many seconds; needed where no door does."""


class Kept(Protocol):
    """The lake, or a table: what is to be maintained, and keeps the log from being released."""

    def stored(self) -> int: ...

    def maintain(self, now_ns: int, *, everything: bool = False) -> None: ...


class Upkeep:
    """Runs beside everything else until cancelled; `finish` does all that is left at a stop."""

    def __init__(
        self,
        config: UpkeepConfig,
        around: Surroundings,
        *,
        ingest: Ingest | None,
        preparer: Preparer | None,
        kept: Sequence[Kept],
        bus: Bus,
    ) -> None:
        """Without `ingest` and `preparer` there is no door; without `kept` the log is another's to
        release."""
        self._config = config
        self._around = around
        self._ingest = ingest
        self._preparer = preparer
        self._kept = kept
        self._bus = bus
        self._released = 0
        self._beyond = 0
        """Position that the log must have been released beyond before a slot changes hands."""
        self._marks: deque[tuple[int, int]] = deque()
        """(time, position) of each save within the idle time, oldest first."""
        # A full disk or a mistake of ours is told, and tried again the next time; it ends nothing.
        self._patience = Patience("upkeep", around.clock, config.every_s, config.every_s)

    async def run(self) -> None:
        clock = self._around.clock
        saved_ns = clock.now_ns()
        while True:
            await clock.sleep(self._config.every_s)
            now_ns = clock.now_ns()
            await self._maintain(now_ns)
            if now_ns - saved_ns >= self._config.save_s * NS_PER_S:
                saved_ns = now_ns
                await self._patience.attempt("door", self._save(now_ns))

    async def finish(self, now_ns: int) -> None:
        """Write out everything, and release what nobody needs any more. The door is closed."""
        await self._maintain(now_ns, everything=True)
        if self._ingest is None or self._preparer is None:
            await self._patience.attempt("door", self._release())
            return
        position, state = self._ingest.position, self._preparer.dump()
        await self._patience.attempt("door", self._keep(position, state))

    async def _maintain(self, now_ns: int, *, everything: bool = False) -> None:
        """Each by itself: one that cannot be maintained keeps no other from it."""
        for one in self._kept:
            work = partial(one.maintain, now_ns, everything=everything)
            await self._patience.attempt("lake", self._on_thread(work))

    async def _save(self, now_ns: int) -> None:
        ingest, preparer = self._ingest, self._preparer
        if ingest is None or preparer is None:
            await self._release()
            await self._let_go(now_ns)
            return
        dumped: list[bytes] = []

        def between_groups() -> None:
            if self._idle_long_enough(now_ns):
                preparer.recycle(now_ns, self._config.idle_s)
            dumped.append(preparer.dump())

        position = await ingest.between_groups(between_groups)
        self._marks.append((now_ns, position))
        await self._keep(position, dumped[0])

    async def _let_go(self, now_ns: int) -> None:
        """What the door does where there is one."""
        around, reached = self._around, self._around.reached()
        if around.let_go is None or reached is None:
            return
        self._marks.append((now_ns, reached))
        if self._idle_long_enough(now_ns):
            await self._on_thread(partial(around.let_go, self._config.idle_s))

    def _idle_long_enough(self, now_ns: int) -> bool:
        """Whether the log has been released beyond all that was accepted before the idle time.

        A slot may only change hands when no record is left that could be replayed for its former
        owner.
        """
        horizon_ns = now_ns - round(self._config.idle_s * NS_PER_S)
        while self._marks and self._marks[0][0] <= horizon_ns:
            self._beyond = self._marks.popleft()[1]
        return self._released >= self._beyond

    async def _keep(self, position: int, state: bytes) -> None:
        """Save the door's memory, then let the log forget what is kept elsewhere."""
        path = self._around.data_dir / STATE_FILE
        content = seal(position, state)
        try:
            if self._around.persist is not None:
                await self._on_thread(partial(self._around.persist, self._around.clock.now_ns()))
            await self._on_thread(lambda: Files().write_whole(path, content))
        except OSError as error:
            _log.warning("state of the door not saved", path=path, why=error.strerror)
            return
        await self._release(position)

    async def _release(self, *saved: int) -> None:
        """Whoever keeps telemetry lets the log forget what is nowhere needed any more."""
        if not self._kept:
            reached = self._around.reached()
            self._released = min([*saved, *([] if reached is None else [reached])], default=0)
            return
        stored = min([*saved, *(one.stored() for one in self._kept)])
        try:
            self._released = await self._bus.release(stored, self._around.groups)
        except Retryable as refusal:
            _log.warning("log not released", why=str(refusal))
        _RELEASED.set(self._released)

    async def _on_thread(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._around.executor, work)


def recover(
    preparer: Preparer, data_dir: Path, records: Callable[[], Iterable[tuple[int, Logged]]]
) -> int:
    """Bring the door's memory to where it was: what was saved, then the log; how many records."""
    position, n_records, now_ns = 0, 0, 0
    found = unseal(data_dir / STATE_FILE)
    if found is not None:
        position, state = found
        preparer.load(state)
    for at, record in records():
        # What is not fresh still tells the time, which the first fresh records may not.
        if isinstance(record, NewSeries | Tick) or at > position:
            now_ns = preparer.follow(record, now_ns, fresh=at > position)
            n_records += 1
    return n_records


async def recover_from(bus: Bus, preparer: Preparer, data_dir: Path, executor: Executor) -> int:
    """The same where the bus is the log: what was saved, then what any door had taken since, as
    far as that was not released; the newest position."""
    position = 0
    found = unseal(data_dir / STATE_FILE)
    if found is not None:
        position, state = found
        preparer.load(state)
    newest, now_ns = await bus.newest(SAMPLES), 0

    def follow(deliveries: Sequence[Delivery], now_ns: int) -> int:
        for delivery in deliveries:
            now_ns = preparer.follow_shared(delivery.record, now_ns)
        return now_ns

    while position < newest:
        everywhere = dict.fromkeys(range(N_PARTITIONS), position)
        taken = await bus.take(SAMPLES, everywhere, wait_s=0.0)
        if not taken:
            break
        loop = asyncio.get_running_loop()
        now_ns = await loop.run_in_executor(executor, follow, taken, now_ns)
        position = taken[-1].position
    return newest


def seal(position: int, state: bytes) -> bytes:
    """A saved memory, in a form whose damage is noticed."""
    body = msgspec.msgpack.encode((position, state))
    return xxhash.xxh3_64_digest(body) + body


def unseal(path: Path) -> tuple[int, bytes] | None:
    """What was saved; None if there is nothing, or nothing whole. The log then says what it can."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if xxhash.xxh3_64_digest(content[8:]) != content[:8]:
        _log.error("state of the door is damaged, replaying the log instead", path=path)
        return None
    return msgspec.msgpack.decode(content[8:], type=tuple[int, bytes])
