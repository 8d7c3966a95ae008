"""Counts of lines by the minute: rows that change hands, gaps, restarts and absurd counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.log_rates import DAY_MINUTES, LEAST_GAP, LogRates
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I32

MINUTE_NS = 60 * NS_PER_S
START_NS = 1_699_920_000 * NS_PER_S


class Service:
    """All lines of a service in its first row, and two templates behind it."""

    def __init__(self, n: int = 3) -> None:
        self.rates = LogRates(256)
        self.slots: I32 = np.array([self.rates.begin() for _ in range(n)], np.int32)
        self.minute = 0

    def hear(self, *counts: float) -> tuple[list[float], list[bool]]:
        """(lines that are missing, whether that was never so) of a minute."""
        self.minute += 1
        gaps, missed = self.rates.listen(
            self.slots, START_NS + self.minute * MINUTE_NS, np.array(counts), total=0
        )
        return gaps.tolist(), missed.tolist()

    def live(self, minutes: int, *counts: float) -> None:
        for _ in range(minutes):
            self.hear(*counts)

    def restarted(self) -> Service:
        twin = Service(0)
        twin.rates.begin()  # so that rows are others
        twin.slots = np.array([twin.rates.begin() for _ in self.slots], np.int32)
        twin.rates.load(twin.slots, self.rates.dump(self.slots))
        twin.minute = self.minute
        return twin


def test_rows_are_given_out_until_there_is_no_room() -> None:
    rates = LogRates(100)

    slots = [rates.begin() for _ in range(101)]

    assert sorted(slot for slot in slots if slot is not None) == list(range(100))
    assert slots[100] is None


def test_a_row_that_was_given_back_begins_anew() -> None:
    rates = LogRates(100)
    slots = [rates.begin() for _ in range(100)]
    (first,) = (slot for slot in slots if slot == 7)
    of = np.array([first], np.int32)
    empty = rates.dump(of)
    rates.listen(of, START_NS, np.array([5.0]), total=0)
    rates.judge(of, START_NS, np.array([5.0]))
    assert rates.dump(of) != empty

    rates.end(int(of[0]))

    assert rates.begin() == first
    assert rates.dump(of) == empty


@pytest.mark.parametrize("at", [1, 59, 200])
def test_a_restart_in_other_rows_hears_the_same(at: int) -> None:
    one = Service()
    chance = np.random.default_rng(1)
    one.live(at, 30.0, 20.0, 10.0)
    twin = one.restarted()

    for _ in range(60):
        counts = chance.poisson(10.0, 3).astype(float)
        assert twin.hear(*counts) == one.hear(*counts)

    assert twin.rates.dump(twin.slots) == one.rates.dump(one.slots)


@pytest.mark.parametrize(("minutes", "is_told"), [(DAY_MINUTES - 40, False), (DAY_MINUTES, True)])
def test_nothing_is_missing_before_a_day_is_known(minutes: int, is_told: bool) -> None:
    service = Service()
    service.live(minutes, 30.0, 20.0, 10.0)

    missed = [service.hear(20.0, 20.0, 0.0)[1][2] for _ in range(10)]

    assert any(missed) == is_told


def test_what_is_missing_adds_up_minute_by_minute_and_ends_with_the_next_line() -> None:
    service = Service()
    service.live(DAY_MINUTES, 30.0, 20.0, 10.0)

    gaps = [service.hear(20.0, 20.0, 0.0)[0][2] for _ in range(5)]
    after = service.hear(30.0, 20.0, 1.0)

    assert gaps == sorted(gaps)
    assert gaps[0] > LEAST_GAP
    assert after[0][2] == 0.0
    assert not after[1][2]


def test_where_all_come_less_often_each_is_expected_less() -> None:
    busy, calm = Service(), Service()
    for service in (busy, calm):
        service.live(DAY_MINUTES, 30.0, 20.0, 10.0)
    busy.live(30, 20.0, 20.0, 0.0)
    calm.live(30, 1.0, 1.0, 0.0)

    loud, quiet = busy.hear(20.0, 20.0, 0.0)[0][2], calm.hear(1.0, 1.0, 0.0)[0][2]

    assert quiet < 0.5 * loud


def test_gaps_that_were_there_twice_are_usual() -> None:
    service = Service()
    service.live(DAY_MINUTES, 30.0, 20.0, 10.0)
    told = []
    for _ in range(4):
        missed = [service.hear(20.0, 20.0, 0.0)[1][2] for _ in range(6)]
        told.append(any(missed))
        service.live(400, 30.0, 20.0, 10.0)

    assert told == [True, True, False, False]


def test_what_comes_less_than_ten_times_an_hour_is_never_missed() -> None:
    service = Service()
    for minute in range(DAY_MINUTES + 300):
        service.hear(21.0, 20.0, 1.0 if minute % 10 == 0 else 0.0)

    missed = [service.hear(20.0, 20.0, 0.0)[1][2] for _ in range(300)]

    assert not any(missed)


@pytest.mark.parametrize("count", [0.0, 1e6, 1e15])
def test_no_count_makes_a_row_that_is_no_number(count: float) -> None:
    service = Service()
    service.live(50, 30.0, 20.0, 10.0)

    service.hear(count, 20.0, count)
    gaps, _ = service.hear(30.0, 0.0, 0.0)

    assert np.isfinite(gaps).all()


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30))
def test_services_bear_nothing_on_each_other(counts: list[tuple[int, int]]) -> None:
    one, both = Service(2), Service(4)
    mine, others = both.slots[:2], both.slots[2:]

    for minute, (first, second) in enumerate(counts):
        now_ns = START_NS + minute * MINUTE_NS
        values: F64 = np.array([first + second, second], np.float64)
        one.rates.listen(one.slots, now_ns, values, total=0)
        both.rates.listen(others, now_ns, values[::-1] * 7.0, total=0)
        both.rates.listen(mine, now_ns, values, total=0)

    assert both.rates.dump(mine) == one.rates.dump(one.slots)
