"""Templates of log lines, learned from what was accepted in the order of the log; and what is
unusual of them, saved as anomalies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar, TypeVarTuple

import msgspec

from watchkeeper.analyze import rulings
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.governing import quiet
from watchkeeper.analyze.judge import WatcherJudge
from watchkeeper.analyze.log_rulings import LogRulings
from watchkeeper.analyze.log_watch import VERSION, LogWatch
from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.template_runs import Runs
from watchkeeper.analyze.templates import Templates
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.bus.base import MIXED, SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.errors import Retryable
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus
from watchkeeper.model.change import Change
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import N_PARTITIONS, TenantId
from watchkeeper.model.signal import LogBatch, Tick
from watchkeeper.model.template import Template
from watchkeeper.store.base import Store

A = TypeVarTuple("A")
T = TypeVar("T")

_HEARD: Final = (LogBatch, Change, Tick, DetectionSet, Maintenance, Verdict)
"""Records that say anything here; most others are samples."""

Sighted = tuple[str, int, str, Sighting]
"""By whom, at which position of the log, and why it is muted if it begins there."""


class _Kept(msgspec.Struct):
    """A partition in a checkpoint."""

    templates: bytes
    watch: bytes
    rulings: bytes = b""


_decoder = msgspec.msgpack.Decoder(_Kept)


def without_settings(state: bytes) -> bytes:
    """A checkpoint, judged by the settings of whoever loads it."""
    kept = _decoder.decode(state)
    kept.rulings = rulings.without_settings(kept.rulings)
    return msgspec.msgpack.encode(kept)


class TemplateStage:
    """Knows templates on a thread of its own, which is asked what it knows."""

    name = "templates"
    topic = SAMPLES

    def __init__(
        self,
        config: TemplatesConfig,
        partition_of: Callable[[TenantId, str], int],
        executor: Executor,
        *,
        detection: DetectionConfig | None = None,
        store: Store | None = None,
    ) -> None:
        """`executor` has one thread. Lines are watched where there is a store to tell it."""
        self._templates = Templates(config, partition_of)
        detection = detection or DetectionConfig()
        self._partition_of = partition_of
        self._watch = LogWatch(detection.logs, self._templates, partition_of)
        self._rulings = LogRulings(detection, self._watch)
        self._anomalies = None if store is None else _Anomalies(store, VERSION)
        self._unsaved: list[Sighted] | None = None
        self._executor = executor
        self._covered: dict[int, int] = {}
        self._progress = Progress(0)
        self.caught_up = self._progress.caught_up

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Learn of these, and save what was found. To learn twice would be wrong, so where only
        saving failed only that is tried again."""
        if self._unsaved is None:
            ours = [one for one in deliveries if isinstance(one.record, _HEARD)]
            self._unsaved = await self._run(self._take, ours) if ours else []
        unsaved, self._unsaved = self._unsaved, None
        try:
            if unsaved and self._anomalies is not None:
                await self._anomalies.save(unsaved)
        except Retryable:
            self._unsaved = unsaved
            raise
        self._progress.reach(max(delivery.position for delivery in deliveries))

    async def dump(self, partition: int) -> bytes:
        return await self._run(self._dump, partition)

    async def load(self, partition: int, position: int, state: bytes) -> None:
        await self._run(self._load, partition, state)
        if self._anomalies is not None:
            self._anomalies.forget()
        self._covered[partition] = position

    async def templates(self, tenant: TenantId, service: str | None) -> Sequence[Template]:
        """Those that stand for a tenant's lines now."""
        return await self._run(self._templates.templates, tenant, service)

    async def fingerprints(self, tenant: TenantId, template: int) -> Sequence[int]:
        """What a template means; nothing where it is not known."""
        return sorted(await self._run(self._templates.fingerprints, tenant, template))

    async def _run(self, work: Callable[[*A], T], *given: *A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *given)

    def _dump(self, partition: int) -> bytes:
        kept = _Kept(
            self._templates.dump(partition),
            self._watch.dump(partition),
            self._rulings.dump(partition),
        )
        return msgspec.msgpack.encode(kept)

    def _load(self, partition: int, state: bytes) -> None:
        kept = _decoder.decode(state) if state else _Kept(b"", b"")
        self._rulings.load(partition, kept.rulings)
        self._templates.load(partition, kept.templates)
        self._watch.load(partition, kept.watch)

    def _take(self, deliveries: Sequence[Delivery]) -> list[Sighted]:
        found: list[Sighted] = []
        for delivery in deliveries:
            is_new = partial(self._is_new, delivery)
            match delivery.record:
                case LogBatch() as batch if len(batch):
                    runs = Runs(batch)
                    self._templates.take_runs(batch, runs, is_new)
                    if self._anomalies is not None:
                        self._watch.take(batch, runs, is_new)
                case Change() as change:
                    self._watch.change(change, is_new)
                case Tick() as tick:
                    compared = self._templates.tick(tick.now_ns, is_new)
                    self._rulings.tick(tick.now_ns)
                    said = self._watch.tick(tick.now_ns, compared, is_new)
                    found += [self._noted(name, delivery, one) for name, one in said]
                case DetectionSet() | Maintenance() | Verdict() as ruling:
                    self._rulings.take(ruling, [one for one in range(N_PARTITIONS) if is_new(one)])
        return found

    def _noted(self, detector: str, delivery: Delivery, sighting: Sighting) -> Sighted:
        partition = self._partition_of(sighting.tenant, sighting.entity.service)
        muted = self._rulings.muted(partition, detector, sighting)
        return detector, delivery.position, muted, sighting

    def _is_new(self, delivery: Delivery, partition: int) -> bool:
        """Whether a delivery speaks of a partition, and no checkpoint covers that."""
        if delivery.partition not in (MIXED, partition):
            return False
        return self._covered.get(partition, 0) < delivery.position


class _Anomalies:
    """Saves changes of episodes. To save the same again changes nothing."""

    def __init__(self, store: Store, version: int) -> None:
        self._store = store
        self._version = version
        self._open: dict[AnomalyId, Anomaly] = {}

    async def save(self, sighted: Sequence[Sighted]) -> None:
        """All of them, in their order, or none."""
        changed: dict[AnomalyId, Anomaly] = {}
        for watcher, position, muted, sighting in sighted:
            judge = WatcherJudge(watcher, self._version)
            key = judge.id_of(sighting)
            known = changed.get(key) or self._open.get(key)
            if known is None:  # opened before a restart, or just now
                known = await self._store.get(Anomaly, sighting.tenant, key)
            now = judge.judge(
                sighting, position=position, known=known, metric_class=MetricClass.LOG_RATE
            )
            changed[key] = quiet(now, muted if known is None else known.muted)
        await self._store.save(list(changed.values()))
        for key, anomaly in changed.items():
            if anomaly.status is AnomalyStatus.OPEN:
                self._open[key] = anomaly
            else:
                self._open.pop(key, None)

    def forget(self) -> None:
        """What this process remembers may have gone on in another."""
        self._open.clear()
