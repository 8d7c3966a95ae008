"""What users feel of a fault, and what is chance."""

from __future__ import annotations

import pytest

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop.breaks import users
from shop.breaks.fault import between
from shop.breaks.users import Saw, Usual


@pytest.mark.parametrize(
    ("saw", "is_bad"),
    [
        (Saw(False, 0.05), False),
        (Saw(True, 0.0), True),
        (Saw(False, 0.15), False),
        (Saw(False, 0.17), True),
    ],
)
def test_an_answer_is_bad_that_is_an_error_or_plainly_slower_than_any_before(
    saw: Saw, is_bad: bool
) -> None:
    assert users.is_bad(saw, Usual(0, 0.06)) == is_bad


def test_what_is_slow_anyway_has_to_take_twice_as_long() -> None:
    before = Usual(0, 1.0)

    assert not users.is_bad(Saw(False, 1.9), before)
    assert users.is_bad(Saw(False, 2.1), before)


def test_a_few_bad_answers_are_chance_and_more_are_not() -> None:
    well, ill = Saw(False, 0.01), Saw(True, 0.01)

    assert not users.is_felt([ill] * 3 + [well] * 21, Usual())
    assert users.is_felt([ill] * 4 + [well] * 20, Usual())


def test_errors_that_were_usual_before_are_no_sign() -> None:
    seen = [Saw(True, 0.01)] * 12 + [Saw(False, 0.01)] * 12

    assert not users.is_felt(seen, Usual(n_errors=6))
    assert users.is_felt(seen, Usual(n_errors=3))


@pytest.mark.parametrize(("intensity", "amount"), [(0.0, 3.0), (0.5, 2.0), (1.0, 1.0)])
def test_an_intensity_lies_between_two_ends_whichever_is_larger(
    intensity: float, amount: float
) -> None:
    assert between(3.0, 1.0, intensity) == amount
