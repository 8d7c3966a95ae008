"""Every detector keeps the promises of `analyze/detectors/base.py`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.detecting import (
    DAY,
    MIDNIGHT_NS,
    build,
    chain,
    columns,
    cut,
    dials,
    interleaved,
    joined,
    judged,
    kinds,
    noise,
    pick,
    points,
    slots,
    state,
)
from tests.make import NS_PER_S
from watchkeeper import plugins
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, INFO, OPENED, WORSENED, Findings
from watchkeeper.analyze.detectors.base import Points as Columns
from watchkeeper.analyze.detectors.preset import Preset
from watchkeeper.errors import Permanent
from watchkeeper.model.series import F64

NAMES = sorted(plugins.BUILTIN["detector"])
EVERY = pytest.mark.parametrize("name", NAMES)
PRESETS = [name for name in NAMES if issubclass(plugins.load("detector", name), Preset)]
"""Rules of others: they keep the port's promises, and have no more sense than they ever had."""
SENSIBLE = pytest.mark.parametrize("name", sorted(set(NAMES) - set(PRESETS)))
WEIRD = [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0, 0.0]
STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]


def eventful(seed: int = 0, n: int = 2 * DAY) -> F64:
    """Noise with a spike, a burst, a shift and a pause of variance, all after it was learned."""
    values = noise(n, seed)
    values[1500] += 40.0
    values[1800:1830] += 25.0
    values[2100:] += 30.0
    values[2400:2600] = values[2400]
    return values


@SENSIBLE
def test_an_episode_is_told_from_opening_to_closing(name: str) -> None:
    findings = build(name).step(points(eventful()), kinds(), dials())

    assert np.count_nonzero(findings.change == OPENED) >= 2
    open_since = None
    for i in range(len(findings)):
        if findings.change[i] == OPENED:
            assert open_since is None
            open_since = findings.started_ns[i]
        assert findings.started_ns[i] == open_since
        if findings.change[i] == CLOSED:
            open_since = None


@EVERY
def test_an_episode_is_held_until_it_closes_or_is_let_go(name: str) -> None:
    detector, values = build(name), eventful()
    values[1800:1830] *= 10.0
    found = detector.step(points(values), kinds(), dials())
    opened = int(np.flatnonzero(found.change == OPENED)[0])
    first = slots(0), found.started_ns[opened : opened + 1]
    until = round(int(found.time_ns[opened] - MIDNIGHT_NS) / 60 / NS_PER_S) + 1

    one, other = build(name), build(name)
    for each in (one, other):
        each.step(points(values[:until]), kinds(), dials())
    other.let_go(slots(0))

    assert detector.holds(*first).tolist() == [False]
    assert one.holds(*first).tolist() == [True]
    assert one.holds(slots(1), first[1]).tolist() == [False]
    assert one.holds(first[0], first[1] + 1).tolist() == [False]
    assert other.holds(*first).tolist() == [False]


@EVERY
def test_a_finding_explains_itself(name: str) -> None:
    detector = build(name)
    findings = detector.step(points(eventful()), kinds(), dials())
    loud = findings.change != CLOSED

    assert np.all((findings.p_value > 0.0) & (findings.p_value <= 1.0))
    assert np.all(np.isfinite(findings.low) & np.isfinite(findings.high))
    assert np.all(findings.low <= findings.high)
    outside = (findings.value < findings.low) | (findings.value > findings.high)
    assert np.all(outside[loud])
    assert findings.streams.shape == (len(findings), len(detector.streams))
    assert np.all(np.isfinite(findings.streams))
    assert set(findings.severity) <= {INFO, EVIDENCE}
    assert set(findings.change) <= {OPENED, WORSENED, CLOSED}


@EVERY
def test_findings_do_not_depend_on_where_batches_end(name: str) -> None:
    whole = points(eventful())
    at_once, in_parts = build(name), build(name)

    parts = [in_parts.step(cut(whole, i, i + 7), kinds(), dials()) for i in range(0, len(whole), 7)]

    assert joined(parts) == columns(at_once.step(whole, kinds(), dials()))
    assert state(in_parts, 0) == state(at_once, 0)


@EVERY
def test_a_point_is_scored_before_it_is_learned_and_never_again(name: str) -> None:
    """The findings of the first k points are the first findings of all."""
    whole = points(eventful())
    told = columns(build(name).step(whole, kinds(), dials()))

    for k in (1501, 1502, 1815, 2101, 2500):
        prefix = columns(build(name).step(cut(whole, 0, k), kinds(), dials()))
        assert all(told[column].startswith(prefix[column]) for column in told)


@EVERY
def test_a_series_is_judged_by_itself(name: str) -> None:
    alone, among = build(name), build(name)
    mine = points(eventful(), slot=3)
    crowd = [points(eventful(seed), slot=seed) for seed in (0, 1, 7)]

    of_all = among.step(interleaved(mine, *crowd), kinds(), dials())
    own = pick_findings(of_all, of_all.slot == 3)

    assert columns(own) == columns(alone.step(mine, kinds(), dials()))
    assert state(among, 3) == state(alone, 3)


@EVERY
def test_the_slot_does_not_matter(name: str) -> None:
    low, high = build(name), build(name)

    low.step(points(eventful(), slot=0), kinds(), dials())
    high.step(points(eventful(), slot=11), kinds(), dials())

    assert state(low, 0) == state(high, 11)


@EVERY
def test_a_dumped_twin_goes_on_alike_in_another_slot(name: str) -> None:
    whole = points(eventful(), slot=2)
    elsewhere = points(eventful(), slot=5)
    detector, twin = build(name), build(name)
    for k in (1, 40, 1501, 1816, 2105):
        detector.admit(slots(2), slots(-1))
        detector.step(cut(whole, 0, k), kinds(), dials())

        twin.load(slots(5), detector.dump(slots(2)))
        expected = columns(detector.step(cut(whole, k), kinds(), dials()))
        found = columns(twin.step(cut(elsewhere, k), kinds(), dials()))

        expected.pop("slot")
        found.pop("slot")
        assert found == expected
        assert state(twin, 5) == state(detector, 2)


@EVERY
def test_a_dump_has_one_row_per_slot_asked_for(name: str) -> None:
    detector = build(name)
    detector.step(interleaved(*(points(eventful(s), slot=s) for s in (0, 1, 4))), kinds(), dials())

    whole = detector.dump(slots(4, 0))

    assert all(len(array) == 2 for array in whole.values())
    for i, slot in enumerate((4, 0)):
        alone = detector.dump(slots(slot))
        assert all(np.array_equal(whole[key][i], alone[key][0]) for key in whole)


@EVERY
def test_a_dump_is_a_copy(name: str) -> None:
    detector = build(name)
    detector.step(points(eventful()), kinds(), dials())
    before = detector.dump(slots(0))
    kept = {key: array.copy() for key, array in before.items()}

    detector.step(
        points(noise(10), start_ns=MIDNIGHT_NS + 10 * DAY * 60 * NS_PER_S), kinds(), dials()
    )

    assert all(np.array_equal(before[key], kept[key]) for key in kept)


@EVERY
def test_state_of_another_layout_is_refused_with_the_remedy(name: str) -> None:
    detector = build(name)
    shortened = {key: array[:, :-1] for key, array in detector.dump(slots(0)).items()}

    with pytest.raises(Permanent, match="remove the checkpoints"):
        detector.load(slots(0), shortened)


@EVERY
def test_no_points_are_no_findings(name: str) -> None:
    detector = build(name)

    assert len(detector.step(points([]), kinds(), dials())) == 0
    detector.admit(slots(), slots())
    assert state(detector, 0) == state(build(name), 0)


@EVERY
def test_points_are_not_changed_by_being_judged(name: str) -> None:
    whole = points([*eventful(), *WEIRD])
    kept = (whole.slot.copy(), whole.time_ns.copy(), whole.value.tobytes())
    for column in (whole.slot, whole.time_ns, whole.value):
        column.flags.writeable = False

    build(name).step(whole, kinds(), dials())

    assert np.array_equal(whole.slot, kept[0])
    assert np.array_equal(whole.time_ns, kept[1])
    assert whole.value.tobytes() == kept[2]


@SENSIBLE
@pytest.mark.parametrize("n", [0, 1, 2, 29, 30, 31, 199, 200, 201])
def test_a_young_series_that_is_calm_raises_nothing(name: str, n: int) -> None:
    assert judged(build(name), points(noise(n + 2)))[:1] == []


@SENSIBLE
@pytest.mark.parametrize("before", [5.0, 0.0, -3.0, 1e9, 1e-9])
def test_a_step_of_a_flat_series_is_one_episode_and_soon_the_rule(name: str, before: float) -> None:
    values = np.full(3 * DAY, before)
    values[2 * DAY :] = before + max(abs(before), 1.0)

    told = judged(build(name), points(values))

    assert [one.change for one in told if one.change != "worsened"] == ["opened", "closed"]
    assert told[0].at == 2 * DAY
    assert told[-1].at <= 2 * DAY + 30


@EVERY
def test_a_flat_series_raises_nothing(name: str) -> None:
    for value in (0.0, 5.0, 1e308, -1e308, 5e-324):
        assert judged(build(name), points(np.full(3 * DAY, value))) == []


@EVERY
def test_what_is_no_number_is_passed_over(name: str) -> None:
    whole = points(eventful())
    holes = whole.value.copy()
    holes[[0, 3, 500, 501, 1700, 2200]] = [np.nan, np.inf, -np.inf, np.nan, STALE, np.inf]
    numbers = pick(whole, np.isfinite(holes))
    with_holes, without = build(name), build(name)

    found = with_holes.step(Columns(whole.slot, whole.time_ns, holes), kinds(), dials())

    assert columns(found) == columns(without.step(numbers, kinds(), dials()))
    assert state(with_holes, 0) == state(without, 0)


@EVERY
def test_a_series_without_a_number_raises_nothing_and_learns_nothing(name: str) -> None:
    detector = build(name)

    assert judged(detector, points([np.nan] * 500)) == []
    assert state(detector, 0) == state(build(name), 0)


@SENSIBLE
@pytest.mark.parametrize("weird", [1e308, -1e308, 1e300, 5e-324])
def test_a_monstrous_value_leaves_all_finite_and_is_overcome(name: str, weird: float) -> None:
    """A spike two days after the monster is found again: its size is not remembered for weeks."""
    values = noise(4 * DAY)
    values[DAY + 100] = weird
    values[DAY + 101] = -weird
    values[3 * DAY + 200] += 40.0
    detector = build(name)

    findings = detector.step(points(values), kinds(), dials())

    for column in (findings.value, findings.low, findings.high, findings.p_value):
        assert np.all(np.isfinite(column))
    at = [one.at for one in judged(build(name), points(values)) if one.change == "opened"]
    assert at[-1] == 3 * DAY + 200


@EVERY
def test_whatever_comes_what_is_told_is_finite(name: str) -> None:
    values = noise(DAY)
    values[100:200:10] = [1e308, -1e308, 1e300, 5e-324, -0.0, 0.0, 1e30, -1e30, 1e-300, 2.0**64]

    findings = build(name).step(points(values), kinds(), dials())

    for column in (findings.value, findings.low, findings.high, findings.p_value, findings.streams):
        assert np.all(np.isfinite(column))


@EVERY
def test_duplicates_and_the_past_are_not_judged(name: str) -> None:
    whole = points(eventful())
    again = np.sort(np.concatenate([np.arange(len(whole)), np.arange(5, len(whole), 9)]))
    disorder = pick(whole, again)
    late = pick(whole, np.arange(100, 160))
    tidy, untidy = build(name), build(name)

    found = untidy.step(chain(disorder, late), kinds(), dials())

    assert columns(found) == columns(tidy.step(whole, kinds(), dials()))
    assert state(untidy, 0) == state(tidy, 0)


@SENSIBLE
@pytest.mark.parametrize("gap_s", [240, 3_600, 86_400, 14 * 86_400])
def test_a_gap_is_no_finding(name: str, gap_s: int) -> None:
    """What comes after it is a little off, as it is after a night."""
    whole = points(noise(2 * DAY))
    after = points(noise(DAY, 1, mean=101.5), start_ns=int(whole.time_ns[-1]) + gap_s * NS_PER_S)

    assert len(build(name).step(chain(whole, after), kinds(), dials())) == 0


@SENSIBLE
def test_a_change_of_the_interval_is_no_finding(name: str) -> None:
    fast = points(noise(6 * DAY), step_s=10.0)
    slow = points(noise(2 * DAY, 1), start_ns=int(fast.time_ns[-1]) + 60 * NS_PER_S)
    fast_again = points(noise(DAY, 2), step_s=10.0, start_ns=int(slow.time_ns[-1]) + 10 * NS_PER_S)

    assert len(build(name).step(chain(fast, slow, fast_again), kinds(), dials())) == 0


@EVERY
def test_the_unit_of_a_value_does_not_matter(name: str) -> None:
    told = judged(build(name), points(eventful()))

    for unit in (1e3, 2.0**-10):
        other = judged(build(name), points(eventful() * unit))
        assert [(one.change, one.at) for one in other] == [(one.change, one.at) for one in told]


@EVERY
def test_down_is_as_strange_as_up(name: str) -> None:
    told = judged(build(name), points(eventful()))
    mirrored = judged(build(name), points(-eventful()))

    assert [(one.change, one.at) for one in mirrored] == [(one.change, one.at) for one in told]


@EVERY
def test_a_fresh_slot_remembers_nothing_of_its_former_owner(name: str) -> None:
    detector = build(name)
    detector.step(points(eventful(), slot=6), kinds(), dials())

    detector.admit(slots(6), slots(-1))

    assert state(detector, 6) == state(build(name), 6)


@SENSIBLE
def test_a_newcomer_with_a_donor_needs_no_time_to_learn(name: str) -> None:
    detector = build(name)
    detector.step(points(noise(2 * DAY), slot=0), kinds(), dials())
    later_ns = MIDNIGHT_NS + 2 * DAY * 60 * NS_PER_S
    values = noise(120, 1)
    values[60] += 40.0

    detector.admit(slots(1), slots(0))
    whole = points(values, slot=1, start_ns=later_ns)
    findings = detector.step(whole, kinds(), dials())

    assert findings.change.tolist()[:1] == [OPENED]
    assert findings.time_ns[0] == whole.time_ns[60]


@SENSIBLE
def test_a_newcomer_at_another_level_than_its_donor_is_no_finding(name: str) -> None:
    detector = build(name)
    detector.step(points(noise(2 * DAY, mean=100.0), slot=0), kinds(), dials())
    later_ns = MIDNIGHT_NS + 2 * DAY * 60 * NS_PER_S

    detector.admit(slots(1), slots(0))
    found = detector.step(
        points(noise(DAY, mean=300.0), slot=1, start_ns=later_ns), kinds(), dials()
    )

    assert len(found) == 0


@SENSIBLE
def test_a_donor_gives_a_copy_and_stays_as_it_is(name: str) -> None:
    detector = build(name)
    detector.step(points(eventful()), kinds(), dials())
    before = state(detector, 0)

    detector.admit(slots(1, 2), slots(0, 1))
    detector.step(points(noise(50), slot=1), kinds(), dials())

    assert state(detector, 0) == before
    assert state(detector, 2) != state(build(name), 2), "a donor admitted in the same batch gives"


@SENSIBLE
@pytest.mark.parametrize("n_learned", [0, 1, 2])
def test_a_donor_that_knows_next_to_nothing_does_no_harm(name: str, n_learned: int) -> None:
    detector = build(name)
    detector.step(points(noise(n_learned)), kinds(), dials())

    detector.admit(slots(1), slots(0))
    whole = points(noise(2 * DAY, 1), slot=1, start_ns=MIDNIGHT_NS + 3_600 * NS_PER_S)

    assert len(detector.step(whole, kinds(), dials())) == 0
    spike = points([150.0], slot=1, start_ns=int(whole.time_ns[-1]) + 60 * NS_PER_S)
    assert detector.step(spike, kinds(), dials()).change.tolist() == [OPENED]


@SENSIBLE
def test_a_week_of_hourly_restarts_is_quiet(name: str) -> None:
    """Each hour the series ends and its successor takes over its statistics."""
    detector = build(name)
    detector.step(points(noise(2 * DAY), slot=0), kinds(), dials())
    n_found = 0
    for hour in range(168):
        slot, donor = (hour + 1) % 2, hour % 2
        detector.admit(slots(slot), slots(donor))
        start_ns = MIDNIGHT_NS + (2 * 86_400 + hour * 3_600) * NS_PER_S
        n_found += len(
            detector.step(
                points(noise(60, hour + 1), slot=slot, start_ns=start_ns), kinds(), dials()
            )
        )

    assert n_found == 0


@EVERY
def test_slots_beyond_the_capacity_get_room(name: str) -> None:
    small, large = build(name, capacity=2), build(name, capacity=64)
    crowd = interleaved(*(points(eventful(slot)[:1600], slot=slot) for slot in range(40)))

    parts = [crowd, points(noise(5), slot=63)]
    found = [joined([one.step(part, kinds(), dials()) for part in parts]) for one in (small, large)]

    assert found[0] == found[1]
    everyone = list(range(64))
    assert state(small, *everyone) == state(large, *everyone)


@EVERY
def test_memory_is_a_fixed_number_of_bytes_per_series(name: str) -> None:
    detector = build(name)
    before = {key: array.nbytes for key, array in detector.dump(slots(0)).items()}

    detector.step(points(noise(20 * DAY)), kinds(), dials())

    after = {key: array.nbytes for key, array in detector.dump(slots(0)).items()}
    assert after == before
    written = [array for array in detector.dump(slots(0)).values() if array.any()]
    assert sum(array.nbytes for array in written) <= 2_048


@EVERY
def test_detectors_in_threads_do_not_disturb_each_other(name: str) -> None:
    batches = [points(eventful(seed)) for seed in range(4)]
    alone = [columns(build(name).step(batch, kinds(), dials())) for batch in batches]
    detectors = [build(name) for _ in batches]

    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda one, batch: one.step(batch, kinds(), dials()), detectors, batches)
        )

    assert [columns(one) for one in found] == alone


def pick_findings(findings: Findings, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Findings:
    names = [*columns(findings)]
    return Findings(**{name: getattr(findings, name)[rows] for name in names})
