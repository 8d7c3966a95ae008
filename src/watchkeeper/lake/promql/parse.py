"""Text to tree, by way of the parser's own nodes, which stay in here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import promql_parser as parser

from watchkeeper.errors import BadInput
from watchkeeper.lake.promql.tree import (
    NS_PER_MS,
    Aggregation,
    Binary,
    Call,
    Edge,
    Expression,
    Many,
    Matching,
    Negative,
    Number,
    Selector,
    Subquery,
    Text,
    When,
)
from watchkeeper.model.series import METRIC_NAME, Matcher, MatchOp

MOST_CHARACTERS: Final = 65_536
MOST_DEEP: Final = 100
"""Brackets inside brackets. The parser and we recurse, and a stack ends."""
MOST_OPERATORS: Final = 150
"""A chain of operators is as deep a tree as it is long."""
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`", re.DOTALL)
_LABELS: Final = re.compile(r"\{[^{}]*\}")
_OPERATOR: Final = re.compile(r"[-+*/%^=<>!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_LONGEST_NS: Final = 1 << 62
_BEFORE_1970: Final = re.compile(r"@\s*-")
_UNIT_MS: Final = {
    "y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000,
    "s": 1000, "ms": 1,
}  # fmt: skip
_DURATION: Final = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]{{1,12}}){unit})?" for unit in _UNIT_MS)
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OPS: Final = {
    str(parser.MatchOp.Equal): MatchOp.EQUAL,
    str(parser.MatchOp.NotEqual): MatchOp.NOT_EQUAL,
    str(parser.MatchOp.Re): MatchOp.REGEX,
    str(parser.MatchOp.NotRe): MatchOp.NOT_REGEX,
}
_CARDS: Final = {
    str(parser.VectorMatchCardinality.OneToOne): Many.NEITHER,
    str(parser.VectorMatchCardinality.ManyToOne): Many.LEFT,
    str(parser.VectorMatchCardinality.OneToMany): Many.RIGHT,
    str(parser.VectorMatchCardinality.ManyToMany): Many.BOTH,
}
_SET_OPERATORS: Final = ("and", "or", "unless")


def parse(text: str) -> Expression:
    """The tree of an expression; BadInput says what is wrong with the text."""
    _check_size(text)
    try:
        return _expression(parser.parse(text))
    except ValueError as error:
        raise BadInput(f"promql: '{_shown(text)}': {error}") from error
    except OverflowError as error:
        raise BadInput(f"promql: '{_shown(text)}': a time or duration is too large") from error
    except BaseException as error:
        # A panic of the parser, which is written in Rust, is no Exception; it left nothing behind.
        if type(error).__name__ == "PanicException":
            raise BadInput(f"promql: '{_shown(text)}' cannot be parsed") from error
        raise


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The conditions of a selector that says nothing of time."""
    tree = parse(text)
    if not isinstance(tree, Selector) or tree.range_ns is not None or tree.when != When():
        raise BadInput(f"promql: '{_shown(text)}' is no selector of series")
    return tree.matchers


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as 1m30s. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"'{text}' is no duration; write 15s, 5m or 1h30m")
    return sum(
        int(digits) * _UNIT_MS[unit] * NS_PER_MS
        for unit, digits in found.groupdict().items()
        if digits
    )


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _check_size(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise BadInput(
            f"promql: the expression has {len(text)} characters; at most {MOST_CHARACTERS} are "
            "taken; split it"
        )
    bare = _LABELS.sub("{}", _QUOTED.sub("", text))
    if _BEFORE_1970.search(bare):
        raise BadInput("promql: times before 1970 are not taken behind `@`")
    depth = deepest = 0
    for bracket in re.findall(r"[(\[{)\]}]", bare):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    n_operators = len(_OPERATOR.findall(bare))
    if deepest > MOST_DEEP or n_operators > MOST_OPERATORS:
        raise BadInput(
            f"promql: {deepest} brackets inside each other and {n_operators} operators; at most "
            f"{MOST_DEEP} and {MOST_OPERATORS} are taken; split the expression"
        )


def _expression(node: Any) -> Expression:
    match node:
        case parser.NumberLiteral():
            return Number(node.val)
        case parser.StringLiteral():
            return Text(node.val)
        case parser.ParenExpr():
            return _expression(node.expr)
        case parser.UnaryExpr():
            return Negative(_expression(node.expr))
        case parser.VectorSelector():
            return _selector(node, None)
        case parser.MatrixSelector():
            return _selector(node.vector_selector, node.range)
        case _:
            return _composed(node)


def _composed(node: Any) -> Expression:
    match node:
        case parser.SubqueryExpr():
            step_ns = None if node.step is None else _ns(node.step)
            return Subquery(_expression(node.expr), _when(node), _ns(node.range), step_ns)
        case parser.Call():
            return Call(node.func.name, tuple(_expression(given) for given in node.args))
        case parser.AggregateExpr():
            modifier = node.modifier
            return Aggregation(
                str(node.op),
                _expression(node.expr),
                None if node.param is None else _expression(node.param),
                () if modifier is None else tuple(modifier.labels),
                modifier is not None and modifier.type == parser.AggModifierType.Without,
            )
        case parser.BinaryExpr():
            op = str(node.op)
            sides = _expression(node.lhs), _expression(node.rhs)
            is_bool = node.modifier is not None and node.modifier.return_bool
            return Binary(op, *sides, _matching(op, node.modifier), is_bool)
        case _:
            raise BadInput(f"promql: {type(node).__name__} is not supported")


def _matching(op: str, modifier: Any) -> Matching:
    many = Many.BOTH if op in _SET_OPERATORS else Many.NEITHER
    if modifier is None:
        return Matching(many)
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise BadInput("promql: fill modifiers are not supported")
    if op not in _SET_OPERATORS:
        many = _CARDS[str(modifier.card)]
    labels = modifier.matching
    return Matching(
        many,
        () if labels is None else tuple(labels.labels),
        labels is not None and labels.type == parser.LabelModifierType.Include,
        tuple(modifier.group_labels or ()),
    )


def _selector(node: Any, length: timedelta | None) -> Selector:
    if node.matchers.or_matchers:
        raise BadInput("promql: `or` between labels is not supported; use a regular expression")
    matchers = [
        Matcher(matcher.name, _OPS[str(matcher.op)], matcher.value)
        for matcher in node.matchers.matchers
    ]
    if node.name:
        matchers.insert(0, Matcher(METRIC_NAME, MatchOp.EQUAL, node.name))
    return Selector(tuple(matchers), _when(node), None if length is None else _ns(length))


def _when(node: Any) -> When:
    offset_ns = 0 if node.offset is None else _ns(node.offset)
    if node.at is None:
        return When(offset_ns)
    if node.at.type == parser.AtModifierType.At:
        return When(offset_ns, round((node.at.at - _EPOCH) / timedelta(milliseconds=1)))
    is_start = node.at.type == parser.AtModifierType.Start
    return When(offset_ns, Edge.START if is_start else Edge.END)


def _ns(length: Any) -> int:
    nanoseconds: int = length // timedelta(microseconds=1) * 1000
    if abs(nanoseconds) > _LONGEST_NS:
        raise BadInput(f"promql: {length} is too long a duration; 146 years are the most")
    return nanoseconds
