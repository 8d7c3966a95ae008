"""Where in a sender's JSON something is."""

from __future__ import annotations

from typing import Any

import pytest

from watchkeeper.ingest.receivers.json_places import text_at, time_at, value_at

EVENT: dict[str, Any] = {
    "what": "Full",
    "count": 3,
    "calm": False,
    "none": None,
    "tags": ["db", {"zone": "eu"}],
    "at": {"from": "2026-01-05T10:00:00Z", "0": "named by a number"},
    "": "without a name",
}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("what", "Full"),
        ("count", 3),
        ("calm", False),
        ("none", None),
        ("tags.0", "db"),
        ("tags.1.zone", "eu"),
        ("tags.2", None),
        ("tags.-1", None),
        ("tags.zone", None),
        ("at.from", "2026-01-05T10:00:00Z"),
        ("at.0", "named by a number"),
        ("at.to", None),
        ("what.0", None),
        ("count.0", None),
        ("none.more", None),
        ("nowhere.at.all", None),
        ("", "without a name"),
    ],
)
def test_a_place_is_names_and_numbers_with_dots(place: str, value: Any) -> None:
    assert value_at(EVENT, place) == value


@pytest.mark.parametrize("item", [None, 7, "text", True, [], {}])
def test_nothing_is_found_in_what_holds_nothing(item: Any) -> None:
    assert value_at(item, "a.b") is None
    assert text_at(item, "a.b") == ""
    assert time_at(item, "a.b") is None


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("what", "Full"),
        ("count", "3"),
        ("calm", "false"),
        ("none", ""),
        ("tags", '["db",{"zone":"eu"}]'),
        ("tags.1", '{"zone":"eu"}'),
        ("nowhere", ""),
        ("", ""),
    ],
)
def test_what_is_no_text_is_told_as_its_json(place: str, text: str) -> None:
    assert text_at(EVENT, place) == text


@pytest.mark.parametrize(
    ("place", "time"),
    [("at.from", "2026-01-05T10:00:00Z"), ("count", 3), ("none", None), ("", None)],
)
def test_a_time_is_a_text_or_a_number_or_nothing(place: str, time: Any) -> None:
    assert time_at(EVENT, place) == time


@pytest.mark.parametrize("place", ["calm", "tags", "at"])
def test_what_cannot_be_a_time_is_named_by_its_place(place: str) -> None:
    with pytest.raises(ValueError, match=f"'{place}' is no time"):
        time_at(EVENT, place)
