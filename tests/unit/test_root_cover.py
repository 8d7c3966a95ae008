"""What speaks for one alert being a consequence of another, term by term."""

from __future__ import annotations

import math

import pytest

from tests.alerting import complaint, grouper, scene
from watchkeeper.model.incident import Join


def join(
    node: str = "payment", at_s: float = 20.0, *, root: str = "bank", rate: float = 0.5
) -> Join | None:
    """Of an alert to a root at the beginning; anything that is possible at all."""
    one = grouper(least_odds=-50.0)
    return one.join(complaint(node, at_s), [complaint(root)], scene(strangers_per_hour=rate))


def odds(at_s: float) -> float:
    found = join(at_s=at_s)
    assert found is not None
    return found.time


def test_within_the_usual_delay_any_time_is_as_likely() -> None:
    assert odds(0.0) == odds(30.0) == odds(69.0)


@pytest.mark.parametrize(
    ("likelier", "less"), [(60.0, 120.0), (120.0, 240.0), (0.0, -10.0), (-10.0, -40.0)]
)
def test_before_the_root_and_long_after_it_is_less_likely(likelier: float, less: float) -> None:
    assert odds(likelier) > odds(less)


@pytest.mark.parametrize("at_s", [-61.0, 421.0])
def test_what_is_farther_off_in_time_is_no_consequence(at_s: float) -> None:
    assert join(at_s=at_s) is None


@pytest.mark.parametrize("node", ["search", "host1", "stranger"])
def test_who_does_not_depend_on_the_root_is_no_consequence(node: str) -> None:
    assert join(node) is None


@pytest.mark.parametrize(("node", "hops"), [("bank", 0), ("payment", 1), ("checkout", 2)])
def test_each_step_makes_it_less_likely(node: str, hops: int) -> None:
    found = join(node)

    assert found is not None
    assert found.hops == hops
    assert found.topology == pytest.approx(hops * math.log(0.8))


def test_ten_times_the_strangers_take_as_much_as_ten_is_in_logarithms() -> None:
    few, many = join(rate=0.5), join(rate=5.0)

    assert few is not None
    assert many is not None
    assert few.time - many.time == pytest.approx(math.log(10.0))


def test_a_root_that_names_nobody_explains_nobody_with_a_name() -> None:
    assert join(root="") is None


def test_whom_nobody_can_name_may_belong_to_anything_but_not_by_much() -> None:
    found = join("")

    assert found is not None
    assert found.topology == -2.5


def test_alerts_of_one_place_at_one_time_are_one_group() -> None:
    alerts = [complaint("web", n, rule=f"rule{n}") for n in range(4)]

    (group,) = grouper().group(alerts, scene())

    assert len(group.joins) == 4


def test_who_depends_and_says_nothing_speaks_against_a_group() -> None:
    pair = [complaint("search"), complaint("catalog", 30.0)]

    silent, ignored = (grouper(silent=weight).group(pair, scene()) for weight in (9.0, 0.0))

    assert [len(group.joins) for group in silent] == [1, 1]
    assert len(ignored) <= len(silent)
