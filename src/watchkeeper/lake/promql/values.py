"""What expressions are worth: columns of steps, one row per series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from watchkeeper.lake.base import Sieve
from watchkeeper.lake.promql.native import Native, NativePoints
from watchkeeper.lake.promql.tree import NS_PER_MS, refusal
from watchkeeper.model.series import F64, I64, METRIC_NAME, Mask, Matcher

Labels = Mapping[str, str]
Key = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Steps:
    """The moments at which an expression is computed."""

    start_ms: int
    step_ms: int
    n: int

    @property
    def time_ms(self) -> I64:
        return self.start_ms + self.step_ms * np.arange(self.n, dtype=np.int64)

    @property
    def time_ns(self) -> I64:
        return self.time_ms * NS_PER_MS

    @property
    def first(self) -> Steps:
        return Steps(self.start_ms, self.step_ms, 1)


@dataclass(frozen=True, slots=True)
class Vector:
    """An instant vector at every step. A value counts only where it is held.

    Where a series has a native histogram, no value is held: who knows of values alone passes
    histograms over.
    """

    labels: tuple[Labels, ...]
    value: F64
    """(series, steps)"""
    held: Mask
    native: Native | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def present(self) -> Mask:
        """Where there is a value or a histogram."""
        return self.held if self.native is None else self.held | self.native.held

    def rows(self, chosen: I64 | Sequence[int]) -> Vector:
        place = np.asarray(chosen, np.int64)
        return Vector(
            tuple(self.labels[i] for i in place.tolist()),
            self.value[place],
            self.held[place],
            None if self.native is None else self.native.rows(place),
        )

    def named(self, labels: Sequence[Labels]) -> Vector:
        """The same of series that are called so."""
        return replace(self, labels=tuple(labels))

    def where(self, stays: Mask) -> Vector:
        """What there is in these cells."""
        native = None if self.native is None else self.native.where(stays)
        return Vector(self.labels, self.value, self.held & stays, native)


@dataclass(frozen=True, slots=True)
class Scalar:
    value: F64
    """(steps,)"""


@dataclass(frozen=True, slots=True)
class String:
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which samples a selector needs, start <= time < end."""

    matchers: tuple[Matcher, ...]
    start_ns: int
    end_ns: int
    sieve: Sieve | None


@dataclass(frozen=True, slots=True)
class Points:
    """Samples of some series: a range vector before it is cut into windows."""

    labels: tuple[Labels, ...]
    offset: I64
    time_ns: I64
    value: F64
    native: NativePoints | None = None

    def __len__(self) -> int:
        return len(self.labels)


Value = Vector | Scalar | String | Points


def nothing(steps: Steps) -> Vector:
    return Vector((), np.empty((0, steps.n)), np.empty((0, steps.n), np.bool_))


def key(labels: Labels) -> Key:
    return frozenset(labels.items())


def sort_key(labels: Labels) -> list[tuple[str, str]]:
    return sorted(labels.items())


def nameless(labels: Labels) -> Labels:
    if METRIC_NAME not in labels:
        return labels
    return {name: value for name, value in labels.items() if name != METRIC_NAME}


def only(labels: Labels, names: Sequence[str]) -> Labels:
    return {name: labels[name] for name in names if labels.get(name)}


def without(labels: Labels, names: Sequence[str]) -> Labels:
    """Nor has it the metric's name."""
    return {
        name: value for name, value in labels.items() if name not in names and name != METRIC_NAME
    }


def groups(keys: Sequence[Key]) -> tuple[I64, list[int]]:
    """The number of each key's group, in order of appearance, and where each group began."""
    number: dict[Key, int] = {}
    group = np.empty(len(keys), np.int64)
    first: list[int] = []
    for place, one in enumerate(keys):
        at = number.setdefault(one, len(number))
        if at == len(first):
            first.append(place)
        group[place] = at
    return group, first


def joined(vector: Vector, *, is_strict: bool = False) -> Vector:
    """Series of equal labels become one, if no step has two of them; `is_strict`: not even then.

    Series without any value are left out.
    """
    held = vector.present.any(axis=1)
    if not held.all():
        vector = vector.rows(np.flatnonzero(held))
    group, first = groups([key(labels) for labels in vector.labels])
    if len(first) == len(vector):
        return vector
    shape = (len(first), vector.value.shape[1])
    native = vector.native and Native(np.full(shape, -1, np.int64), vector.native.pool)
    together = Vector(
        tuple(vector.labels[place] for place in first),
        np.zeros(shape),
        np.zeros(shape, np.bool_),
        native,
    )
    present = vector.present
    taken = np.zeros(shape, np.bool_)
    for row, into in enumerate(group.tolist()):
        is_double = is_strict or bool((taken[into] & present[row]).any())
        if is_double and row != first[into]:
            raise refusal("vector cannot contain metrics with the same labelset")
        taken[into] |= present[row]
        together.held[into] |= vector.held[row]
        together.value[into][vector.held[row]] = vector.value[row][vector.held[row]]
        if native is not None and vector.native is not None:
            at = vector.native.held[row]
            native.place[into][at] = vector.native.place[row][at]
    return together
