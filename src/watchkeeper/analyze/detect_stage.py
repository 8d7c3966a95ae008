"""Detection: accepted samples in, anomalies out.

Every sample passes the sample tier, which also closes the cells of the grid; closed cells pass the
grid tier. State is one row per series, kept per partition: a checkpoint of a partition covers all
up to a position, and what lies at or below it is skipped when it is delivered again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from watchkeeper import telemetry
from watchkeeper.analyze import detect_state
from watchkeeper.analyze.absent import Absent, some
from watchkeeper.analyze.derivation import Deriving
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.governing import Governing, Hands, quiet
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.ledger import Ledger
from watchkeeper.analyze.plan import Plan
from watchkeeper.analyze.tiers import Change, Tiers
from watchkeeper.bus.base import MIXED, SAMPLES, Delivery
from watchkeeper.errors import Retryable
from watchkeeper.model import change as changes
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus
from watchkeeper.model.baseline import NOTHING_LEARNED, Baselines
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.series import I32, N_PARTITIONS, Mask, TenantId
from watchkeeper.model.signal import HistogramBatch, NewSeries, SampleBatch, SpanBatch, Tick, take
from watchkeeper.store.base import Store

_CHANGES = telemetry.counter(
    "watchkeeper_detect_changes_total", "Changes of anomalies, by detector.", ("detector",)
)
_PREDICTIONS = telemetry.counter(
    "aiops_predictions_total", "Verdicts of something unusual.", ("prediction_type", "service")
)


_NO_POINTS = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))

Answer = TypeVar("Answer")
Found = list[tuple[Change, int, str]]
"""Each with its position, and why it is muted if it begins there."""


class DetectStage:
    """Judges samples in the order of the log, and saves what changed."""

    name = "detect"
    topic = SAMPLES

    def __init__(
        self,
        document: DetectionConfig | None = None,
        *,
        catalog: KnownSeries,
        store: Store,
        executor: Executor,
        derived: Deriving | None = None,
        absent: Absent | None = None,
    ) -> None:
        """`derived` makes of histograms and spans what is scored of them. `absent` keeps what was
        learned of series until they are known here; without it, they have left for good."""
        file = document or DetectionConfig()
        self.tiers = Tiers(Plan(file), catalog)
        self._governing = Governing(
            file,
            catalog,
            self.tiers,
            Hands(self.arrange, self._learn),
            is_alone=absent is None,
        )
        self._catalog = catalog
        self._store = store
        self._executor = executor
        self._covered = np.zeros(256, np.int64)
        """By partition, and for the slots of series that have left: those are always skipped."""
        self._covered[N_PARTITIONS:] = np.iinfo(np.int64).max
        self._newest_checkpoint = 0
        self._open: dict[AnomalyId, Anomaly] = {}
        self._unsaved: Found | None = None
        self._quantiles = None if derived is None else derived.quantiles
        self._red = None if derived is None else derived.red
        self._absent = absent
        self._ledger = Ledger(catalog, self.tiers, absent)
        n_shared = len(catalog.kind) if absent is not None else 0
        self._met: Mask = np.zeros(n_shared, np.bool_)
        """By slot: whether its series was looked for among the absent since they came."""
        self._begun = np.zeros(n_shared, np.uint64)
        """By slot: which series detectors judge there, the low half of its identity."""
        self._now_ns = 0
        """Of the newest tick."""

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Judge these records and save what they changed.

        Judging learns, so where only saving failed, only saving is tried again. What can never be
        saved is let go of with its records, or nothing behind them would be judged.
        """
        if self._unsaved is None:
            self._unsaved = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._judge_all, deliveries
            )
        unsaved, self._unsaved = self._unsaved, None
        try:
            if unsaved:
                await self._save(unsaved)
        except Retryable:
            self._unsaved = unsaved
            raise

    async def baselines(self) -> Baselines:
        """What is usual, by the tier that sees every sample."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._learned)

    async def ask(self, question: Callable[[Tiers], Answer]) -> Answer:
        """What detectors and watchers know, between two records."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, question, self.tiers
        )

    async def dump(self, partition: int) -> bytes:
        """The detectors' state of a partition's series, by identity, for another process too."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._dump, partition
        )

    async def load(self, partition: int, position: int, state: bytes) -> None:
        """Go on from a checkpoint. Series that have left the catalog since are passed over, or
        waited for.

        With nothing to go on from, the partition is forgotten.
        """
        await asyncio.get_running_loop().run_in_executor(
            self._executor, self._load, partition, state
        )
        # What this process remembers may have gone on in another since; the store knows.
        self._open.clear()
        self._covered[partition] = position
        self._newest_checkpoint = max(self._newest_checkpoint, position)

    # Below: on the detection thread.

    def arrange(self, document: DetectionConfig) -> None:
        """Go on by another document, behind all records so far. Raises ConfigError, and changes
        nothing then."""
        self.tiers.arrange(Plan(document))
        if self._absent is not None:
            self._absent.arrange(self.tiers.dump(np.empty(0, np.int32)))

    def _dump(self, partition: int) -> bytes:
        slots = self._slots_of(partition)
        identity, states = self._catalog.identity[slots], self.tiers.dump(slots)
        if self._absent:
            identity, states = self._absent.joined(partition, identity, states)
        beside = detect_state.Beside(
            derived=b"" if self._quantiles is None else self._quantiles.dump(slots),
            watchers=self.tiers.dump_watchers(partition),
            red=b"" if self._red is None else self._red.dump(partition),
            ruled=self._governing.dump(partition),
            ledger=self._ledger.dump(partition),
        )
        return detect_state.encode(identity, states, self.tiers.versions, beside)

    def _forget(self, partition: int) -> None:
        slots = self._slots_of(partition)
        self.tiers.admit(slots, np.full(len(slots), -1, np.int32))
        self.tiers.load_watchers(partition, {})
        self._ledger.load(partition, b"")
        if self._quantiles is not None:
            self._quantiles.forget(slots)
        if self._red is not None:
            self._red.forget(partition)
        if self._absent is not None:
            self._absent.forget(partition)
            self._begun[slots] = 0

    def _load(self, partition: int, state: bytes) -> None:
        self._forget(partition)
        ruled = detect_state.decode(state).ruled if state else b""
        self._governing.load(partition, ruled, state)

    def _learn(self, partition: int, state: bytes) -> None:
        kept = detect_state.decode(state)
        slots = self._catalog.lookup(kept.identity)
        here = slots >= 0
        states = kept.states(self.tiers.versions)
        self.tiers.load(slots[here], some(states, here))
        self.tiers.load_watchers(partition, kept.watchers)
        self._ledger.load(partition, kept.ledger)
        self._met[:] = False
        if self._absent is not None and len(states) == len(self.tiers.versions):
            self._absent.keep(partition, kept.identity[~here], some(states, ~here))
            self._begun[slots[here]] = kept.identity[here, 0]
        if self._quantiles is not None and kept.derived:
            self._quantiles.load(slots, kept.derived)
        if self._red is not None and kept.red:
            self._red.load(partition, kept.red)

    def _judge_all(self, deliveries: Sequence[Delivery]) -> Found:
        found: Found = []
        self._governing.begin()
        for delivery in deliveries:
            match delivery.record:
                case NewSeries() as new:
                    self._admit(new, delivery)
                case SampleBatch() as batch:
                    self._judge_with_derived(batch, delivery, found)
                case HistogramBatch() as batch:
                    points = self._derived_native(batch, delivery)
                    self._judge(batch.tenant, points, delivery, found)
                case SpanBatch() as spans:
                    self._count(spans, delivery)
                case Tick() as tick:
                    self._tick(tick.now_ns, delivery, found)
                case DetectionSet() | Maintenance() | Verdict() | changes.Change() as ruling:
                    partitions = np.flatnonzero(self._fresh_partitions(delivery)).tolist()
                    self._governing.take(ruling, partitions)
        return found

    def _derived(self, batch: SampleBatch, points: Points) -> Points:
        """What follows for histograms from the points of a batch."""
        if self._quantiles is None or not len(points):
            return _NO_POINTS
        fresh = SampleBatch(batch.tenant, points.slot, points.time_ns, points.value)
        return _points(self._quantiles.of_samples(fresh, self._now_ns))

    def _derived_native(self, batch: HistogramBatch, delivery: Delivery) -> Points:
        if self._quantiles is None:
            return _NO_POINTS
        fresh = self._fresh(batch.slot, delivery)
        if not fresh.all():
            batch = take(batch, np.flatnonzero(fresh))
        return _points(self._quantiles.of_histograms(batch, self._now_ns))

    def _judge(self, tenant: TenantId, points: Points, delivery: Delivery, found: Found) -> None:
        self._note(self.tiers.judge(tenant, points), delivery, found)

    def _judge_with_derived(self, batch: SampleBatch, delivery: Delivery, found: Found) -> None:
        points = self._uncovered(batch, delivery)
        self._judge(batch.tenant, points, delivery, found)
        self._judge(batch.tenant, self._derived(batch, points), delivery, found)

    def _count(self, spans: SpanBatch, delivery: Delivery) -> None:
        """For what is derived of them."""
        live = self._fresh_partitions(delivery)
        if self._red is not None and live.any():
            # Of one partition, both ends of a call may be of others: they are met where they come.
            self._red.of_spans(spans, live if delivery.partition == MIXED else None)

    def _tick(self, now_ns: int, delivery: Delivery, found: Found) -> None:
        self._now_ns = now_ns
        if self._absent:
            self._absent.tick(now_ns)
        partitions = self._fresh_partitions(delivery)
        for batch in () if self._red is None else self._red.tick(now_ns, partitions):
            self._judge_with_derived(batch, delivery, found)
        self._note(self.tiers.tick(now_ns, partitions), delivery, found)
        self._note(self._ledger.tick(now_ns, partitions), delivery, found)
        self._governing.tick(now_ns)

    def _note(self, changes: Sequence[Change], delivery: Delivery, found: Found) -> None:
        of = None if delivery.partition == MIXED else delivery.partition
        self._ledger.note(changes, of)
        found += [(one, delivery.position, self._governing.muted(one, of)) for one in changes]

    def _admit(self, new: NewSeries, delivery: Delivery) -> None:
        slot, donor = new.slot, new.donor
        if delivery.position <= self._newest_checkpoint:
            fresh = self._covered[new.partition] < delivery.position
            slot, donor = slot[fresh], donor[fresh]
        if self._absent is not None:
            slot, donor = self._strangers(slot, donor)
        self.tiers.admit(slot, donor)
        if self._absent:
            self._welcome(self._absent, slot)

    def _strangers(self, slot: I32, donor: I32) -> tuple[I32, I32]:
        """Those that are to begin. What is judged already goes on, whichever door announces it
        again; who is known because another stage of this process met it first begins as there."""
        identity = self._catalog.identity[slot, 0]
        fresh = (slot >= 0) & (self._begun[slot] != identity)
        slot, donor = slot[fresh], donor[fresh]
        self._begun[slot] = identity[fresh]
        return slot, np.where(donor == slot, self._catalog.lenders(slot), donor)

    def _begin(self, slots: I32) -> None:
        """Series that only another stage of this process was told of."""
        slots, donors = self._strangers(slots, slots)
        self.tiers.admit(slots, donors)
        self._met[slots] = False

    def _welcome(self, absent: Absent, slots: I32) -> None:
        """What was waited for goes on where it was elsewhere. Whoever announced it may have done so
        in records that were taken, let go of, and taken again."""
        self._met[slots] = True
        partitions = self._catalog.partition[slots]
        for partition in np.unique(partitions).tolist():
            own = slots[partitions == partition]
            came, states = absent.take(partition, self._catalog.identity[own])
            self.tiers.load(own[came], states)

    def _uncovered(self, batch: SampleBatch, delivery: Delivery) -> Points:
        """The rows that no checkpoint covers: all of them, but for the time after a restart."""
        if self._absent is not None:
            strange = batch.slot[self._begun[batch.slot] != self._catalog.identity[batch.slot, 0]]
            if len(strange):
                self._begin(np.unique(strange))
        if self._absent:
            strange = batch.slot[~self._met[batch.slot]]
            if len(strange):
                self._welcome(self._absent, np.unique(strange))
        if delivery.position > self._newest_checkpoint:
            return Points(batch.slot, batch.time_ns, batch.value)
        fresh = self._fresh(batch.slot, delivery)
        return Points(batch.slot[fresh], batch.time_ns[fresh], batch.value[fresh])

    def _fresh(self, slots: I32, delivery: Delivery) -> Mask:
        """Which rows of a batch no checkpoint covers."""
        if delivery.partition == MIXED:
            fresh: Mask = self._covered[self._catalog.partition[slots]] < delivery.position
            return fresh
        return np.full(len(slots), self._covered[delivery.partition] < delivery.position)

    def _fresh_partitions(self, delivery: Delivery) -> Mask:
        """Those that a record speaks of, where no checkpoint covers it."""
        fresh: Mask = self._covered[:N_PARTITIONS] < delivery.position
        if delivery.partition != MIXED:
            fresh &= np.arange(N_PARTITIONS) == delivery.partition
        return fresh

    def _learned(self) -> Baselines:
        basic = self.tiers.basic
        if basic is None:
            return NOTHING_LEARNED
        live = self._catalog.partition[: self._catalog.high_slot] < N_PARTITIONS
        slots = np.flatnonzero(live).astype(np.int32)
        return basic.baselines(slots, self._catalog.identity[slots])

    def _slots_of(self, partition: int) -> I32:
        live = self._catalog.partition[: self._catalog.high_slot] == partition
        return np.flatnonzero(live).astype(np.int32)

    # Below: on the loop.

    async def _save(self, found: Found) -> None:
        """Changes in order, each applied to the anomaly that it changes; saved in one go."""
        changed: dict[AnomalyId, Anomaly] = {}
        for change, position, muted in found:
            key = change.key
            known = changed.get(key) or self._open.get(key)
            if known is None:  # this process opened it before it was restarted, or just now
                known = await self._store.get(Anomaly, change.tenant, key)
            now = change.anomaly(position, known)
            if now is None:
                continue
            if known is None:
                _PREDICTIONS.add(1, "anomaly", change.service)
            changed[key] = quiet(now, muted if known is None else known.muted)
            _CHANGES.add(1, change.by)
        await self._store.save(list(changed.values()))
        for key, anomaly in changed.items():
            if anomaly.status is AnomalyStatus.OPEN:
                self._open[key] = anomaly
            else:
                self._open.pop(key, None)


def _points(derived: SampleBatch | None) -> Points:
    return _NO_POINTS if derived is None else Points(derived.slot, derived.time_ns, derived.value)
