"""The band of any time is that of the detector, judged anew."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detecting import DAY, MIDNIGHT_NS, build, chain, dials, kinds, noise, points
from tests.make import NS_PER_S
from watchkeeper.analyze.band import Band, Judged, bands, thinned
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import OPENED, Points
from watchkeeper.model.series import Kind

CPU = Judged({"__name__": "cpu_usage"}, Kind.GAUGE)
FK = DetectionConfig(detectors=[{"use": "basic"}, {"use": "fk"}], watchers=[])
MINUTE_NS = 60 * NS_PER_S
HOUR = 60


def spiked(n: int, at: int, *, seed: int = 0) -> Points:
    """A series of noise with one wild minute."""
    values = noise(n, seed)
    values[at] += 60.0
    return points(values)


def since(minute: int) -> int:
    return MIDNIGHT_NS + minute * MINUTE_NS


def test_at_the_peak_of_an_anomaly_the_band_is_the_anomalys() -> None:
    whole = spiked(3 * DAY, 2 * DAY + 100)
    cells = build("basic").sweep(whole, kinds(), dials()).cells.points  # type: ignore[attr-defined]
    said = build("fk").step(cells, kinds(), dials())
    row = int(np.flatnonzero(said.change == OPENED)[0])

    [found] = bands(FK, [CPU], whole, since(2 * DAY))

    at = int(np.flatnonzero(found.time_ns == said.time_ns[row])[0])
    assert (found.value[at], found.low[at], found.high[at], found.p_value[at]) == (
        said.value[row],
        said.low[row],
        said.high[row],
        said.p_value[row],
    )


def test_usual_values_lie_within_their_band() -> None:
    [found] = bands(FK, [CPU], points(noise(3 * DAY)), since(2 * DAY))

    inside = (found.low <= found.value) & (found.value <= found.high)
    assert len(found.time_ns) == DAY - 1
    assert inside.all()


def test_the_band_is_not_told_while_there_is_no_history() -> None:
    [found] = bands(FK, [CPU], points(noise(100)), since(0))

    assert len(found.time_ns) == 99
    assert np.isnan(found.low).all()
    assert (found.p_value == 1.0).all()


def test_series_do_not_bear_on_each_other() -> None:
    one, two = spiked(2 * DAY, DAY + 7, seed=1), spiked(2 * DAY, DAY + 9, seed=2)
    second = Points(np.ones(len(two), np.int32), two.time_ns, two.value)

    both = bands(FK, [CPU, CPU], chain(one, second), since(DAY))

    alone = [bands(FK, [CPU], each, since(DAY))[0] for each in (one, two)]
    for together, by_itself in zip(both, alone, strict=True):
        np.testing.assert_array_equal(together.low, by_itself.low)
        np.testing.assert_array_equal(together.p_value, by_itself.p_value)


def test_a_counter_is_told_as_its_rate() -> None:
    counter = Judged({"__name__": "requests_total"}, Kind.COUNTER)
    total = points(np.cumsum(np.full(DAY, 120.0)))

    [found] = bands(FK, [counter], total, since(HOUR))

    assert found.value.tolist() == pytest.approx([2.0] * len(found.value))


@pytest.mark.parametrize(
    ("document", "n_points"),
    [
        (DetectionConfig(detectors=[], watchers=[]), 0),
        (DetectionConfig(detectors=[{"use": "basic"}], watchers=[]), 99),
    ],
)
def test_without_the_detector_there_is_no_band(document: DetectionConfig, n_points: int) -> None:
    [found] = bands(document, [CPU], points(noise(100)), since(0))

    assert found.detector == ""
    assert len(found.time_ns) == n_points
    assert np.isnan(found.low).all()


def test_a_step_is_told_by_its_strangest_point() -> None:
    time_ns = np.arange(6, dtype=np.int64) * MINUTE_NS
    value = np.arange(6.0)
    given = Band("fk", time_ns, value, value, value, np.array([1, 0.1, 1, 1, 1, 1.0]))

    found = thinned(given, 3 * MINUTE_NS)

    assert found.value.tolist() == [1.0, 5.0]
    assert found.p_value.tolist() == [0.1, 1.0]
