"""A detect stage through which minutes go by, for tests of what it makes of its settings and of
time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec
import numpy as np

from tests import make
from tests.catalogs import ToyCatalog
from watchkeeper.analyze.absent import Absent
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import SampleBatch
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

MINUTE_NS = 60 * make.NS_PER_S
QUEUE = 4
"""The slot of the first service's queue ..."""
DEEP = 900.0
"""... and its depth in trouble."""


class Minutes:
    """The stage, its store, and where it is."""

    def __init__(
        self,
        executor: Executor,
        document: Mapping[str, Any],
        catalog: ToyCatalog,
        *,
        store: MemoryStore | None = None,
        absent: Absent | None = None,
    ) -> None:
        self.catalog = catalog
        self.store = store or MemoryStore(MemoryStore.Config())
        self.stage = DetectStage(
            msgspec.convert(document, DetectionConfig),
            catalog=catalog,
            store=self.store,
            executor=executor,
            absent=absent,
        )
        self.position = 0
        self.minute = 0

    async def send(self, *records: Any) -> None:
        first = self.position + 1
        self.position += len(records)
        await self.stage.handle([Delivery(MIXED, first + n, one) for n, one in enumerate(records)])

    async def queue(self, *values: float, slot: int = QUEUE, every: int = 1) -> None:
        """Of one series, one a minute, with the tick behind them."""
        minutes = self.minute + every * np.arange(len(values))
        self.minute += every * len(values)
        time_ns = make.START_NS + minutes * MINUTE_NS
        slots = np.full(len(values), slot, np.int32)
        batch = SampleBatch(DEFAULT_TENANT, slots, time_ns, np.array(values))
        await self.send(batch, make.tick(60.0 * self.minute))

    def arrange(self, document: Mapping[str, Any]) -> None:
        self.stage.arrange(msgspec.convert(document, DetectionConfig))

    async def anomalies(self) -> Sequence[Anomaly]:
        """By their beginning."""
        found = (await self.store.list(Anomaly, Filter(DEFAULT_TENANT))).items
        return sorted(found, key=lambda one: (one.started_ns, one.detector))
