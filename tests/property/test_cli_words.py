"""Laws of tables: a number read back is the number, and nothing outgrows its cell."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from watchkeeper.cli import words
from watchkeeper.cli.output import labels_text
from watchkeeper.config import units
from watchkeeper.lake.selector import parse_selector
from watchkeeper.model.series import METRIC_NAME, Matcher, MatchOp

SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
LENGTH_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
BARS = "▁▂▃▄▅▆▇█"

usual = st.floats(1e-4, 9.9e15) | st.floats(-9.9e15, -1e-4)
lengths = st.floats(1e-6, 4e9)
courses = st.lists(st.floats(), max_size=90)


def read(text: str) -> float:
    """What a person reads a number as."""
    match = re.fullmatch(r"(-?[0-9.]+)([kMGT]?)", text)
    assert match, text
    return float(match[1]) * SCALE[match[2]]


def read_length(text: str) -> list[tuple[float, str]]:
    parts = [re.fullmatch(r"([0-9.]+|\d+e-\d+)(ms|s|m|h|d)", part) for part in text.split(" ")]
    return [(float(part[1]), part[2]) for part in parts if part]


@given(usual)
@example(9999.6)
@example(99_999.0)
@example(999_999.0)
@example(999_950_000.0)
@example(-9999.9)
def test_a_number_is_short_and_right_to_four_digits(value: float) -> None:
    text = words.number(value)

    assert math.isclose(read(text), value, rel_tol=6e-4)
    assert len(text.lstrip("-")) <= 9


@given(usual, usual)
def test_a_greater_number_is_never_told_as_a_smaller(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert read(words.number(low)) <= read(words.number(high))


@given(usual)
def test_a_number_is_told_with_its_sign_alone_turned(value: float) -> None:
    assert read(words.number(-value)) == -read(words.number(value))


@given(st.floats(1e-6, 9.9))
@example(0.123)
@example(0.5)
@example(0.9996)
def test_a_short_length_is_right_to_two_digits(seconds: float) -> None:
    ((amount, unit),) = read_length(words.lasting(seconds))

    assert math.isclose(amount * LENGTH_S[unit], seconds, rel_tol=0.051)


@given(lengths)
def test_units_of_a_length_go_downwards_and_never_overflow(seconds: float) -> None:
    parts = read_length(words.lasting(seconds))

    sizes = [LENGTH_S[unit] for _, unit in parts]
    limit = {"ms": 1000, "s": 60, "m": 60, "h": 24, "d": math.inf}
    assert sizes == sorted(sizes, reverse=True)
    assert all(amount < limit[unit] for amount, unit in parts)


@given(st.integers(1, 10**9))
@example(3599)
@example(86_399)
def test_of_a_long_length_less_than_its_second_unit_is_left_out(seconds: int) -> None:
    told = units.parse(words.lasting(seconds), "s")

    second_unit = 1 if seconds < 3600 else 60 if seconds < 86_400 else 3600
    assert told is not None
    assert 0 <= seconds - told < second_unit


@given(st.floats(0, 2.0**59))
def test_a_size_is_right_to_four_digits(count: float) -> None:
    amount, unit = words.size(count).split(" ")

    assert math.isclose(float(amount) * BYTES[unit], count, rel_tol=6e-4)


@given(st.floats(1e-15, 0.4999))
def test_a_probability_is_one_in_as_many(p: float) -> None:
    told = words.probability(p)

    assert told.startswith("1 in ")
    assert math.isclose(read(told.removeprefix("1 in ")), 1 / p, rel_tol=6e-4)


@given(courses, st.integers(-3, 80))
@example([1e308, -1e308, 0.0], 3)
@example([5e-324, 0.0], 2)
def test_a_course_is_never_wider_than_its_cell(values: Sequence[float], width: int) -> None:
    line = words.sparkline(values, width)

    known = any(math.isfinite(value) for value in values)
    assert len(line) == (min(width, len(values)) if known and width > 0 else 0)
    assert set(line) <= set(BARS) | {" "}


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60))
def test_in_a_course_with_room_a_higher_value_is_never_a_lower_bar(values: list[float]) -> None:
    line = words.sparkline(values, len(values))

    drawn = sorted(zip(values, map(BARS.index, line), strict=True))
    assert [bar for _, bar in drawn] == sorted(bar for _, bar in drawn)


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=60))
def test_a_course_that_varies_reaches_from_the_floor_to_the_roof(values: list[float]) -> None:
    line = words.sparkline(values, len(values))

    ends = {BARS[0], BARS[-1]} if max(values) > min(values) else {BARS[4]}
    assert ends <= set(line)


@given(
    st.lists(st.floats(-1.0, 1.0), min_size=10, max_size=200),
    st.integers(0, 199),
    st.integers(1, 10),
)
def test_a_spike_is_seen_however_narrow_the_cell(
    values: list[float], place: int, width: int
) -> None:
    values[place % len(values)] = 1000.0

    assert BARS[-1] in words.sparkline(values, width)


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)


@given(NAMES, st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=12)))
@example("up", {"path": 'C:\\new "dir"', "note": "two\nlines\t"})
@example("up", {"odd": "\x1b[31m"})
def test_labels_are_shown_as_a_selector_that_selects_them(
    name: str, labels: dict[str, str]
) -> None:
    shown = labels_text({METRIC_NAME: name, **labels})

    assert set(parse_selector(shown)) == {
        Matcher(METRIC_NAME, MatchOp.EQUAL, name),
        *(Matcher(label, MatchOp.EQUAL, value) for label, value in labels.items()),
    }


@given(st.dictionaries(NAMES, st.text(st.characters(), max_size=12)))
@example({"a": "\x9b31m", "b": "\u202e", "c": "\r"})
def test_no_label_steers_the_terminal(labels: dict[str, str]) -> None:
    shown = labels_text(labels)

    assert shown.replace("\x7f", "").isprintable()
