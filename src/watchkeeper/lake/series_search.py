"""Which series fit a selector: conditions become sets of pairs, the smallest chain is walked.

Regular expressions are RE2's, as in PromQL: no expression takes more than linear time. They are
judged once per distinct value of their label, outside the lock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake import series_read_kernel as kernel
from watchkeeper.lake.series_index import CHUNK, SeriesIndex, split
from watchkeeper.model.series import I32, I64, U8, Mask, Matcher, MatchOp

MAX_MATCHERS: Final = 50
MAX_PATTERN: Final = 4096
"""Characters of a regular expression."""
_WALK_MOST: Final = 16 * CHUNK
"""Series of a chain that are walked under one hold of the lock; longer ones mean a scan."""
_SCAN_SLOTS: Final = 16 * CHUNK
_TRIES: Final = 10
_LITERALS: Final = re.compile(r"[\w /:@,<>%~='\"#&;!-]*(\|[\w /:@,<>%~='\"#&;!-]*)*")
"""Alternatives without anything that means something else than itself."""


@dataclass(frozen=True, slots=True, eq=False)
class _Condition:
    """What a pair of one name must be, in the numbers of an index."""

    name: int
    mode: int
    operand: int = -1
    absent_fits: bool = False
    pairs: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    """For AMONG: those that fit."""

    def chains(self) -> I32 | None:
        """The pairs of which a series must have one; None if it may have none."""
        if self.mode == kernel.ONLY:
            return np.array([self.operand], np.int32)
        if self.mode == kernel.AMONG and not self.absent_fits:
            return self.pairs
        return None


class _Moved(Exception):
    """Pairs were released meanwhile, so their numbers may mean something else."""


class _NoneFits(Exception):
    """A condition that no series of the index can fulfil."""


def select(index: SeriesIndex, tenant: int, matchers: Sequence[Matcher]) -> I32:
    """The slots of a tenant's series that fit all matchers, ascending.

    A series that comes or goes meanwhile may be found or not.
    """
    if len(matchers) > MAX_MATCHERS:
        raise BadInput(f"query: {len(matchers)} matchers; at most {MAX_MATCHERS} are taken")
    for _ in range(_TRIES):
        released = index.n_released
        try:
            found = [_condition(index, tenant, matcher, released) for matcher in matchers]
            return _search(index, tenant, [one for one in found if one is not None], released)
        except _NoneFits:
            return np.empty(0, np.int32)
        except _Moved:
            continue
    raise Retryable("query: series leave memory faster than they can be searched")


def _condition(
    index: SeriesIndex, tenant: int, matcher: Matcher, released: int
) -> _Condition | None:
    """None if every series fits."""
    negative = matcher.op in (MatchOp.NOT_EQUAL, MatchOp.NOT_REGEX)
    if matcher.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
        absent_fits = bool(fits(matcher, pa.array([""], pa.string()))[0]) != negative
    else:
        absent_fits = (matcher.value == "") != negative
    name = index.name_number(matcher.name)
    if name < 0:
        if absent_fits:
            return None
        raise _NoneFits
    if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
        return _equality(index, tenant, matcher, name)
    return _Condition(
        name,
        kernel.AMONG,
        absent_fits=absent_fits,
        pairs=_fitting(index, tenant, matcher, name, released),
    )


def _equality(index: SeriesIndex, tenant: int, matcher: Matcher, name: int) -> _Condition | None:
    pair = index.pair_number(tenant, name, matcher.value) if matcher.value else -1
    if matcher.op == MatchOp.NOT_EQUAL:
        if matcher.value and pair < 0:
            return None
        return _Condition(name, kernel.EXCEPT, pair, absent_fits=bool(matcher.value))
    if not matcher.value:
        return _Condition(name, kernel.AMONG, absent_fits=True)
    if pair < 0:
        raise _NoneFits
    return _Condition(name, kernel.ONLY, pair)


def _fitting(index: SeriesIndex, tenant: int, matcher: Matcher, name: int, released: int) -> I32:
    """The pairs of a name whose values fit a regular expression (or, if negative, do not)."""
    if matcher.op == MatchOp.REGEX and _LITERALS.fullmatch(matcher.value):
        words = {word for word in matcher.value.split("|") if word}
        numbers = [index.pair_number(tenant, name, word) for word in words]
        return np.array([number for number in numbers if number >= 0], np.int32)
    pairs = index.pairs(tenant, name)
    texts = index.values(pairs, released)
    if texts is None:
        raise _Moved
    fitting = fits(matcher, _strings(*texts))
    return pairs[fitting if matcher.op == MatchOp.REGEX else ~fitting]


def _strings(text: U8, ends: I64) -> pa.StringArray:
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    return pa.LargeStringArray.from_buffers(
        len(ends), pa.py_buffer(offsets.data), pa.py_buffer(text.data)
    )


def fits(matcher: Matcher, values: pa.StringArray) -> Mask:
    """Which values fit the matcher's regular expression, whether they should or not."""
    if len(matcher.value) > MAX_PATTERN:
        raise BadInput(
            f"query: the regular expression for '{matcher.name}' has {len(matcher.value)} "
            f"characters; at most {MAX_PATTERN} are taken"
        )
    try:
        # Alone as well: `a)|(b` is no expression, though it is one between brackets.
        pc.match_substring_regex(pa.array([""]), pattern=matcher.value)
        fitting = pc.match_substring_regex(values, pattern=rf"\A(?s:{matcher.value})\z")
    except pa.ArrowInvalid as error:
        raise BadInput(
            f"query: '{matcher.value}' for '{matcher.name}' is no regular expression: {error}"
        ) from error
    found: Mask = fitting.to_numpy(zero_copy_only=False)
    return found


def _search(
    index: SeriesIndex, tenant: int, conditions: Sequence[_Condition], released: int
) -> I32:
    plan, sets = _plan(conditions)
    count = index.columns.pair_count
    chains, size = _shortest(count, conditions)
    if chains is not None and size <= _WALK_MOST:
        found = np.empty(_WALK_MOST + CHUNK, np.int32)
        with index.lock:
            _check(index, released)
            if int(count[chains].sum(dtype=np.int64)) <= len(found):
                n = kernel.walk(index.layout, chains, plan, sets, found)
                return np.sort(found[:n])
    several = []
    room = np.empty(_SCAN_SLOTS, np.int32)
    for first in range(0, index.high_slot, _SCAN_SLOTS):
        last = min(first + _SCAN_SLOTS, index.high_slot)
        with index.lock:
            _check(index, released)
            n = kernel.scan(index.layout, tenant, first, last, plan, sets, room)
        several.append(room[:n].copy())
    return np.concatenate(several) if several else np.empty(0, np.int32)


def _check(index: SeriesIndex, released: int) -> None:
    if index.n_released != released:
        raise _Moved


def _shortest(count: I32, conditions: Sequence[_Condition]) -> tuple[I32 | None, int]:
    """The pairs that the fewest series have, one of which every series must have."""
    best, least = None, 0
    for condition in conditions:
        chains = condition.chains()
        if chains is None:
            continue
        size = int(count[chains].sum(dtype=np.int64))
        if best is None or size < least:
            best, least = chains, size
    return best, least


def _plan(conditions: Sequence[_Condition]) -> tuple[I32, np.ndarray[Any, np.dtype[np.uint8]]]:
    """For the kernels: conditions, the cheapest to judge first, and the sets of pairs."""
    ordered = sorted(conditions, key=lambda one: one.mode)
    among = [one for one in ordered if one.mode == kernel.AMONG]
    width = 1 + max((int(one.pairs.max(initial=-1)) for one in among), default=0)
    sets = np.zeros((len(among), width), np.uint8)
    for row, one in zip(sets, among, strict=True):
        row[one.pairs] = 1
    plan = [
        (
            one.name,
            one.mode,
            among.index(one) if one.mode == kernel.AMONG else one.operand,
            one.absent_fits,
        )
        for one in ordered
    ]
    return np.array(plan, np.int32).reshape(-1, 4), sets


def values(index: SeriesIndex, tenant: int, name: str) -> list[str]:
    """The values that a label has among a tenant's series, sorted."""
    for _ in range(_TRIES):
        released = index.n_released
        number = index.name_number(name)
        found = index.values(index.pairs(tenant, number), released) if number >= 0 else None
        if number < 0:
            return []
        if found is not None:
            return sorted(split(*found))
    raise Retryable("query: series leave memory faster than they can be listed")
