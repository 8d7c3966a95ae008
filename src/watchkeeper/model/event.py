"""A change that was saved, on its way to whoever wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Written by the store in the transaction that saved the record, published once it is durable.

    `sequence` only grows, and is the event's position on the bus.
    """

    sequence: int
    record: Any
