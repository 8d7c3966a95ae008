"""What a detector says is usual is what a person would have computed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.dials import plain
from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.baseline import NOTHING_LEARNED, Baselines
from watchkeeper.model.series import F64, I32, Kind
from watchkeeper.store.memory import MemoryStore

STEP_S = 15
IDENTITY = np.arange(20, dtype=np.uint64).reshape(10, 2)


def learn(basic: Basic, slot: int, values: F64, kind: Kind = Kind.GAUGE) -> None:
    """One series, a sample every fifteen seconds."""
    n = len(values)
    times = (1_700_000_000 + STEP_S * np.arange(n, dtype=np.int64)) * NS_PER_S
    slots: I32 = np.full(n, slot, np.int32)
    basic.sweep(Points(slots, times, values), np.full(10, kind, np.uint8), plain(10))


def learned(basic: Basic, *slots: int) -> Baselines:
    wanted = np.array(slots, np.int32)
    return basic.baselines(wanted, IDENTITY[wanted])


def noise(n: int, mean: float, std_dev: float) -> F64:
    return np.random.default_rng(7).normal(mean, std_dev, n)


def test_mean_and_deviation_are_about_those_of_the_samples() -> None:
    basic = Basic(capacity=10)
    learn(basic, 3, noise(240, 108.0, 5.74))

    found = learned(basic, 3)

    assert found.mean[0] == pytest.approx(108.0, abs=2.0)
    assert found.std_dev[0] == pytest.approx(5.74, rel=0.25)


@pytest.mark.parametrize("n", [20, 200, 1000])
def test_samples_are_counted_also_beyond_what_a_byte_holds(n: int) -> None:
    basic = Basic(capacity=10)
    learn(basic, 0, noise(n, 1.0, 0.1))

    assert learned(basic, 0).n[0] == pytest.approx(n, rel=0.05)


def test_a_counter_is_told_by_its_rate() -> None:
    basic = Basic(capacity=10)
    learn(basic, 0, np.cumsum(np.full(240, 30.0)), Kind.COUNTER)

    assert learned(basic, 0).mean[0] == pytest.approx(2.0)


def test_series_of_which_nothing_was_learned_are_left_out() -> None:
    basic = Basic(capacity=10)
    learn(basic, 3, noise(50, 1.0, 0.1))

    found = learned(basic, 1, 3, 9)

    assert found.slot.tolist() == [3]
    assert found.identity.tolist() == [IDENTITY[3].tolist()]
    assert found.newest_ns.tolist() == [(1_700_000_000 + STEP_S * 49) * NS_PER_S]


async def test_who_detects_nothing_has_learned_nothing() -> None:
    catalog = Catalog(bytes(16), CatalogConfig(max_series=10), Enrich())
    with ThreadPoolExecutor(1) as executor:
        stage = DetectStage(
            DetectionConfig(detectors=[]),
            catalog=catalog,
            store=MemoryStore(MemoryStore.Config()),
            executor=executor,
        )

        assert await stage.baselines() is NOTHING_LEARNED
