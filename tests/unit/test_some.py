"""A detector that judges some of all series says what it would say with a row for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.detecting import build, columns, dials, interleaved, kinds, noise, points, slots, state
from watchkeeper.analyze import detect_state
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.some import Some

N = 12
BARE = "rex"


def some() -> Some:
    return Some(build(BARE, capacity=N), N)


def eventful(slot: int) -> Points:
    values = noise(400, slot)
    values[300] += 60.0
    return points(values, slot=slot)


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, N - 1), st.integers(1, 40)),
        st.tuples(st.just("begin"), st.integers(0, N - 1), st.just(-1)),
        st.tuples(st.just("adopt"), st.integers(0, N - 1), st.integers(0, N - 1)),
        st.tuples(st.just("move"), st.integers(0, N - 1), st.integers(0, N - 1)),
    ),
    max_size=25,
)


def act(detector: Any, what: str, slot: int, other: int, at: int) -> dict[str, bytes]:
    """One of the things that happen to a detector, at some time; what it found."""
    if what == "send":
        sent = points(noise(other, at), slot=slot, start_ns=(at + 1) * 10**13)
        return columns(detector.step(sent, kinds(), dials()))
    if what == "move":
        detector.load(slots(other), detector.dump(slots(slot)))
    else:
        detector.admit(slots(slot), slots(other))
    return {}


@given(acts=ACTS)
def test_nobody_can_tell_it_from_one_that_has_a_row_for_each(
    acts: list[tuple[str, int, int]],
) -> None:
    bare, one = build(BARE, capacity=N), some()

    for at, (what, slot, other) in enumerate(acts):
        assert act(one, what, slot, other, at) == act(bare, what, slot, other, at)

    assert state(one, *range(N)) == state(bare, *range(N))


def test_findings_name_the_series_and_not_its_place() -> None:
    one, bare = some(), build(BARE, capacity=N)
    crowd = interleaved(eventful(9), eventful(4), eventful(11))

    found = columns(one.step(crowd, kinds(), dials()))

    assert found == columns(bare.step(crowd, kinds(), dials()))
    assert found["slot"]


def test_each_series_keeps_its_dial() -> None:
    one, turned = some(), dials()
    turned["muted"][4] = 1

    found = one.step(interleaved(eventful(9), eventful(4)), kinds(), turned)

    assert set(found.slot.tolist()) == {9}


def test_places_are_given_to_those_who_send_and_taken_back() -> None:
    one = some()
    one.step(interleaved(eventful(9), eventful(4)), kinds(), dials())
    before = one.n_judged

    one.release(slots(9, 2))
    one.admit(slots(4), slots(-1))
    after = one.n_judged
    one.step(eventful(7), kinds(), dials())

    assert (before, after, one.n_judged) == (2, 0, 1)
    assert state(one, 7) == state(_fed(eventful(7)), 7)
    assert state(one, 4, 9) == state(some(), 4, 9)


def _fed(whole: Points) -> Some:
    one = some()
    one.step(whole, kinds(), dials())
    return one


def test_who_was_never_judged_takes_no_place_when_a_checkpoint_is_loaded() -> None:
    one, other = _fed(eventful(5)), some()
    everyone = slots(*range(N))

    other.load(everyone, one.dump(everyone))

    assert other.n_judged == 1
    assert state(other, *range(N)) == state(one, *range(N))


def test_a_dump_of_nobody_has_the_form_of_all() -> None:
    forms = [
        {name: (array.dtype, array.shape[1:]) for name, array in one.dump(slots()).items()}
        for one in (some(), build(BARE))
    ]

    assert forms[0] == forms[1]


@pytest.mark.parametrize("used", [(), (0,), (3, 9, 11), tuple(range(N))])
def test_rows_of_which_nothing_was_learned_take_no_room_in_a_checkpoint(
    used: tuple[int, ...],
) -> None:
    array = np.zeros((N, 100), np.uint8)
    array[list(used), 7] = 1
    identity = np.zeros((N, 2), np.uint64)

    beside = detect_state.Beside(b"", {}, b"", b"", b"")
    kept = detect_state.encode(identity, {"rex": {"row": array}}, {"rex": 1}, beside)

    back = detect_state.decode(kept).states({"rex": 1})["rex"]["row"]
    assert back.tobytes() == array.tobytes()
    assert len(kept) < 16 * N + 100 * len(used) + 100


def test_series_that_begin_together_begin_as_one_after_the_other() -> None:
    """Heirs of heirs, places that are given back to be another's."""
    bare, one, stepwise = build(BARE, capacity=N), some(), some()
    begin = (slots(5, 6, 0, 7, 1, 8), slots(0, 5, -1, 6, 3, 1))

    for detector in (bare, one, stepwise):
        for slot in (0, 1, 2, 3):
            detector.step(eventful(slot), kinds(), dials())
    bare.admit(*begin)
    one.admit(*begin)
    for to, donor in zip(*(column.tolist() for column in begin), strict=True):
        stepwise.admit(slots(to), slots(donor))

    assert state(one, *range(N)) == state(bare, *range(N))
    assert state(stepwise, *range(N)) == state(bare, *range(N))
    assert one.n_judged == stepwise.n_judged
