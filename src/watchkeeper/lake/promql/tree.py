"""What an expression is made of. Brackets are in the shape of the tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from watchkeeper.errors import BadInput
from watchkeeper.model.series import Matcher

NS_PER_MS: Final = 1_000_000


class Edge(StrEnum):
    """A moment that the request names."""

    START = "start"
    END = "end"


class Many(StrEnum):
    """Which side of a match may have several series."""

    NEITHER = "one-to-one"
    LEFT = "many-to-one"
    RIGHT = "one-to-many"
    BOTH = "many-to-many"


@dataclass(frozen=True, slots=True)
class When:
    """At which time a selector looks: shifted, or nailed down by `@`."""

    offset_ns: int = 0
    at: int | Edge | None = None
    """Milliseconds, or an edge of the request's range."""


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    matchers: tuple[Matcher, ...]
    when: When
    range_ns: int | None = None
    """None: an instant vector."""


@dataclass(frozen=True, slots=True)
class Subquery:
    inner: Expression
    when: When
    range_ns: int
    step_ns: int | None


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Aggregation:
    op: str
    inner: Expression
    parameter: Expression | None
    labels: tuple[str, ...]
    is_without: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """How series of two vectors find each other."""

    many: Many = Many.NEITHER
    labels: tuple[str, ...] = ()
    is_on: bool = False
    """Whether `labels` are those that count, or those that do not."""
    include: tuple[str, ...] = ()
    """Labels that the side of one lends to the side of many."""


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Expression
    right: Expression
    matching: Matching
    is_bool: bool


@dataclass(frozen=True, slots=True)
class Negative:
    inner: Expression


Expression = Number | Text | Selector | Subquery | Call | Aggregation | Binary | Negative

OF_THE_STEP: Final = frozenset(
    {
        "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month",
        "predict_linear", "time", "timestamp", "year",
    }
)  # fmt: skip
"""Functions that depend on the step's time, whatever `@` says."""


def selectors(tree: Expression) -> Iterator[Selector]:
    """All that an expression reads, from left to right."""
    match tree:
        case Selector():
            yield tree
        case Call():
            for argument in tree.arguments:
                yield from selectors(argument)
        case Binary():
            yield from selectors(tree.left)
            yield from selectors(tree.right)
        case Subquery() | Aggregation() | Negative():
            yield from selectors(tree.inner)


def is_constant(tree: Expression) -> bool:
    """Whether it has the same value at every step: all that it selects is nailed down by `@`."""
    match tree:
        case Selector(when=when) | Subquery(when=when):
            return when.at is not None
        case Call(name=name, arguments=arguments):
            return name not in OF_THE_STEP and all(map(is_constant, arguments))
        case Aggregation(inner=inner) | Negative(inner=inner):
            return is_constant(inner)
        case Binary(left=left, right=right):
            return is_constant(left) and is_constant(right)
        case _:
            return True


def is_range(tree: Expression) -> bool:
    """Whether it is a range vector, which only a function takes."""
    return isinstance(tree, Subquery) or (isinstance(tree, Selector) and tree.range_ns is not None)


def refusal(said: str) -> BadInput:
    """An expression that is well-formed and cannot be computed; 422, as in Prometheus."""
    return BadInput(f"promql: {said}", status=422)
