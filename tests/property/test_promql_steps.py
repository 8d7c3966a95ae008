"""Laws of whole expressions, which hold without a Prometheus to ask."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import MANY
from tests.promql import MINUTE_S, over, vector
from watchkeeper.errors import BadInput
from watchkeeper.lake.promql.parse import parse

NAMES = ['x{a="1",b="u"}', 'x{a="1",b="v"}', 'x{a="2",b="u"}', 'y{a="1"}', 'y{a="2"}', "z"]
WORDS = st.one_of(
    st.integers(0, 50).map(str),
    st.sampled_from(["_", "_", "stale", "NaN", "+Inf", "-3.5"]),
)
LINES = st.fixed_dictionaries({name: st.lists(WORDS, max_size=14).map(" ".join) for name in NAMES})
INSTANT = [
    "x", "x offset 2m", "x @ 240", "-x", "x > 5", "x > bool 5", "x * 2 + 1", "sum(x)",
    "avg by (a) (x)", "max without (b) (x)", "count(x)", "quantile(0.4, x)", "topk(2, x)",
    "bottomk by (a) (1, x)", 'count_values("v", x)', "stddev(x)", "x * on(a) group_left() y",
    "x and on(a) y", "x or y", "x unless on(a) (y > 5)", "absent(x)", "scalar(z) + x",
    "clamp(x, 2, scalar(z))", "round(x / 3)", "timestamp(x)", "time() - timestamp(x)",
    'label_replace(x, "c", "$1", "a", "(.*)")', "sum by (b) (x) / ignoring(b) group_left sum(y)",
    "minute(x * 60)", "vector(time())", "hour()", "x == x", "y ^ 0.5",
]  # fmt: skip
RANGED = [
    "rate(x[4m])", "increase(x[3m] offset 1m)", "irate(x[5m])", "delta(x[4m])", "idelta(x[4m])",
    "deriv(x[5m])", "predict_linear(x[5m], 60)", "resets(x[6m])", "changes(x[6m])",
    "avg_over_time(x[3m])", "quantile_over_time(0.5, x[4m])", "last_over_time(x[2m])",
    "absent_over_time(x[2m])", "sum_over_time(sum(x)[4m:1m])", "max_over_time(rate(x[2m])[5m:90s])",
    "sum by (a) (rate(x[4m]))", "stddev_over_time(x[3m] @ 300)", "count_over_time(x[3m:1m] @ 300)",
]  # fmt: skip
EVERYTHING = INSTANT + RANGED


@MANY
@given(LINES, st.sampled_from(EVERYTHING), st.integers(0, 12), st.sampled_from([20, 60, 150, 420]))
def test_a_range_is_worth_at_every_step_what_a_moment_is(
    lines: dict[str, str], expression: str, start: int, step_s: int
) -> None:
    """Sieved reads, windows that overlap or not, series that come and go: none of it shows."""
    steps = [start * MINUTE_S + step_s * i for i in range(5)]
    moments = [_moment(expression, lines, at_s) for at_s in steps]

    found = _asked(lambda: over(expression, lines, (steps[0], steps[-1]), step_s))

    known = [one for one in moments if one is not None]
    assert (found is None) == (len(known) < len(moments)), "refused at a step, and as a whole"
    for i, moment in enumerate(known if found is not None else ()):
        at_step = {
            name: values[i] for name, values in (found or {}).items() if values[i] is not None
        }
        assert set(at_step) == set(moment)
        for name, value in moment.items():
            assert _same(at_step[name], value), name


T = TypeVar("T")


def _moment(expression: str, lines: dict[str, str], at_s: int) -> dict[str, float] | None:
    return _asked(lambda: vector(expression, lines, at_s=at_s))


def _asked(question: Callable[[], T]) -> T | None:
    """None where it is refused."""
    try:
        return question()
    except BadInput:
        return None


def _same(left: float | None, right: float) -> bool:
    return left is not None and (
        left == right or (math.isnan(left) and math.isnan(right))
        or math.isclose(left, right, rel_tol=1e-12)
    )  # fmt: skip


@given(LINES, st.sampled_from(EVERYTHING), st.integers(0, 14))
def test_what_is_chosen_by_or_is_never_lost(
    lines: dict[str, str], expression: str, at: int
) -> None:
    """A or A is A; A unless A is nothing; A and A is A."""
    at_s = at * MINUTE_S
    alone = _moment(expression, lines, at_s)
    if alone is None:
        return

    assert _nameless(vector(f"({expression}) and ({expression})", lines, at_s=at_s)) == _nameless(
        alone
    )
    assert set(vector(f"({expression}) or ({expression})", lines, at_s=at_s)) == set(alone)
    assert vector(f"({expression}) unless ({expression})", lines, at_s=at_s) == {}


def _nameless(found: dict[str, float]) -> dict[str, str]:
    return {name: repr(value) for name, value in found.items()}


@given(LINES, st.integers(0, 14))
def test_parts_add_up_to_the_whole(lines: dict[str, str], at: int) -> None:
    whole = vector("count(x)", lines, at_s=at * MINUTE_S).get("{}", 0.0)
    parts = vector("sum(count by (a) (x))", lines, at_s=at * MINUTE_S).get("{}", 0.0)
    others = vector("sum(count without (a) (x))", lines, at_s=at * MINUTE_S).get("{}", 0.0)

    assert whole == parts == others


@given(st.text(st.sampled_from("abx(){}[]\"'`\\,.:+-*/%^=<>!~@ 0159mshdb \n#$"), max_size=60))
def test_no_text_makes_the_parser_fall(text: str) -> None:
    said = "promql: "
    try:
        parse(text)
    except BadInput as refused:
        said = str(refused)

    assert said.startswith("promql: ")
