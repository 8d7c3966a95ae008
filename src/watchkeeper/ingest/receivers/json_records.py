"""Whole records read one by one from a list in JSON: a bad one costs itself only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.signal import Reject, WireRows

BAD: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What is raised over an item that cannot be read, and means no more than that."""

_MAX_TOLD: Final = 5
_MAX_FAULT: Final = 200
"""Characters of what is said of an item."""

Record = Change | Alert


def gather(
    items: Sequence[Raw], to_record: Callable[[Raw], tuple[Record, bool]], limits: RowLimits
) -> WireRows:
    """Every item that is sound, and how many are not. `to_record` says, too, whether an item
    without a time is taken for one of now."""
    if len(items) > limits.rows:
        raise limits.too_many_rows()
    found: list[Record] = []
    faults: list[str] = []
    is_of_now = False
    for number, raw in enumerate(items):
        try:
            check_item(raw)
            record, is_timeless = to_record(raw)
        except BAD as error:
            faults.append(f"item {number}: {error}"[:_MAX_FAULT])
        else:
            found.append(record)
            is_of_now |= is_timeless
    rejects = (Reject("bad_item", len(faults), _told(faults)),) if faults else ()
    return WireRows(tuple(found), rejects, is_of_now)


def _told(faults: Sequence[str]) -> str:
    """The first few, each by its number."""
    rest = len(faults) - _MAX_TOLD
    return "; ".join(faults[:_MAX_TOLD]) + (f"; and {rest} more" if rest > 0 else "")
