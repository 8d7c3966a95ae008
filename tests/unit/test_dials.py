"""What a dial changes: what is told, and never what is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.detecting import (
    DAY,
    Told,
    build,
    columns,
    dials,
    kinds,
    noise,
    points,
    slots,
    state,
    story,
)
from watchkeeper.analyze.detectors.base import CLOSED, Findings
from watchkeeper.analyze.detectors.dials import LARGEST_SHIFT, Dial, Dials
from watchkeeper.model.series import F64

CALIBRATED = pytest.mark.parametrize("name", ["basic", "fk", "rex"])
"""Those of which it is known what they find in noise with two spikes; presets find more."""


def spiky(height: float = 40.0) -> F64:
    """Around a hundred, with one spike upwards and one down."""
    values = noise(3 * DAY)
    values[2_100] += height
    values[3_400] -= height
    return values


def told(name: str, values: F64, **turned: Any) -> list[Told]:
    whole = points(values)
    return story(build(name).step(whole, kinds(), dials(**turned)), whole)


def opened_at(name: str, values: F64, **turned: Any) -> list[int]:
    return [one.at for one in told(name, values, **turned) if one.change == "opened"]


@CALIBRATED
@pytest.mark.parametrize(
    ("turned", "found"),
    [
        ({}, [2_100, 3_400]),
        ({"direction": 1}, [2_100]),
        ({"direction": -1}, [3_400]),
        ({"muted": 1}, []),
        ({"least_ratio": 0.3}, [2_100, 3_400]),
        ({"least_ratio": 0.5}, []),
        ({"least_change": 30.0}, [2_100, 3_400]),
        ({"least_change": 50.0}, []),
        ({"least_change": 50.0, "least_ratio": 0.1}, []),
    ],
    ids=str,
)
def test_what_is_strange_is_told_where_it_counts(
    name: str, turned: dict[str, Any], found: list[int]
) -> None:
    assert opened_at(name, spiky(), **turned) == found


@CALIBRATED
def test_a_negative_series_has_its_ratios_too(name: str) -> None:
    assert opened_at(name, -spiky(), least_ratio=0.3) == [2_100, 3_400]
    assert opened_at(name, -spiky(), least_ratio=0.5) == []


@CALIBRATED
def test_a_shift_moves_how_readily_it_speaks(name: str) -> None:
    values = noise(20 * DAY)
    for at in range(2 * DAY, 20 * DAY, 2_000):
        values[at] += 4.0 + at / 4_000.0

    n_told = [len(opened_at(name, values, shift=shift)) for shift in (-6.0, -1.0, 0.0, 1.0)]

    assert n_told == sorted(n_told)
    assert n_told[0] < n_told[-1]


@CALIBRATED
@pytest.mark.parametrize(("direction", "side"), [(1, "above"), (-1, "below")])
def test_what_is_told_is_on_the_side_that_is_asked_for(
    name: str, direction: int, side: str
) -> None:
    found = build(name).step(points(spiky()), kinds(), dials(direction=direction))

    loud = found.change != CLOSED
    off = found.value[loud] - 100.0
    assert len(off) > 0
    assert np.all(off * direction > 0.0), f"all of it is {side}"


@CALIBRATED
def test_what_is_muted_is_learned_all_the_same(name: str) -> None:
    values = spiky()
    loud, muted = build(name), build(name)
    calm = points(values[:2_000])

    loud.step(calm, kinds(), dials())
    muted.step(calm, kinds(), dials(muted=1))

    assert state(muted, 0) == state(loud, 0)


@CALIBRATED
def test_an_episode_ends_when_it_is_muted(name: str) -> None:
    values = noise(3 * DAY)
    values[2_100:] += 40.0
    first, rest = points(values[:2_102]), points(values)
    detector = build(name)

    before = detector.step(first, kinds(), dials())
    after = detector.step(rest, kinds(), dials(muted=1))

    assert [one.change for one in story(before, first)] == ["opened"]
    assert [one.change for one in story(after, rest)] == ["closed"]


@pytest.mark.parametrize("name", ["basic", "fk"])
def test_the_band_is_the_one_that_the_limit_draws(name: str) -> None:
    """Whoever speaks more readily expects less, and says so."""
    values = spiky(60.0)

    def width(shift: float) -> float:
        findings: Findings = build(name).step(points(values), kinds(), dials(shift=shift))
        return float(findings.high[0] - findings.low[0])

    assert width(1.0) < width(0.0) < width(-1.0)


@CALIBRATED
def test_each_series_has_a_dial_of_its_own(name: str) -> None:
    loud, quiet = points(spiky(), slot=0), points(spiky(), slot=1)
    array = dials()
    array["muted"][1] = 1
    detector = build(name)

    found = [detector.step(one, kinds(), array) for one in (loud, quiet)]

    assert len(found[0]) > 0
    assert len(found[1]) == 0
    assert columns(found[0]) == columns(build(name).step(loud, kinds(), dials()))


def test_dials_that_nobody_turned_change_nothing() -> None:
    some = Dials(4)
    some.hold(slots(2))

    assert some.array[2] == np.zeros(1, some.array.dtype)[0]


def test_a_dial_is_turned_within_bounds_and_for_one_slot() -> None:
    some = Dials(2)
    some.hold(slots(5))

    some.turn(5, Dial(shift=99.0, least_ratio=0.1, least_change=2.0, direction=-1, muted=True))

    assert some.array[5].item()[:5] == (
        pytest.approx(LARGEST_SHIFT), pytest.approx(0.1), 2.0, -1, 1,
    )  # fmt: skip
    assert not some.array[:5].view(np.uint8).any()
