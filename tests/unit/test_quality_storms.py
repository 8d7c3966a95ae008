"""The suite of storms: what it makes, and how it counts."""

from __future__ import annotations

import pytest

from quality import storm_maker, storms
from quality.storm_maker import FAMILIES, PAIRS, SHAPES, SIZES
from quality.storm_score import b_cubed, found
from watchkeeper.model.alert import AlertStatus


def test_b3_is_what_its_authors_say() -> None:
    """Two faults of three alerts; one alert of the second is grouped with the first."""
    score = b_cubed("aaabbb", [1, 1, 1, 1, 2, 2])

    assert score.precision == pytest.approx((3 * 3 / 4 + 1 / 4 + 2) / 6)
    assert score.recall == pytest.approx((3 + 1 / 3 + 2 * 2 / 3) / 6)


@pytest.mark.parametrize(
    ("groups", "precision", "recall"),
    [("ppq", 1.0, 1.0), ("ppp", 5 / 9, 1.0), ("pqr", 1.0, 2 / 3)],
)
def test_too_much_and_too_little_are_not_the_same_fault(
    groups: str, precision: float, recall: float
) -> None:
    score = b_cubed("aab", groups)

    assert (score.precision, score.recall) == (pytest.approx(precision), pytest.approx(recall))


def test_a_fault_is_found_if_half_of_both_agree() -> None:
    assert found("aabb", "ppqq", "ab") == 1.0
    assert found("aabb", "pppq", "ab") == 1.0
    assert found("aabb", "pqrs", "c") == 1.0, "nobody spoke of it"
    assert found("aaab", "pqrs", "a") == 0.0


def test_a_storm_is_the_same_again_and_another_with_another_seed() -> None:
    one, same, other = (storm_maker.make("easy", seed) for seed in (1, 1, 2))

    assert one == same
    assert one.said != other.said


@pytest.mark.parametrize("size", SIZES)
def test_each_fault_has_a_root_that_says_so_once(size: str) -> None:
    storm = storm_maker.make(size, 5)

    roots = [one for one in storm.said if one.is_root]
    assert len(storm.roots) == SIZES[size][0]
    assert sorted(one.truth for one in roots) == list(range(len(storm.roots)))
    assert all(one.alert.status is AlertStatus.FIRING for one in roots)


def test_of_storms_in_a_row_each_has_two_shapes_and_all_families_come() -> None:
    made = [storm_maker.make("easy", seed) for seed in range(21)]

    assert {storm.shapes for storm in made} == {frozenset(pair) for pair in PAIRS}
    assert {storm.family for storm in made} == set(FAMILIES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_shows(shape: str) -> None:
    seed = next(seed for seed in range(21) if shape in PAIRS[seed])
    storm = storm_maker.make("medium", seed)
    fired = storms.firings(storm.said)
    late_s = [(one.arrives_ns - one.alert.started_ns) / 1e9 for one in fired]
    n_by_alert = len(fired) / len({(o.truth, o.alert.rule, o.alert.entity) for o in fired})

    shown = {
        "twins": len(set(storm.roots)) > 1,
        "shared_host": any(root.startswith("host") for root in storm.roots),
        "flapping": n_by_alert > 3,
        "late": max(late_s) > 60,
        "skew": min(late_s) < -15,
        "stale": len(storm.topology.edges) < 100,
        "nameless": any(not (one.alert.entity.service or one.alert.entity.node) for one in fired),
    }
    assert shown[shape]


def test_in_a_quiet_hour_there_is_no_fault() -> None:
    storm = storm_maker.quiet("medium", 1)

    assert storm.roots == ()
    assert min(one.truth for one in storm.said) >= 0
    assert max(one.truth for one in storm.before) < 0


def test_trivial_ways_are_what_their_names_say() -> None:
    fired = storms.firings(storm_maker.make("easy", 1).said)
    ways = storms.trivial(fired)

    assert len(set(ways["singletons"])) == len(fired)
    assert set(ways["all_in_one"]) == {0}
    assert 1 <= len(set(ways["session"])) <= len(set(ways["tumbling"])) <= 14
    assert len(set(ways["by_service"])) > len(set(ways["tumbling"]))
    assert {len(groups) for groups in ways.values()} == {len(fired)}


def test_a_storm_is_grouped_better_than_by_chance_and_all_of_it() -> None:
    storm = storm_maker.make("easy", 1002)
    fired = storms.firings(storm.said)

    seen = storms.watch(storm, "root_cover")

    truth = [one.truth for one in fired]
    assert len(seen.groups) == len(fired)
    assert b_cubed(truth, seen.groups).f1 > max(
        b_cubed(truth, groups).f1 for groups in storms.trivial(fired).values()
    )


def test_in_a_quiet_hour_nothing_large_is_made() -> None:
    assert storms.largest(storm_maker.quiet("easy", 1000)) <= 2
