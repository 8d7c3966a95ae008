"""Times at the API's edge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.api.times import iso, parse_duration, parse_time
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1767607200", 1_767_607_200 * NS_PER_S),
        ("1767607200.25", 1_767_607_200 * NS_PER_S + 250_000_000),
        ("1795252160.566", 1_795_252_160 * NS_PER_S + 566_000_000),
        ("2026-01-05T10:00:00Z", 1_767_607_200 * NS_PER_S),
        ("2026-01-05T10:00:00", 1_767_607_200 * NS_PER_S),
        ("2026-01-05T12:00:00.5+02:00", 1_767_607_200 * NS_PER_S + 500_000_000),
    ],
)
def test_a_time_is_read_in_every_form_that_people_write(text: str, ns: int) -> None:
    assert parse_time(text, "start") == ns


@pytest.mark.parametrize("text", ["yesterday", "nan", "inf", "1e30", "", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_named_in_the_error(text: str) -> None:
    with pytest.raises(BadInput, match="start"):
        parse_time(text, "start")


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("5m", 300), ("1.5h", 5400), ("7d", 604800), ("90", 90)]
)
def test_a_duration_is_read_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text, "step") == round(seconds * NS_PER_S)


@pytest.mark.parametrize("text", ["0", "-5s", "5 minutes", "s", "999999d", "nans"])
def test_what_is_no_duration_is_named_in_the_error(text: str) -> None:
    with pytest.raises(BadInput, match="step"):
        parse_duration(text, "step")


@given(st.integers(0, 4_000_000_000 * 1_000_000))
def test_iso_and_back_keeps_every_microsecond(micros: int) -> None:
    assert parse_time(iso(micros * 1000), "t") == micros * 1000
