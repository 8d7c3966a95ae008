"""What REX finds, and what it is blind to."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detecting import DAY, MIDNIGHT_NS, build, dials, judged, kinds, noise, points, slots
from watchkeeper.analyze.detectors.base import INFO
from watchkeeper.model.series import F64

WEEK = 7 * DAY


def daily(n: int, seed: int = 0) -> F64:
    return noise(n, seed) + 20.0 * np.sin(2 * np.pi * np.arange(n) / DAY)


def opened(values: F64, **settings: float) -> list[int]:
    told = judged(build("rex", **settings), points(values))
    return [one.at for one in told if one.change == "opened"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_value_beyond_all_that_was_seen_is_found_at_once(sign: float) -> None:
    values = noise(3 * DAY)
    values[2 * DAY + 77] += sign * 30.0

    assert opened(values) == [2 * DAY + 77]


def test_a_value_that_is_high_for_its_hour_alone_is_found_once_hours_are_known() -> None:
    """At night, and no higher than any noon: only the week's profile knows."""
    values = daily(3 * WEEK)
    night = 2 * WEEK + 4 * DAY + 3 * DAY // 4
    values[night : night + 30] += 25.0
    assert values[night : night + 30].max() < values[: 2 * WEEK].max()

    assert [at for at in opened(values) if night <= at < night + 30] != []


def test_what_stays_within_its_range_is_not_seen() -> None:
    """A lull is FK's to find."""
    values = daily(2 * WEEK)
    values[10 * DAY : 10 * DAY + 240] = values[10 * DAY]

    assert [at for at in opened(values) if 10 * DAY <= at < 10 * DAY + 240] == []


def test_a_weaker_alarm_soon_after_a_strong_one_is_none() -> None:
    values = noise(3 * DAY)
    values[2 * DAY] += 60.0
    weaker = values.copy()
    weaker[2 * DAY + 30] += 10.0

    assert opened(values) == opened(weaker) == [2 * DAY]


def test_a_stronger_alarm_after_a_weak_one_is_told() -> None:
    values = noise(3 * DAY)
    values[2 * DAY] += 12.0
    values[2 * DAY + 400] += 200.0

    assert opened(values) == [2 * DAY, 2 * DAY + 400]


def test_a_higher_threshold_tells_less_and_none_beyond_what_can_be_said() -> None:
    values = noise(3 * DAY)
    values[2 * DAY] += 8.0
    values[2 * DAY + 1_000] += 500.0
    counts = [len(opened(values, threshold=at)) for at in (0.5, 2.0, 4.0, 9.9)]

    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] >= 1
    assert counts[3] == 0


def test_a_finding_is_information_and_tells_how_rare_it_is() -> None:
    values = noise(3 * DAY)
    values[[600, 2 * DAY]] += [40.0, 300.0]

    found = build("rex").step(points(values), kinds(), dials())
    last = np.flatnonzero(found.value > 250.0)[0]

    assert set(found.severity.tolist()) == {INFO}
    assert found.p_value[last] == pytest.approx(1 / (2 * DAY + 1), rel=1.5)
    assert found.high[last] < 200.0
    assert found.streams[last][0] > 1.0


def test_a_newcomer_at_another_level_is_judged_by_its_donors_widths() -> None:
    detector = build("rex")
    detector.step(points(noise(2 * DAY), slot=0), kinds(), dials())
    values = noise(300, 1, mean=500.0)
    values[200] += 40.0

    detector.admit(slots(1), slots(0))
    start_ns = MIDNIGHT_NS + 3 * DAY * 60 * 10**9
    found = detector.step(points(values, slot=1, start_ns=start_ns), kinds(), dials())

    assert ((found.time_ns - start_ns) // (60 * 10**9)).tolist()[:1] == [200]
