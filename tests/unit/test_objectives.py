"""Budgets of objectives, and how fast they burn, beside values computed by hand."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.watchers.objectives import (
    HOURS,
    MINUTES,
    RULES,
    Account,
    Slo,
    SloKind,
    burns,
    loaded,
)

FIRST = 28_333_440
"""A minute, counted from 1970."""
SLO = Slo(service="shop", objective=99.9)


def counted(*parts: tuple[int, float]) -> Account:
    """1,000 requests a minute, for so many minutes with such a share of bad ones."""
    account, minute = Account(), FIRST
    for n, share in parts:
        for _ in range(n):
            account.count(minute, 1_000.0, 1_000.0 * share)
            minute += 1
    return account


@pytest.mark.parametrize(
    ("n_minutes", "expected"), [(1, 0.02), (10, 0.02), (20, 0.01), (60, 0.02 * 10 / 60)]
)
def test_a_window_counts_its_minutes_alone(n_minutes: int, expected: float) -> None:
    account = counted((100, 0.0), (10, 0.02))

    assert account.bad_share(n_minutes) == pytest.approx(expected)


def test_an_hour_at_twenty_times_too_fast_burns_by_the_first_rule() -> None:
    """2 % bad of 0.1 % allowed: over 5 minutes 20 times, over the hour from its 44th minute on."""
    for n_bad, expected in ((43, []), (44, [14.4])):
        account = counted((600, 0.0), (n_bad, 0.02))

        fast = [one.rule.times for one in burns(account, SLO) if one.rule.times == 14.4]

        assert fast == expected


def test_what_is_over_burns_no_more_although_the_hour_remembers() -> None:
    account = counted((600, 0.0), (50, 0.02), (5, 0.0))

    assert account.bad_share(60) / SLO.allowed > 14.4
    assert 14.4 not in [one.rule.times for one in burns(account, SLO)]


def test_a_slow_leak_is_found_by_the_slow_rule_alone() -> None:
    """0.15 % bad of 0.1 % allowed, for three days."""
    account = counted((MINUTES, 0.0015))

    (found,) = burns(account, SLO)

    assert (found.rule, found.is_over) == (RULES[-1], False)
    assert found.times == pytest.approx(1.5)
    assert not found.rule.is_page


def test_it_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    account = counted((600, 0.0), (60, 0.05))
    began = burns(account, SLO)
    again = burns(account, SLO)
    for minute in range(FIRST + 660, FIRST + 670):
        account.count(minute, 1_000.0, 0.0)

    over = burns(account, SLO)

    assert again == []
    assert 14.4 in [one.rule.times for one in began if not one.is_over]
    (fast,) = [one for one in over if one.rule.times == 14.4]
    assert (fast.is_over, fast.since) == (True, FIRST + 659)


def test_the_budget_is_what_thirty_days_allow() -> None:
    """A day of 30 at 1 %: ten times the budget of that day, a third of all."""
    account = counted((29 * 1_440, 0.0), (1_440, 0.01))

    assert account.left(SLO.allowed) == pytest.approx(1.0 - 10.0 / 30.0)


def test_what_is_older_than_thirty_days_is_forgotten() -> None:
    account = counted((60, 0.5))
    account.count(FIRST + HOURS * 60, 1_000.0, 0.0)

    assert account.left(SLO.allowed) == 1.0


def test_a_pause_empties_what_it_passes_over() -> None:
    account = counted((60, 0.5))
    account.count(FIRST + 2 * MINUTES, 1_000.0, 0.0)

    assert account.bad_share(MINUTES) == 0.0


def test_nothing_asked_nothing_burnt() -> None:
    account = Account()

    assert burns(account, SLO) == []
    assert account.left(SLO.allowed) == 1.0


def test_an_account_goes_on_after_a_restart() -> None:
    one = counted((600, 0.0), (60, 0.05))
    burns(one, SLO)

    other = loaded(one.dump())

    assert other.dump() == one.dump()
    assert burns(other, SLO) == []


def test_an_objective_says_what_it_promises() -> None:
    latency = Slo(service="shop", objective=99.0, kind=SloKind.LATENCY, threshold_s=0.25)

    assert (SLO.name, latency.name) == ("availability 99.9 %", "latency 0.25 s 99 %")
