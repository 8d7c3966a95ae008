"""Numbers, times and shapes are said in few characters, and never wrongly."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import NS_PER_S, START_NS
from watchkeeper.cli import times, words
from watchkeeper.cli.output import labels_text
from watchkeeper.cli.tally import Tally
from watchkeeper.errors import ConfigError
from watchkeeper.sdk import Rejected, Written

NOW_S = START_NS / NS_PER_S


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "…"),
        (0.0, "0"),
        (0.012345, "0.01235"),
        (1234.0, "1234"),
        (-9999.4, "-9999"),
        (10_000.0, "10k"),
        (56_780.0, "56.78k"),
        (1_613_000.0, "1.613M"),
        (2.5e9, "2.5G"),
        (-3e13, "-30T"),
        (math.inf, "inf"),
    ],
)
def test_a_number_has_four_digits(value: float | None, text: str) -> None:
    assert words.number(value) == text


def test_a_band_may_be_open() -> None:
    assert words.band(0.5, 1.5) == "0.5 to 1.5"
    assert words.band(None, 1.5) == "up to 1.5"
    assert words.band(0.5, None) == "0.5 or more"
    assert words.band(None, None) == "anything"


@pytest.mark.parametrize(
    ("p", "text"), [(1e-6, "1 in 1M"), (0.05, "1 in 20"), (0.7, "0.7"), (0.0, "never seen")]
)
def test_a_probability_is_one_in_so_many(p: float, text: str) -> None:
    assert words.probability(p) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00372, "3.7ms"),
        (1.5, "1.5s"),
        (59.6, "1m"),
        (125, "2m 5s"),
        (5400, "1h 30m"),
        (7 * 86400, "7d"),
        (3 * 86400 + 4 * 3600 + 59, "3d 4h"),
    ],
)
def test_a_length_of_time_has_two_units(seconds: float, text: str) -> None:
    assert words.lasting(seconds) == text


def test_a_size_has_its_unit() -> None:
    assert [words.size(n) for n in (512, 1536, 3 << 30, 5 << 40)] == [
        "512 B", "1.5 KiB", "3 GiB", "5 TiB",
    ]  # fmt: skip


def test_a_moment_is_told_in_utc() -> None:
    east = datetime(2026, 1, 5, 12, tzinfo=timezone(timedelta(hours=2)))

    assert words.moment(east) == "2026-01-05 10:00:00"
    assert words.moment_of(east.timestamp()) == "2026-01-05 10:00:00"


def test_a_sparkline_shows_the_course_and_gaps() -> None:
    assert words.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert words.sparkline([1, math.nan, 3], 3) == "▁ █"
    assert words.sparkline([5, 5, 5], 10) == "▅▅▅"
    assert words.sparkline([math.nan], 10) == ""
    assert words.sparkline([1.0], 0) == ""


def test_a_sparkline_keeps_a_lone_spike() -> None:
    values = [1.0] * 500 + [50.0] + [1.0] * 499

    assert words.sparkline(values, 20).count("█") == 1


@given(st.lists(st.floats(), max_size=200), st.integers(0, 60))
def test_a_sparkline_fits_whatever_it_is_given(values: list[float], width: int) -> None:
    assert len(words.sparkline(values, width)) <= min(width, len(values))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", NOW_S),
        ("1h", NOW_S - 3600),
        ("-1h30m", NOW_S - 5400),
        ("1700000000.5", 1_700_000_000.5),
        ("2026-01-05T10:00:00Z", datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC).timestamp()),
        ("2026-01-05T12:00:00+02:00", datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()),
    ],
)
def test_a_time_is_read_as_people_give_it(text: str, seconds: float) -> None:
    assert times.time_s(text, "--from", now_ns=START_NS) == seconds


def test_what_is_no_time_or_duration_is_named() -> None:
    with pytest.raises(ConfigError, match="--from: 'soon' is no time"):
        times.time_s("soon", "--from", now_ns=START_NS)
    with pytest.raises(ConfigError, match="--step: '0s' is not a duration"):
        times.duration_s("0s", "--step")


def test_labels_are_told_as_a_selector() -> None:
    assert labels_text({"__name__": "up", "b": "2", "a": "1"}) == 'up{a="1", b="2"}'
    assert labels_text({"__name__": "up"}) == "up"
    assert labels_text({"a": "1"}) == '{a="1"}'
    assert labels_text({}) == "{}"


def test_a_tally_adds_up_by_reason_and_keeps_the_first_example() -> None:
    tally = Tally()

    tally.add(Written(5, (Rejected("late", 2, "first"),)))
    tally.add(Written(3, (Rejected("late", 1, "second"), Rejected("conflict", 4))))

    assert (tally.n_requests, tally.n_accepted, tally.n_rejected) == (2, 8, 7)
