"""What REX finds, and what it is blind to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.detecting import DAY, MIDNIGHT_NS, build, dials, judged, kinds, noise, points, slots
from watchkeeper.analyze.detectors.base import INFO, OPENED
from watchkeeper.analyze.detectors.rex import STREAMS
from watchkeeper.errors import ConfigError
from watchkeeper.model.series import F64

WEEK = 7 * DAY
GOLDEN_OPENED = [116, 164, 219, 303, 413, 700, 2_000, 3_000]
GOLDEN_HIGH = [
    *(110.38757, 114.03711, 118.55273, 123.31795),
    *(121.71054, 105.24093, 126.28765, 116.00349),
]
GOLDEN_STREAMS = [
    *(0.18219533, 0.21425075, 0.24236868, -0.36886748),
    *(-0.43459223, 7.2401813, -6.0316547, 3.1290113),
]
"""Of each opening, the sum of what the streams said."""


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


def heard(values: F64, **asked: Any) -> list[dict[str, float]]:
    """What each stream said, finding by finding."""
    detector = build("rex", **asked)
    found = detector.step(points(values), kinds(), dials())
    return [dict(zip(detector.streams, row, strict=True)) for row in found.streams.tolist()]


def only(*names: str, weight: float = 1.0) -> dict[str, float]:
    """Weights of an ensemble of these streams."""
    return dict.fromkeys(STREAMS, 0.0) | dict.fromkeys(names, weight)


def spiked(*spikes: tuple[int, float], n: int = 3 * DAY) -> F64:
    values = noise(n)
    for at, size in spikes:
        values[at] += size
    return values


def test_the_defaults_find_what_they_always_found() -> None:
    """Worked out before streams had settings."""
    values = daily(3 * DAY)
    values[[700, 2_000, 3_000]] += [40.0, -60.0, 90.0]
    values[3_600:] += 25.0

    found = build("rex", threshold=1.0).step(points(values), kinds(), dials())

    mine = found.change == OPENED
    at = (found.time_ns[mine] - MIDNIGHT_NS) // (60 * 10**9)
    assert at.tolist() == GOLDEN_OPENED
    assert found.high[mine] == pytest.approx(GOLDEN_HIGH, rel=1e-6)
    assert found.streams[mine].sum(axis=1) == pytest.approx(GOLDEN_STREAMS, rel=1e-6)


def test_who_hears_two_streams_more_keeps_five_numbers_more_and_says_so() -> None:
    six, eight = build("rex"), build("rex", weights={"slow_level": 1.0})

    assert six.streams == STREAMS[:6]
    assert eight.streams == STREAMS
    assert eight.bytes_per_series - six.bytes_per_series == 5 * 8
    assert six.version != eight.version


def test_a_stream_without_weight_costs_no_row_of_another_size() -> None:
    quiet = build("rex", weights={"short_mean": 0.0, "value": 0.0})

    assert quiet.bytes_per_series == build("rex").bytes_per_series
    assert quiet.version == build("rex").version


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_alone_is_all_that_is_said(name: str) -> None:
    told = heard(spiked((2 * DAY, 400.0)), weights=only(name), threshold=1.0)

    assert [one for one in told if one[name]] != []
    assert all(said == 0.0 for one in told for other, said in one.items() if other != name)


@pytest.mark.parametrize(("weight", "n"), [(0.5, 0), (1.0, 0), (1.5, 1), (4.0, 1)])
def test_a_weight_multiplies_all_that_a_stream_can_say(weight: float, n: int) -> None:
    """One stream says 4 at most, and somewhat less for youth."""
    values = spiked((2 * DAY, 1_000.0))

    assert len(opened(values, weights=only("value", weight=weight), threshold=4.0)) == n


def test_the_slow_level_is_a_mean_of_two_hundred_points() -> None:
    values = spiked((2 * DAY, 40.0))
    level, off = values[0], np.zeros(len(values))
    for i in range(1, 2 * DAY + 1):
        off[i] = values[i] - level
        level += max(0.005, 1.0 / (i + 1)) * off[i]
    seen = off[50 : 2 * DAY]
    least = 0.02 * np.abs(values[: 2 * DAY + 1]).mean()
    range_width = seen.max() - seen.min()

    told = [one["slow_level"] for one in heard(values, weights=only("slow_level"))]

    # Its range has shrunk a little since: 1e-5 of itself with every point.
    away = (off[2 * DAY] - seen.max()) / (range_width + least)
    assert max(told) == pytest.approx(away, rel=0.1)


def test_the_short_mean_is_of_five_points() -> None:
    values = spiked((2 * DAY, 40.0))
    means = np.convolve(values, np.full(5, 0.2), "valid")  # means[i] ends at i + 4
    seen = means[5 : 2 * DAY - 4]
    least = 0.02 * np.abs(values[: 2 * DAY + 1]).mean()

    told = [one["short_mean"] for one in heard(values, weights=only("short_mean"))]

    away = (means[2 * DAY - 4] - seen.max()) / (seen.max() - seen.min() + least)
    assert max(told) == pytest.approx(away, rel=0.1)


def test_the_short_mean_of_a_newcomer_waits_for_points_of_its_own() -> None:
    detector = build("rex", weights=only("short_mean"), threshold=0.5)
    detector.step(points(noise(2 * DAY), slot=0), kinds(), dials())
    values = noise(300, 1, mean=500.0)
    values[[40, 200]] += 60.0

    detector.admit(slots(1), slots(0))
    start_ns = MIDNIGHT_NS + 3 * DAY * 60 * 10**9
    found = detector.step(points(values, slot=1, start_ns=start_ns), kinds(), dials())

    at = (found.time_ns - start_ns) // (60 * 10**9)
    assert at.min() == 200


def test_what_counts_half_can_be_farther_outside() -> None:
    values = spiked((2 * DAY, 12.0))

    near, far = (
        len(opened(values, weights=only("value"), halves={"value": half}, threshold=1.5))
        for half in (0.06, 6.0)
    )

    assert (near, far) == (1, 0)


def test_a_range_that_may_grow_little_is_left_again() -> None:
    values = spiked((2 * DAY, 60.0), (2 * DAY + 1_000, 60.0))
    asked: Any = {"weights": only("value"), "memory_points": 50.0, "threshold": 2.0}

    free, capped = (opened(values, growths={"value": growth}, **asked) for growth in (1e9, 0.1))

    assert 2 * DAY + 1_000 not in free
    assert 2 * DAY + 1_000 in capped


def test_a_short_memory_tells_a_weaker_alarm_sooner() -> None:
    values = spiked((2 * DAY, 60.0), (2 * DAY + 100, -10.0))

    long, short = (
        opened(values, memory_points=memory, threshold=1.0, young_points=0.0)
        for memory in (2_000.0, 20.0)
    )

    assert 2 * DAY + 100 not in long
    assert 2 * DAY + 100 in short


def test_habit_takes_off_what_comes_after_other_alarms() -> None:
    values = spiked(*((DAY + 300 * i, 20.0 * 3.0**i) for i in range(8)), n=4 * DAY)

    counts = [len(opened(values, habit=habit)) for habit in (0.0, 0.1, 1.0)]

    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[1] > counts[2]


def test_youth_is_what_one_makes_of_it() -> None:
    values = spiked((150, 60.0))

    assert opened(values, young_points=0.0, threshold=4.0)[:1] == [150]
    assert opened(values, young_points=5_000.0) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": {"median": 1.0}}, "median"),
        ({"weights": {"value": -1.0}}, ">= 0"),
        ({"halves": {"value": 0.0}}, "> 0"),
        ({"growths": {"value": 0.0}}, "> 0"),
        ({"memory_points": 0.5}, ">= 1"),
        ({"habit": -0.1}, ">= 0"),
        ({"young_points": -1.0}, ">= 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build("rex", **asked)
