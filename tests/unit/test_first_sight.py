"""What it takes to look at series that come for the first time: many of them in one go."""

from __future__ import annotations

import numpy as np
import pytest

from tests import make
from tests.watching import EVERYWHERE, SERVICES, WatchedCatalog, minute, watcher
from watchkeeper.analyze.classes import classify
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import OPENED, Points
from watchkeeper.analyze.plan import Plan
from watchkeeper.analyze.tiers import SeriesChange, Tiers
from watchkeeper.analyze.watchers.base import Seen
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import DEFAULT_TENANT, I32, Kind, Series


class Read(WatchedCatalog):
    """A catalog that notes what was read of it: series alone, and how many together."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[int] = []
        self.together: list[int] = []

    def series(self, slot: int) -> Series:
        self.alone.append(slot)
        return super().series(slot)

    def class_of(self, slot: int) -> MetricClass:
        return classify(super().series(slot).labels, Kind(int(self.kind[slot])))

    def series_of(self, slots: I32) -> list[Series]:
        self.together.append(len(slots))
        return [WatchedCatalog.series(self, slot) for slot in slots.tolist()]


@pytest.mark.parametrize("name", ["no_data", "ramp", "flatline", "symptoms"])
def test_a_watcher_reads_series_that_came_together_in_one_go_and_once(name: str) -> None:
    catalog = Read()
    one = watcher(name, catalog)
    catalog.alone.clear()

    for number in range(3):
        points = minute(catalog, number)
        one.see(Seen(DEFAULT_TENANT, points, points, []))
        one.tick(make.START_NS + (number + 1) * 60 * make.NS_PER_S, EVERYWHERE)

    assert catalog.alone == []
    assert catalog.together in ([], [len(catalog.new)])


def test_findings_of_a_batch_are_named_in_one_go() -> None:
    catalog = Read()
    tiers = Tiers(Plan(DetectionConfig(detectors=[{"use": "basic"}], watchers=[])), catalog)
    chance = np.random.default_rng(1)
    slots = catalog.new.slot
    for at in range(700):
        time_ns = np.full(len(slots), make.START_NS + at * 60 * make.NS_PER_S)
        tiers.judge(DEFAULT_TENANT, Points(slots, time_ns, chance.normal(10, 1, len(slots))))
    catalog.alone.clear()
    catalog.together.clear()
    gauges = slots[catalog.kind[slots] == Kind.GAUGE]

    time_ns = np.full(len(gauges), make.START_NS + 700 * 60 * make.NS_PER_S)
    said = tiers.judge(DEFAULT_TENANT, Points(gauges, time_ns, np.full(len(gauges), 1e6)))

    assert len(said) >= len(SERVICES)
    assert catalog.together == [len(said)]
    assert catalog.alone == []
    for one in said:
        assert isinstance(one, SeriesChange)
        assert one.findings.change[one.row] == OPENED
        assert one.series == catalog.series(int(one.findings.slot[one.row]))
