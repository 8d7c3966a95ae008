"""Where in a sender's JSON something is: names and places in lists with dots, `event.tags.0`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from watchkeeper.ingest.receivers.json_items import Time

Place = Annotated[str, Meta(max_length=200)]


def value_at(value: Any, place: str) -> Any:
    """None where nothing is."""
    for step in place.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def text_at(item: Any, place: str) -> str:
    """What is no text is the JSON of it; empty where nothing is."""
    found = value_at(item, place) if place else None
    if found is None:
        return ""
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def time_at(item: Any, place: str) -> Time:
    """Raises ValueError for what cannot be a time."""
    found = value_at(item, place) if place else None
    if isinstance(found, bool) or not isinstance(found, int | float | str | None):
        raise ValueError(f"what is at '{place}' is no time")  # noqa: TRY004  # a bad item
    return found
