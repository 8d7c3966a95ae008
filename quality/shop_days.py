"""Days laid out of recorded minutes, and judged in fast time as a server judges them.

Each minute of a day is a recorded one of about as many buyers, drawn by chance. Counters go on
where they were, at the rates that were recorded; traces and spans have ids of their own each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import numpy as np

from quality.recorded_minutes import (
    MINUTE_NS,
    Minute,
    Recorded,
    Samples,
    counted,
    joined,
    mixed,
)
from watchkeeper.analyze.template_stage import TemplateStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import NS_PER_S
from watchkeeper.config.sections import Config
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import DEFAULT_TENANT, F64, I64
from watchkeeper.model.signal import LogBatch, Logged, NewSeries, SampleBatch, SpanBatch, Tick
from watchkeeper.parts.detect import detecting
from watchkeeper.runtime import StatefulStage
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

DAY_MINUTES: Final = 1440
ALIKE: Final = 6
"""Recorded minutes from which one is drawn."""
LONGEST: Final = 2.0
"""A counter's gap between two minutes counts for at most so many recorded ones: what is silent in
one minute does not make up for it in the next."""
_PAGE: Final = 10_000


def drawn(loads: Sequence[float], wanted: F64, chance: np.random.Generator) -> I64:
    """For each wanted load one of the recorded minutes whose own is nearest."""
    near = np.argsort(np.abs(np.asarray(loads) - wanted[:, None]), axis=1, kind="stable")
    near = near[:, :ALIKE]
    chosen: I64 = near[np.arange(len(wanted)), chance.integers(near.shape[1], size=len(wanted))]
    return chosen


class Laying:
    """Recorded minutes one behind the other, as records of the log."""

    def __init__(self, recorded: Recorded, chance: np.random.Generator) -> None:
        self._minutes = recorded.minutes
        self._is_counter = counted(recorded.series)
        self._chance = chance
        self._total = np.zeros(len(self._is_counter))
        self._last_ns = np.zeros(len(self._is_counter), np.int64)
        self._late: list[tuple[Minute, int, np.uint64]] = []
        """Minutes of which something is still to come; when they began, and their ids' nonce."""

    def minute(self, number: int, begin_ns: int) -> Iterator[list[Logged]]:
        """Records of the next minute, second by second, each with its tick."""
        nonce = self._chance.integers(1, 2**63, dtype=np.uint64)
        self._late.append((self._minutes[number], begin_ns, nonce))
        for second in range(60):
            yield self._second(begin_ns + second * NS_PER_S)
        end_ns = begin_ns + MINUTE_NS
        self._late = [one for one in self._late if one[1] + _lasts(one[0]) * NS_PER_S >= end_ns]

    def _second(self, now_ns: int) -> list[Logged]:
        lines: list[LogBatch] = []
        spans: list[SpanBatch] = []
        told: list[Logged] = []
        for minute, begin_ns, nonce in self._late:
            second = minute.seconds.get((now_ns - begin_ns) // NS_PER_S)
            if second is None:
                continue
            told += [self._samples(one, begin_ns) for one in second.samples]
            if second.lines is not None:
                lines.append(_line(second.lines, begin_ns, nonce))
            if second.spans is not None:
                spans.append(_span(second.spans, begin_ns, nonce))
        rows = [one for one in (joined(lines), joined(spans)) if one is not None]
        return [*told, *rows, Tick(now_ns + NS_PER_S)]

    def _samples(self, one: Samples, begin_ns: int) -> SampleBatch:
        slot, time_ns = one.slot, begin_ns + one.time_ns
        since = np.where(self._last_ns[slot] > 0, time_ns - self._last_ns[slot], one.gap_ns)
        share = np.clip(since / np.maximum(1, one.gap_ns), 0.0, LONGEST)
        value = np.where(self._is_counter[slot], self._total[slot] + one.value * share, one.value)
        self._total[slot], self._last_ns[slot] = value, time_ns
        return SampleBatch(DEFAULT_TENANT, slot, time_ns, value)


def _lasts(minute: Minute) -> int:
    return max(minute.seconds, default=0)


def _line(batch: LogBatch, begin_ns: int, nonce: np.uint64) -> LogBatch:
    return replace(
        batch,
        time_ns=begin_ns + batch.time_ns,
        trace=mixed(batch.trace, nonce),
        span=mixed(batch.span, nonce),
    )


def _span(batch: SpanBatch, begin_ns: int, nonce: np.uint64) -> SpanBatch:
    return replace(
        batch,
        start_ns=begin_ns + batch.start_ns,
        trace=mixed(batch.trace, nonce),
        span=mixed(batch.span, nonce),
        parent=mixed(batch.parent, nonce),
    )


class Judging:
    """The stages that judge, with a store in memory: those of a server, in its order."""

    def __init__(self, config: Config, key: bytes, series: Sequence[NewSeries]) -> None:
        self.store = MemoryStore(MemoryStore.Config(record_limit=1 << 40, outbox_limit=1))
        self._executor = ThreadPoolExecutor(1, "judging")
        self._catalog = Catalog(key, config.catalog, Enrich(config.enrich))
        self._stages: Sequence[StatefulStage] = (
            detecting(
                config.detection,
                catalog=self._catalog,
                store=self.store,
                executor=self._executor,
            ),
            TemplateStage(
                config.templates,
                self._catalog.partition_of,
                self._executor,
                detection=config.detection,
                store=self.store,
            ),
        )
        self._series = series
        self._position = 0

    async def begin(self) -> None:
        """Series are known before anything comes of them."""
        for one in self._series:
            self._catalog.replay(one)
        await self.take(self._series)

    async def take(self, records: Sequence[Logged]) -> None:
        handed = [Delivery(MIXED, self._position + i, one) for i, one in enumerate(records, 1)]
        self._position += len(handed)
        for stage in self._stages:
            await stage.handle(handed)

    async def found(self) -> list[Anomaly]:
        """All anomalies so far."""
        found: list[Anomaly] = []
        cursor: str | None = None
        while True:
            page = await self.store.list(
                Anomaly, Filter(DEFAULT_TENANT, limit=_PAGE, cursor=cursor)
            )
            found += page.items
            cursor = page.cursor
            if cursor is None:
                return found

    def end(self) -> None:
        self._executor.shutdown()


async def played(
    judging: Judging,
    laying: Laying,
    minutes: tuple[int, I64],
    *,
    change: Callable[[Logged], Logged] = lambda record: record,
) -> None:
    """Lay these minutes, the first at that time, and judge them."""
    begin_ns, numbers = minutes
    for at, number in enumerate(numbers.tolist()):
        seconds = laying.minute(number, begin_ns + at * MINUTE_NS)
        await judging.take([change(one) for second in seconds for one in second])
