"""Detection of what is recorded, in fast time: the real stage, with its store in memory.

It stands beside a running server, and changes nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from watchkeeper.analyze import detect_state, template_stage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.difference import Difference, differences
from watchkeeper.analyze.template_stage import TemplateStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import NS_PER_S
from watchkeeper.config.sections import Config
from watchkeeper.errors import ConfigError, Permanent
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.recording.recording import KEPT_FOLDER, Recording
from watchkeeper.lake.recording.snapshot import Snapshot, snapshots
from watchkeeper.lake.series import Catalog
from watchkeeper.model import wire
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.ruling import DetectionSet
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import LogBatch, Logged, NewSeries, SampleBatch, Tick
from watchkeeper.parts.detect import detecting
from watchkeeper.runtime import StatefulStage
from watchkeeper.store.base import Filter, Store
from watchkeeper.store.installation import installation_key
from watchkeeper.store.memory import MemoryStore

R = TypeVar("R")

SETTLE_NS: Final = 900 * NS_PER_S
"""So long is gone on behind the end: what began before it may be found only then."""
_AT_ONCE_BYTES: Final = 4 << 20
_AT_ONCE: Final = 1000
_PAGE: Final = 10_000
_UNSET: Final = (detect_state.without_settings, template_stage.without_settings)
"""Checkpoints without the settings in them; as in JUDGING."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a replay begins, and what it knows there."""

    recording: Recording
    snapshot: Snapshot | None
    """None: at the very beginning, knowing nothing."""

    @property
    def position(self) -> int:
        return 0 if self.snapshot is None else self.snapshot.position


@dataclass(slots=True)
class Run:
    """How far a replay has come."""

    now_ns: int = 0
    """By the ticks."""
    oldest_ns: int = 2**63 - 1
    newest_ns: int = 0
    """Of its samples, which may be of another time than the ticks: imported ones are."""
    position: int = 0
    share: float = 0.0
    """Of the record that is behind."""
    n_records: int = 0
    n_samples: int = 0
    n_missing: int = 0
    """Positions whose records are damaged."""
    took_s: float = 0.0
    tenants: set[TenantId] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be replayed."""

    from_ns: int | None = None
    """Anomalies that began earlier do not count; None: from the earliest time there is."""
    to_ns: int | None = None
    """... and those that began then or later; None: all are wanted."""
    detection: DetectionConfig | None = None
    """Other settings than those that were in force."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    differences: Sequence[Difference]
    run: Run
    begin: Begin
    from_ns: int


Tell = Callable[[Run], None]


def begin(config: Config, from_ns: int | None) -> Begin:
    """Raises ConfigError or Permanent, with the remedy, where that time is not recorded."""
    if config.bus.use != "memory":
        raise ConfigError(
            f"replay: bus `{config.bus.use}` forgets what its processes are done with; records are "
            "kept where one process has all parts, with bus `memory`"
        )
    folder = config.data_dir / "log"
    try:
        recording = Recording(folder)
    except OSError as error:
        raise ConfigError(
            f"replay: '{folder}': {error.strerror}; run it as the user that runs the server, or "
            "name another installation's folder with --data-dir"
        ) from error
    if not recording.last:
        raise ConfigError(
            f"replay: nothing is recorded in '{folder}'; name the installation's folder with "
            "--data-dir"
        )
    first = recording.first
    usable = [one for one in snapshots(folder / KEPT_FOLDER) if one.position >= first - 1]
    if from_ns is None:
        return Begin(recording, None if first == 1 else _oldest(usable))
    chosen = [one for one in usable if one.taken_ns <= from_ns]
    if not chosen and first > 1:
        oldest = moment(_oldest(usable).taken_ns)
        raise Permanent(
            f"replay: what detection knew at {moment(from_ns)} is not kept; the earliest time to "
            f"begin at is {oldest}: say --from {oldest}, or let more be kept from now on: "
            "log.replay.keep_s, log.replay.max_bytes"
        )
    return Begin(recording, chosen[-1] if chosen else None)


async def replay(config: Config, asked: Asked, tell: Tell) -> Outcome:
    """Judge what is recorded once more, and compare. Raises as `begin` does."""
    start = begin(config, asked.from_ns)
    _refuse_without_length(start, asked)
    async with AsyncExitStack() as stack:
        live: Store = config.store.build(data_dir=config.data_dir)
        stack.push_async_callback(live.close)
        player = _Player(config, start, asked, live, stack)
        await player.restore()
        run = await player.play(tell)
        wanted = _Wanted(asked.from_ns if start.snapshot is None else player.from_ns, asked.to_ns)
        before = await wanted.of(live, run.tenants)
        after = await wanted.of(player.found, run.tenants)
    told = differences(before, after, reached=run.position)
    return Outcome(told, run, start, player.from_ns)


def _refuse_without_length(start: Begin, asked: Asked) -> None:
    """What ends before it begins would find nothing, and say so as if there were nothing."""
    known_ns = None if start.snapshot is None else start.snapshot.taken_ns
    from_ns = known_ns if asked.from_ns is None else asked.from_ns
    if from_ns is not None and asked.to_ns is not None and from_ns >= asked.to_ns:
        raise ConfigError(
            f"replay: begins at {moment(from_ns)}, which is not before its end, "
            f"--to {moment(asked.to_ns)}; a duration is so long ago: --from 6h --to 1h"
        )


class _Player:
    """Hands the records to a stage of its own."""

    def __init__(
        self, config: Config, start: Begin, asked: Asked, live: Store, stack: AsyncExitStack
    ) -> None:
        self._start = start
        self._asked = asked
        self.found = _Found(live)
        key = installation_key(config.data_dir)
        self._catalog = Catalog(key, config.catalog, Enrich(config.enrich))
        executor = stack.enter_context(ThreadPoolExecutor(1, "replay"))
        document = asked.detection or config.detection
        self._stages: Sequence[StatefulStage] = (  # as in JUDGING
            detecting(document, catalog=self._catalog, store=self.found, executor=executor),
            TemplateStage(
                config.templates,
                self._catalog.partition_of,
                executor,
                detection=document,
                store=self.found,
            ),
        )
        snapshot_ns = 0 if start.snapshot is None else start.snapshot.taken_ns
        self.from_ns = snapshot_ns if asked.from_ns is None else asked.from_ns
        self._run = Run(position=start.position)
        self._handed: list[Delivery] = []
        self._n_bytes = 0

    async def restore(self) -> None:
        """As a process does that is started."""
        snapshot = self._start.snapshot
        if snapshot is None:
            return
        for series in snapshot.series():
            self._catalog.replay(series)
            self._run.tenants.add(series.tenant)
        for state in snapshot.states():
            content = state.content
            if content and self._asked.detection is not None:
                content = _UNSET[state.group](content)
            await self._stages[state.group].load(state.partition, state.position, content)

    async def play(self, tell: Tell) -> Run:
        """To the end that is wanted, or to that of the recording."""
        run, began_s = self._run, time.perf_counter()
        for position, payload in self._start.recording.read(run.position):
            record: Logged = wire.decode(payload)
            run.n_missing += position - run.position - 1
            run.position = position
            if isinstance(record, Tick) and self._is_beyond(record):
                break
            await self._hand(Delivery(MIXED, position, record), len(payload))
            if not self._handed:
                self._tell(tell, began_s)
        await self._flush()
        self._tell(tell, began_s)
        return run

    def _tell(self, tell: Tell, began_s: float) -> None:
        whole = self._start.recording.last - self._start.position
        self._run.share = (self._run.position - self._start.position) / max(1, whole)
        self._run.took_s = time.perf_counter() - began_s
        tell(self._run)

    def _is_beyond(self, tick: Tick) -> bool:
        self._run.now_ns = tick.now_ns
        to_ns = self._asked.to_ns
        return to_ns is not None and tick.now_ns > to_ns + SETTLE_NS

    async def _hand(self, delivery: Delivery, n_bytes: int) -> None:
        record = delivery.record
        if isinstance(record, DetectionSet) and self._asked.detection is not None:
            return
        if isinstance(record, NewSeries):
            await self._flush()  # what is handed over speaks of who was in these slots before
            self._catalog.replay(record)
        if isinstance(record, NewSeries | LogBatch):
            self._run.tenants.add(record.tenant)
        self._run.n_records += 1
        if isinstance(record, SampleBatch) and len(record):
            self._run.n_samples += len(record)
            self._run.oldest_ns = min(self._run.oldest_ns, int(record.time_ns.min()))
            self._run.newest_ns = max(self._run.newest_ns, int(record.time_ns.max()))
        self._handed.append(delivery)
        self._n_bytes += n_bytes
        if len(self._handed) >= _AT_ONCE or self._n_bytes >= _AT_ONCE_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        handed, self._handed, self._n_bytes = self._handed, [], 0
        if handed:
            for stage in self._stages:
                await stage.handle(handed)


class _Found:
    """A store of what is found. What began before the replay is known from the live one."""

    def __init__(self, live: Store) -> None:
        self._live = live
        self._own = MemoryStore(MemoryStore.Config(record_limit=1 << 40, outbox_limit=1))
        self.list = self._own.list
        self.facets = self._own.facets
        self.events = self._own.events
        self.save = self._own.save
        self.close = self._own.close

    async def get(self, kind: type[R], tenant: TenantId, key: str) -> R | None:
        return await self._own.get(kind, tenant, key) or await self._live.get(kind, tenant, key)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Anomalies that count: those that began in this time."""

    from_ns: int | None
    to_ns: int | None

    async def of(self, store: Store, tenants: Iterable[TenantId]) -> list[Anomaly]:
        found = [one for tenant in sorted(tenants) async for one in self._begun(store, tenant)]
        return [one for one in found if self.from_ns is None or one.started_ns >= self.from_ns]

    async def _begun(self, store: Store, tenant: TenantId) -> AsyncIterator[Anomaly]:
        cursor, is_more = None, True
        while is_more:
            query = Filter(tenant, until_ns=self.to_ns, limit=_PAGE, cursor=cursor)
            page = await store.list(Anomaly, query)
            for one in page.items:
                yield one
            cursor = page.cursor
            is_more = cursor is not None


def _oldest(usable: Sequence[Snapshot]) -> Snapshot:
    if not usable:
        raise Permanent(
            "replay: what detection knew at the beginning of the record is not kept, nor at any "
            "time since; the server keeps it within minutes of its start where log.replay.keep_s "
            "is not 0: try again then"
        )
    return usable[0]


def moment(time_ns: int) -> str:
    """As --from takes it."""
    return datetime.fromtimestamp(-(-time_ns // NS_PER_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
