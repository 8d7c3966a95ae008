"""Recorded minutes in which the shop's users would have felt something are no calm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from quality.calm import unfelt
from quality.felt_minutes import answers_of, calm, felt, usual_of
from quality.recorded_minutes import Minute, Recorded, Second
from quality.suite import Unmeasurable
from shop.breaks.users import N_BAD, N_LOOKS
from tests.red import Call, spans

QUICK_S, SLOW_S = 0.02, 0.4
CART = Call(service="gateway", name="GET /cart/{n}", parent=0)


def minute(*calls: Call) -> Minute:
    """Each a second later than the one before."""
    seconds = {
        at: Second(spans=spans(replace(call, start_s=at, trace=at + 1, span=at + 1)))
        for at, call in enumerate(calls)
    }
    return Minute(0, seconds, len(calls), 0)


def quick(n: int) -> list[Call]:
    return [replace(CART, duration_s=QUICK_S)] * n


def slow(n: int) -> list[Call]:
    return [replace(CART, duration_s=SLOW_S)] * n


def failed(n: int) -> list[Call]:
    return [replace(CART, failed=True)] * n


USUAL = [minute(*quick(60))] * 20


@pytest.mark.parametrize(
    "calls",
    [
        quick(60),
        [*quick(30), *slow(N_BAD - 1), *quick(30)],
        [*slow(2), *quick(N_LOOKS), *slow(2)],
        quick(3),
        [],
    ],
)
def test_a_minute_in_which_few_answers_are_bad_is_calm(calls: Sequence[Call]) -> None:
    one = minute(*calls)

    assert calm([*USUAL, one])[-1] is one


@pytest.mark.parametrize(
    "calls",
    [
        [*quick(30), *slow(N_BAD), *quick(30)],
        [*quick(30), *failed(N_BAD), *quick(30)],
        [*slow(2), *quick(N_LOOKS - 4), *failed(2)],
        slow(N_BAD),
    ],
)
def test_a_minute_in_which_four_answers_of_24_are_bad_is_none(calls: Sequence[Call]) -> None:
    assert calm([*USUAL, minute(*calls)]) == USUAL


def test_a_recording_of_which_users_felt_a_third_is_refused() -> None:
    strained = minute(*quick(30), *slow(N_BAD), *quick(30))

    few = unfelt(Recorded((), [*USUAL, strained]))

    assert few.minutes == USUAL
    with pytest.raises(Unmeasurable, match="in 10 of 30 recorded minutes users felt something"):
        unfelt(Recorded((), [*USUAL, *[strained] * 10]))


def test_what_is_always_slow_is_usual() -> None:
    minutes = [minute(*slow(60))] * 5

    assert calm(minutes) == minutes


def test_each_errand_has_an_usual_of_its_own() -> None:
    looks = [replace(CART, name="GET /inventory/{n}", duration_s=SLOW_S)] * 30

    mixed = minute(*quick(30), *looks)

    assert calm([mixed] * 3) == [mixed] * 3
    assert set(usual_of([answers_of(mixed)])) == {"GET /cart/{n}", "GET /inventory/{n}"}


@pytest.mark.parametrize(
    "other",
    [{"service": "watchkeeper"}, {"parent": 5}, {"kind": 3}],
    ids=lambda one: next(iter(one)),
)
def test_only_what_buyers_asked_the_gateway_counts(other: dict[str, str | int]) -> None:
    elsewhere = minute(*(replace(one, **other) for one in failed(30)))

    assert answers_of(elsewhere) == {}
    assert not felt(answers_of(elsewhere), {})


def test_answers_are_in_the_order_in_which_they_were_asked() -> None:
    late = Second(spans=spans(*slow(1), *quick(1)))
    early = Second(spans=spans(replace(CART, failed=True, start_s=-1.0)))

    (seen,) = answers_of(Minute(0, {3: late, 5: early}, 3, 0)).values()

    assert [saw.is_error for _, saw in seen] == [True, False, False]
