"""How a budget of pages a day becomes yes or no."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.watchers.budget import (
    DAY_NS,
    WEEK_NS,
    BudgetConfig,
    PageBudget,
    Reason,
)

HOUR_NS = DAY_NS // 24
FAR = 40.0
"""A score that is beyond every limit."""


def budget(pages_per_day: float = 1.0, cap: int = 3) -> PageBudget:
    return PageBudget(BudgetConfig(pages_per_day=pages_per_day, per_subject_and_day=cap))


def asked(
    one: PageBudget, subject: str, score: float, time_ns: int, *, confirmed: bool = False
) -> Reason:
    return one.decide(subject, score, time_ns, n_services=1_000, confirmed=confirmed)


def test_so_many_pages_as_the_budget_are_expected_where_nothing_happens() -> None:
    limit = budget(2.0).page_at(1_024)

    verdicts_a_day = 1_024 * 8_640 * 4
    assert 10.0**-limit * verdicts_a_day == pytest.approx(2.0)


def test_more_services_and_fewer_pages_ask_for_stranger_things() -> None:
    assert budget().page_at(10_000) > budget().page_at(1_000) > budget().page_at(100)
    assert budget(0.1).page_at(1_000) == pytest.approx(budget().page_at(1_000) + 1.0)


def test_one_more_service_seldom_changes_anything() -> None:
    assert len({budget().page_at(n) for n in range(513, 1_025)}) == 1


def test_evidence_is_a_hundred_times_as_frequent() -> None:
    assert budget().open_at(1_000) == budget().page_at(1_000) - 2.0


@pytest.mark.parametrize(("beyond", "reason"), [(0.1, Reason.PAGED), (-0.1, Reason.WITHIN)])
def test_what_is_stranger_than_the_limit_pages(beyond: float, reason: Reason) -> None:
    one = budget()

    assert asked(one, "shop", one.page_at(1_000) + beyond, 0) is reason


def test_evidence_that_is_confirmed_pages() -> None:
    one = budget()

    assert asked(one, "shop", one.open_at(1_000), 0, confirmed=True) is Reason.CONFIRMED


def test_no_subject_pages_more_than_a_few_times_a_day() -> None:
    one = budget()

    said = [asked(one, "shop", FAR + k, k * HOUR_NS) for k in range(5)]

    assert said == [Reason.PAGED] * 3 + [Reason.NOISY] * 2


def test_a_subject_that_paged_much_has_to_beat_its_week() -> None:
    one = budget()
    for k in range(3):
        asked(one, "shop", FAR + k, k * DAY_NS)

    assert asked(one, "shop", FAR, 4 * DAY_NS) is Reason.WEEK
    assert asked(one, "shop", FAR + 1, 4 * DAY_NS) is Reason.PAGED


def test_the_cap_recovers_after_a_noisy_week() -> None:
    one = budget()
    for hour in range(7 * 24):
        asked(one, "shop", FAR + hour, hour * HOUR_NS)

    assert asked(one, "shop", FAR - 20.0, 7 * DAY_NS) is Reason.WEEK
    assert asked(one, "shop", FAR - 20.0, 2 * WEEK_NS + DAY_NS) is Reason.PAGED


def test_when_an_installation_pages_too_much_only_the_strongest_still_pages() -> None:
    one = budget()
    said = [asked(one, f"service-{k}", FAR + k % 5, k * HOUR_NS) for k in range(25)]

    assert said[:21] == [Reason.PAGED] * 21
    assert asked(one, "weak", FAR - 1.0, 26 * HOUR_NS) is Reason.INSTALLATION
    assert asked(one, "strong", FAR + 9.0, 27 * HOUR_NS) is Reason.PAGED


def test_an_outage_of_many_services_at_once_is_one_to_the_installation() -> None:
    one = budget()

    said = {asked(one, f"service-{k}", FAR, k * 1_000_000) for k in range(60)}

    assert said == {Reason.PAGED}


def test_the_digest_names_who_was_held_back_the_worst_first() -> None:
    one = budget(cap=1)
    for k in range(4):
        asked(one, "loud", FAR + k, k * HOUR_NS)
    for k in range(2):
        asked(one, "less", FAR + k, k * HOUR_NS)
    asked(one, "weak", 1.0, 0)

    noisy = one.noisy(5 * HOUR_NS)

    assert [(found.subject, found.n_paged, found.n_held) for found in noisy] == [
        ("loud", 1, 3),
        ("less", 1, 1),
    ]
    assert noisy[0].last_ns == 3 * HOUR_NS


def test_the_digest_is_empty_again_a_week_later() -> None:
    one = budget(cap=1)
    asked(one, "loud", FAR, 0)
    asked(one, "loud", FAR, HOUR_NS)

    assert one.noisy(2 * HOUR_NS) != []
    assert one.noisy(2 * HOUR_NS + WEEK_NS) == []


def test_what_is_remembered_of_a_subject_can_be_handed_on() -> None:
    one, other = budget(), budget()
    for k in range(5):
        asked(one, "shop", FAR + k, k * HOUR_NS)

    other.load("shop", *one.dump("shop"))

    assert other.dump("shop") == one.dump("shop")
    assert other.noisy(6 * HOUR_NS) == one.noisy(6 * HOUR_NS)


def test_what_is_remembered_is_bounded() -> None:
    one = budget(cap=10_000)

    for k in range(1_000):
        asked(one, "shop", FAR + k, k)

    pages, held = one.dump("shop")
    assert len(pages) == 64
    assert held == []
