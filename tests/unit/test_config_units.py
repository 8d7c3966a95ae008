"""Durations and sizes are read as people write them, and shown so that they are read back."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("48h", 172_800.0),
        ("7d", 604_800.0),
        ("2w", 1_209_600.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("300ms", 0.3),
        ("1.5s", 1.5),
        ("15", 15.0),
        ("0.25", 0.25),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert units.parse(text, "s") == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512B", 512),
        ("64MiB", 64 * 2**20),
        ("64 MiB", 64 * 2**20),
        ("1GB", 10**9),
        ("1.5KiB", 1536),
        ("2tib", 2 * 2**40),
        ("4096", 4096),
    ],
)
def test_a_size_is_bytes(text: str, size: int) -> None:
    assert units.parse(text, "bytes") == size


@pytest.mark.parametrize("text", ["", "30x", "s", "5m ago", "-5m", "nan", "inf", "1h-30m", "5 M"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert units.parse(text, "s") is None


@pytest.mark.parametrize("text", ["", "64M", "64XiB", "1.5B", "nan", "-1KiB", "1.0001KiB"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert units.parse(text, "bytes") is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30.0, "30s"), (90.0, "90s"), (172_800.0, "48h"), (604_800.0, "7d"), (0.3, "300ms")],
)
def test_a_duration_is_shown_as_people_write_it(seconds: float, text: str) -> None:
    assert units.show(seconds, "s") == text


def test_what_no_unit_says_exactly_is_shown_as_the_number() -> None:
    assert units.show(0.0001234, "s") == 0.0001234
    assert units.show(0, "bytes") == 0


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_a_duration_that_is_shown_is_read_back(seconds: float) -> None:
    assert units.parse(str(units.show(seconds, "s")), "s") == seconds


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_that_is_shown_is_read_back(size: int) -> None:
    assert units.parse(str(units.show(size, "bytes")), "bytes") == size


def test_a_unit_is_said_by_the_type_or_by_the_name() -> None:
    described = Annotated[float, msgspec.Meta(description="x")]

    assert units.unit_of("interval", units.Duration) == "s"
    assert units.unit_of("interval", Annotated[units.Duration, msgspec.Meta(gt=0)]) == "s"
    assert units.unit_of("retention_s", described) == "s"
    assert units.unit_of("queue_bytes", int) == "bytes"
    assert units.unit_of("level", described) is None
    assert units.unit_of("new_series_per_s", float) is None, "a rate is no duration"
