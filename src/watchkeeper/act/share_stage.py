"""Sharing: what happens is told in a Redis where other programs read it, in a form of theirs.

It owns nothing, and nobody waits for it: a server that is away holds up this alone, and what is too
much is left out and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from watchkeeper import telemetry
from watchkeeper.act.pooling import KnownSeries, Pooling
from watchkeeper.act.shared_form import deployment, log_entry, metric_point, recent_anomaly
from watchkeeper.bus.base import ANOMALIES, SAMPLES, Bus, Delivery
from watchkeeper.bus.share import Fields, Share, ShareConfig, Told
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import Retryable
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.baseline import Baselines
from watchkeeper.model.change import Change
from watchkeeper.model.series import I64, TenantId
from watchkeeper.model.signal import LogBatch, SampleBatch
from watchkeeper.patience import Failure, Patience
from watchkeeper.runtime import Loop, RuntimeConfig, Stage

_TOLD: Final = telemetry.counter(
    "watchkeeper_act_shared_entries_total", "Entries put where others read them.", ("kind",)
)
_LEFT_OUT: Final = telemetry.counter(
    "watchkeeper_act_unshared_entries_total",
    "Samples and lines beyond what is put there in a second.",
    ("kind",),
)
_DEPLOYMENT: Final = "deployment"


class Budget:
    """So many in a second, and no more at once."""

    def __init__(self, per_s: int, now_ns: int) -> None:
        self._per_s = per_s
        self._left = float(per_s)
        self._at_ns = now_ns
        self._turn = 0

    def pick(self, n: int, now_ns: int) -> I64:
        """Which of `n` rows; where not all, they are spread evenly, and not always the same."""
        passed_s = max(0, now_ns - self._at_ns) / NS_PER_S
        self._left = min(self._per_s, self._left + passed_s * self._per_s)
        self._at_ns = now_ns
        n_picked = min(n, int(self._left))
        self._left -= n_picked
        self._turn += 1
        picked: I64 = (np.arange(n_picked) * n // max(1, n_picked) + self._turn) % max(1, n)
        return picked if n_picked < n else np.arange(n)


class ShareRecords:
    """A stage: samples, lines and deployments."""

    name = "share"
    topic = SAMPLES

    def __init__(
        self, config: ShareConfig, *, share: Share, catalog: KnownSeries, clock: Clock
    ) -> None:
        self._tenant = TenantId(config.tenant)
        self._share = share
        self._catalog = catalog
        self._clock = clock
        self._samples = Budget(config.metrics_per_s, clock.now_ns())
        self._lines = Budget(config.logs_per_s, clock.now_ns())
        self._untold: Told | None = None
        """Picked, and not there yet: what is tried again costs no more of the budget."""

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        told, self._untold = self._untold or self._told(deliveries), None
        if not (told.metrics or told.logs or told.deployments):
            return
        try:
            await self._share.tell(max(one.position for one in deliveries), told)
        except Retryable:
            self._untold = told
            raise
        for kind in ("metrics", "logs", "deployments"):
            _TOLD.add(len(getattr(told, kind)), kind)

    def _told(self, deliveries: Sequence[Delivery]) -> Told:
        metrics: list[Fields] = []
        logs: list[Fields] = []
        deployments: list[tuple[str, float, Fields]] = []
        for delivery in deliveries:
            record = delivery.record
            if getattr(record, "tenant", None) != self._tenant:
                continue
            match record:
                case SampleBatch():
                    metrics += self._points(record)
                case LogBatch():
                    picked = self._lines.pick(len(record), self._clock.now_ns())
                    _LEFT_OUT.add(len(record) - len(picked), "logs")
                    logs += [log_entry(record, row) for row in picked.tolist()]
                case Change() if record.kind == _DEPLOYMENT:
                    time_s = record.time_ns / NS_PER_S
                    deployments.append((record.entity.service, time_s, deployment(record)))
        return Told(metrics, logs, deployments)

    def _points(self, batch: SampleBatch) -> list[Fields]:
        picked = self._samples.pick(len(batch), self._clock.now_ns())
        _LEFT_OUT.add(len(batch) - len(picked), "metrics")
        return [
            metric_point(
                self._catalog.series(int(batch.slot[row])),
                int(batch.time_ns[row]),
                float(batch.value[row]),
            )
            for row in picked.tolist()
        ]


class ShareAnomalies:
    """A stage: anomalies, each time that they change."""

    name = "share_anomalies"
    topic = ANOMALIES

    def __init__(self, config: ShareConfig, share: Share) -> None:
        self._tenant = TenantId(config.tenant)
        self._share = share

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        recent = [
            recent_anomaly(anomaly)
            for anomaly in (delivery.record.record for delivery in deliveries)
            if isinstance(anomaly, Anomaly) and anomaly.tenant == self._tenant
        ]
        if recent:
            await self._share.tell_anomalies(max(one.position for one in deliveries), recent)
            _TOLD.add(len(recent), "anomalies")


class Learner(Protocol):
    """Detection, as far as it is asked what it has learned."""

    async def baselines(self) -> Baselines: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where all that is told comes from."""

    bus: Bus
    catalog: KnownSeries
    learner: Learner
    clock: Clock
    executor: Executor
    """For what takes long."""


class Sharing:
    """Runs all of it until cancelled, and begins where it was left."""

    def __init__(
        self, config: ShareConfig, runtime: RuntimeConfig, share: Share, sources: Sources
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._share = share
        self._sources = sources
        tenant = TenantId(config.tenant)
        self._pooling = Pooling(sources.catalog, tenant, config.baselines)
        self._patience = Patience("share", sources.clock, runtime.retry_s, runtime.retry_limit_s)

    async def run(self) -> None:
        reached = await self._patience.attempt("reached", self._share.reached())
        while isinstance(reached, Failure):
            await self._patience.pause(reached)
            reached = await self._patience.attempt("reached", self._share.reached())
        records, anomalies = reached
        config, share, sources = self._config, self._share, self._sources
        telling = ShareRecords(config, share=share, catalog=sources.catalog, clock=sources.clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._loop(telling, records).run())
            tasks.create_task(self._loop(ShareAnomalies(config, share), anomalies).run())
            tasks.create_task(self._tell_baselines())

    def _loop(self, stage: Stage, after: int) -> Loop:
        sources = self._sources
        return Loop(stage, sources.bus, sources.clock, self._runtime, after=after)

    async def _tell_baselines(self) -> None:
        while self._config.baselines:
            failed = await self._patience.attempt("baselines", self.tell_baselines())
            if isinstance(failed, Failure):
                await self._patience.pause(failed)
            else:
                await self._sources.clock.sleep(self._config.baseline_s)

    async def tell_baselines(self) -> None:
        """Those that changed since they were told."""
        learned = await self._sources.learner.baselines()
        pooled = await asyncio.get_running_loop().run_in_executor(
            self._sources.executor, self._pooling.pool, learned
        )
        await self._share.tell_baselines(pooled)
        _TOLD.add(len(pooled), "baselines")
