"""Whose fault it is, by two rules that anybody would think of first.

They are what a ranking of causes has to beat, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from watchkeeper.evaluate.matching import INFO
from watchkeeper.evaluate.records import Found
from watchkeeper.sdk import FoundSpan

EARLIEST: Final = "earliest_failing_span"
LARGEST: Final = "largest_deviation"


def earliest(spans: Iterable[FoundSpan]) -> tuple[str, ...]:
    """Services of failing spans, by which began first. A caller begins before whom it calls, so
    this blames the gateway readily."""
    failing = [one for one in spans if one.status == "error" and one.service]
    failing.sort(key=lambda one: (one.start, one.service))
    return tuple(dict.fromkeys(one.service for one in failing))


def largest(found: Iterable[Found]) -> tuple[str, ...]:
    """Services of anomalies, by which is least probable, then farthest off. What is only shown
    comes last, for its p-value promises nothing."""
    ranked = sorted(
        (one for one in found if one.service),
        key=lambda one: (one.severity == INFO, one.p_value, -one.deviation, one.service),
    )
    return tuple(dict.fromkeys(one.service for one in ranked))


def within(found: Iterable[Found], low_s: float, high_s: float) -> tuple[Found, ...]:
    """What could first be read within a time."""
    return tuple(one for one in found if low_s <= one.seen_s <= high_s)
