"""The lake over the real catalog: series come, leave memory, give up their slots, and are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests import lakes, make
from tests.lakes import HOUR, NOON, S, ask, read
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import NewSeries, SampleBatch

KEY = bytes(range(16))
PODS = 40
EVERYTHING = ask(0, 2 * NOON)


class Installation:
    """A catalog and a lake in one folder, and the log between them in a list."""

    def __init__(self, folder: Path, *, max_series: int) -> None:
        self._folder = folder
        self._max_series = max_series
        self.log: list[NewSeries | SampleBatch] = []
        self.want: dict[str, list[tuple[int, float]]] = {}
        self.open(NOON)

    def open(self, now_ns: int) -> None:
        config = CatalogConfig(max_series=self._max_series, max_donors=5)
        self.catalog = Catalog(KEY, config, Enrich())
        self.catalog.open(self._folder / "catalog", now_ns)
        self.lake: Any = lakes.build(
            "disk", self._folder / "lake", self.catalog, head_rows=500, compact_fan_in=2
        )
        for position, record in enumerate(self.log, 1):
            if isinstance(record, NewSeries) and position > self.lake.stored():
                self.catalog.replay(record)
            elif isinstance(record, SampleBatch):
                self.lake.append(record, position)

    def close(self) -> None:
        self.lake.close()
        self.catalog.close()

    def scrape(self, generation: int, now_ns: int) -> None:
        """One sample of each pod of a deployment."""
        names = [f"g{generation}p{pod}" for pod in range(PODS)]
        rows = [(row, now_ns, generation + row / 100) for row in range(PODS)]
        wire = make.wire([make.labels("m", pod=name) for name in names], rows)
        found = self.catalog.resolve(DEFAULT_TENANT, wire, now_ns)
        self.catalog.last_seen_ns[found.slots] = now_ns
        if found.new is not None:
            self.log.append(found.new)
        self.log.append(
            SampleBatch(DEFAULT_TENANT, found.slots[wire.row], wire.time_ns, wire.value)
        )
        self.lake.append(self.log[-1], len(self.log))
        for name, (_, time_ns, value) in zip(names, rows, strict=True):
            self.want.setdefault(name, []).append((time_ns, value))

    def check(self) -> None:
        got = {
            dict(key)["pod"]: points for key, points in read(self.lake.query(EVERYTHING)).items()
        }
        assert got == self.want


def test_pods_of_every_deployment_are_found_by_their_labels(tmp_path: Path) -> None:
    """Six deployments of forty pods, one an hour, in a catalog with room for ninety series."""
    here = Installation(tmp_path, max_series=90)
    slots = set()

    for generation in range(6):
        now_ns = NOON + generation * 2 * HOUR
        for i in range(5):
            here.scrape(generation, now_ns + i * 15 * S)
        slots |= set(np.flatnonzero(here.catalog.identity[:, 0]).tolist())
        here.check()
        here.lake.maintain(now_ns, everything=generation % 2 == 0)
        for later_s in (4000, 4001):  # slots are free from the second time on
            here.catalog.recycle(now_ns + later_s * S, 3600.0)
        here.check()

    assert len(slots) < 6 * PODS, "slots were used again"
    here.lake.maintain(NOON, everything=True)
    here.close()
    here.open(NOON + 24 * HOUR)
    here.check()
    here.close()


def test_a_kill_loses_no_series_and_no_sample(tmp_path: Path) -> None:
    here = Installation(tmp_path, max_series=130)
    for generation in range(3):
        now_ns = NOON + generation * HOUR // 2
        for i in range(4):
            here.scrape(generation, now_ns + i * 15 * S)
        here.lake.maintain(now_ns)
        here.catalog.recycle(now_ns, 1500.0)

        here.close()
        here.open(now_ns)
        here.check()

    here.close()
