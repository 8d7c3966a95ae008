"""Computing a tree: every node once, for all steps together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from watchkeeper.lake.base import Sieve
from watchkeeper.lake.promql import windows_kernel as kernel
from watchkeeper.lake.promql.aggregate import AGGREGATIONS, aggregate
from watchkeeper.lake.promql.binary import combine
from watchkeeper.lake.promql.functions import absent, call
from watchkeeper.lake.promql.native import Native
from watchkeeper.lake.promql.native_binary import negative
from watchkeeper.lake.promql.native_over_time import with_native
from watchkeeper.lake.promql.native_points import newest_of_both, points_of, unmarked
from watchkeeper.lake.promql.over_time import KEEP_NAMES, RANGE_FUNCTIONS, Windows, over_time
from watchkeeper.lake.promql.tree import (
    NS_PER_MS,
    Aggregation,
    Binary,
    Call,
    Edge,
    Expression,
    Negative,
    Number,
    Selector,
    Subquery,
    Text,
    When,
    is_constant,
    is_range,
    refusal,
)
from watchkeeper.lake.promql.values import (
    Points,
    Scalar,
    Steps,
    Stretch,
    String,
    Value,
    Vector,
    joined,
    nameless,
    nothing,
)
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import F64, I64, METRIC_NAME, Mask, Matcher, MatchOp

LOOKBACK_NS: Final = 300 * 1000 * NS_PER_MS
"""For how long a sample stands for its series. Prometheus' default."""
_FURTHEST_NS: Final = 1 << 62
"""From 1970. So far a sum of two times fits into 64 bits."""
SUBQUERY_STEP_MS: Final = 60_000
"""Of a subquery that names none. Prometheus' default."""


class Source(Protocol):
    """Where samples come from."""

    def read(self, stretch: Stretch) -> Points:
        """Sorted by labels and time. Raises BadInput where it is too much."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One request's way through a tree."""

    source: Source
    start_ms: int
    end_ms: int
    """Of the request: what `start()` and `end()` mean."""
    most_values: int
    """Series times steps that a vector may have."""
    go_on: Callable[[], None] = lambda: None
    """Asked at every node; raises when time is over."""
    _read: dict[Stretch, Points] = field(default_factory=dict)

    def value(self, tree: Expression, steps: Steps) -> Value:
        """What it is worth at these steps."""
        self.go_on()
        with np.errstate(all="ignore"):  # what has no value is NaN, as in PromQL
            if steps.n > 1 and not is_range(tree) and is_constant(tree):
                return _repeated(self._computed(tree, steps.first), steps.n)
            return self._computed(tree, steps)

    def _computed(self, tree: Expression, steps: Steps) -> Value:
        match tree:
            case Number(value=number):
                return Scalar(np.full(steps.n, number))
            case Text(value=text):
                return String(text)
            case Selector() | Subquery() if is_range(tree):
                return self._windows(tree, steps).points
            case Selector():
                return self._newest(tree, steps)[0]
            case Call():
                return self._call(tree, steps)
            case _:
                return self._combined(tree, steps)

    def _combined(self, tree: Expression, steps: Steps) -> Value:
        match tree:
            case Aggregation(inner=inner, parameter=parameter):
                if tree.op not in AGGREGATIONS:
                    raise refusal(f"aggregation {tree.op} is not supported")
                given = None if parameter is None else self.value(parameter, steps)
                return aggregate(
                    tree,
                    self._vector(inner, steps),
                    _parameter(given),
                    most_values=self.most_values,
                )
            case Binary(left=left, right=right):
                sides = self._operand(left, steps), self._operand(right, steps)
                return combine(tree, *sides, most_values=self.most_values)
            case Negative(inner=inner):
                operand = self._operand(inner, steps)
                if isinstance(operand, Scalar):
                    return Scalar(-operand.value)
                return joined(negative(operand), is_strict=True)
        raise refusal(f"{type(tree).__name__} is not supported")

    def _operand(self, tree: Expression, steps: Steps) -> Vector | Scalar:
        value = self.value(tree, steps)
        if not isinstance(value, Vector | Scalar):
            raise refusal("an operator takes scalars and instant vectors")
        return value

    def _vector(self, tree: Expression, steps: Steps) -> Vector:
        value = self.value(tree, steps)
        if not isinstance(value, Vector):
            raise refusal("an instant vector is needed")
        return value

    def _call(self, tree: Call, steps: Steps) -> Value:
        arguments = tree.arguments
        if tree.name in RANGE_FUNCTIONS:
            return self._over_time(tree, steps)
        if tree.name == "timestamp" and isinstance(arguments[0], Selector):
            vector, time_ns = self._newest(arguments[0], steps)
            labels = tuple(map(nameless, vector.labels))
            # Milliseconds apart from what is smaller: together they are no exact float.
            time_s = time_ns // NS_PER_MS / 1000 + time_ns % NS_PER_MS / 1e9
            return joined(Vector(labels, time_s, vector.present))
        if tree.name == "absent":
            held = self._vector(arguments[0], steps).present
            return absent(_absent_labels(arguments[0]), held, steps)
        if any(map(is_range, arguments)):  # known to the parser, and not to us
            raise refusal(f"function {tree.name} is not supported")
        return call(tree.name, [self.value(one, steps) for one in arguments], steps)

    def _over_time(self, tree: Call, steps: Steps) -> Vector:
        ranged = next(one for one in tree.arguments if is_range(one))
        others = [self.value(one, steps) for one in tree.arguments if one is not ranged]
        scalar = next((one for one in others if isinstance(one, Scalar)), None)
        windows = self._windows(ranged, steps)
        found = over_time(tree.name, windows, scalar, self.go_on)
        if windows.points.native is not None:
            found = with_native(tree.name, windows, found, self.most_values, self.go_on)
        if tree.name == "absent_over_time":
            return absent(_absent_labels(ranged), found.held, steps)
        if tree.name in KEEP_NAMES:
            return joined(found, is_strict=True)
        return joined(found.named(tuple(map(nameless, found.labels))), is_strict=True)

    # Reading

    def _newest(self, tree: Selector, steps: Steps) -> tuple[Vector, I64]:
        """Each series' newest sample at every step, and the samples' times."""
        ref_ns = self._ref_ns(tree.when, steps)
        points = self._points(tree.matchers, ref_ns, LOOKBACK_NS)
        shape = self._shape(len(points), steps.n)
        row, held = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        bits = points.value.view(np.int64)
        kernel.latest(points.offset, points.time_ns, bits, ref_ns, LOOKBACK_NS, row, held)
        if points.native is not None:
            return newest_of_both(points, points.native, ref_ns, LOOKBACK_NS)
        if not len(points.value):
            return nothing(steps), np.empty((0, steps.n), np.int64)
        row = np.minimum(row, len(points.value) - 1)
        vector = Vector(points.labels, points.value[row], held)
        chosen = np.flatnonzero(held.any(axis=1))
        return vector.rows(chosen), points.time_ns[row[chosen]]

    def _windows(self, tree: Expression, steps: Steps) -> Windows:
        if isinstance(tree, Subquery):
            ref_ns, length_ns = self._ref_ns(tree.when, steps), tree.range_ns
            points = self._of_subquery(tree, ref_ns)
        elif isinstance(tree, Selector) and tree.range_ns is not None:
            ref_ns, length_ns = self._ref_ns(tree.when, steps), tree.range_ns
            points = _unmarked(self._points(tree.matchers, ref_ns, length_ns))
        else:
            raise refusal("a range vector is needed")
        self._shape(len(points), steps.n)
        return Windows(points, ref_ns, length_ns, steps.time_ns)

    def _of_subquery(self, tree: Subquery, ref_ns: I64) -> Points:
        step_ms = SUBQUERY_STEP_MS if tree.step_ns is None else tree.step_ns // NS_PER_MS
        first_ms = -((tree.range_ns - int(ref_ns[0])) // NS_PER_MS // step_ms) * step_ms
        n = (int(ref_ns[-1]) // NS_PER_MS - first_ms) // step_ms + 1
        self._shape(1, max(n, 0))
        if n < 1:
            return Points((), np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
        steps = Steps(first_ms, step_ms, n)
        inner = self.value(tree.inner, steps)
        if isinstance(inner, Scalar):
            inner = Vector(({},), inner.value[None, :], np.ones((1, n), np.bool_))
        if not isinstance(inner, Vector):
            raise refusal("a subquery is about an instant vector")
        time_ns = np.broadcast_to(steps.time_ns, inner.held.shape)[inner.held]
        offset = offsets(inner.held.sum(axis=1))
        native = None if inner.native is None else points_of(inner.native, steps.time_ns)
        return Points(inner.labels, offset, time_ns, inner.value[inner.held], native)

    def _ref_ns(self, when: When, steps: Steps) -> I64:
        first_ms, last_ms = steps.start_ms, steps.start_ms + (steps.n - 1) * steps.step_ms
        if when.at is not None:
            edges = {Edge.START: self.start_ms, Edge.END: self.end_ms}
            first_ms = edges[when.at] if isinstance(when.at, Edge) else when.at
            last_ms = first_ms
        first_ns = first_ms * NS_PER_MS - when.offset_ns
        last_ns = last_ms * NS_PER_MS - when.offset_ns
        if first_ns < -_FURTHEST_NS or last_ns > _FURTHEST_NS:
            raise refusal("a selector looks before 1824 or behind 2116; nothing is stored there")
        if when.at is not None:
            return np.full(steps.n, first_ns, np.int64)
        return steps.time_ns - when.offset_ns

    def _points(self, matchers: tuple[Matcher, ...], ref_ns: I64, length_ns: int) -> Points:
        """Samples that some step needs: ref - length <= time <= ref."""
        every_ns = int(ref_ns[1] - ref_ns[0]) if len(ref_ns) > 1 else 0
        sieve = Sieve(every_ns, length_ns + 1) if every_ns > length_ns + 1 else None
        start_ns = max(int(ref_ns[0]) - length_ns, -(2**62))
        stretch = Stretch(matchers, start_ns, int(ref_ns[-1]) + 1, sieve)
        if stretch not in self._read:
            self._read[stretch] = self.source.read(stretch)
            self.go_on()
        return self._read[stretch]

    def _shape(self, n_series: int, n_steps: int) -> tuple[int, int]:
        if n_series * n_steps > self.most_values:
            raise refusal(
                f"{n_series} series at {n_steps} steps are more than server.query_samples "
                f"({self.most_values}) values; narrow the range or the selector, take a longer "
                "step, or raise the setting"
            )
        return n_series, n_steps


def _parameter(value: Value | None) -> F64 | str | None:
    match value:
        case Scalar(value=row):
            return row
        case String(text=text):
            return text
        case _:
            return None


def _repeated(value: Value, n: int) -> Value:
    match value:
        case Vector(native=native):
            again = native and Native(np.repeat(native.place, n, 1), native.pool)
            held = np.repeat(value.held, n, 1)
            return Vector(value.labels, np.repeat(value.value, n, 1), held, again)
        case Scalar():
            return Scalar(np.repeat(value.value, n))
        case _:
            return value


def _unmarked(points: Points) -> Points:
    """Without the marks that say where a series ended."""
    kept: Mask = points.value.view(np.int64) != kernel.MARK
    native = None if points.native is None else unmarked(points.native)
    if kept.all() and native is points.native:
        return points
    offset = offsets(kept.astype(np.int64))[points.offset]
    return Points(points.labels, offset, points.time_ns[kept], points.value[kept], native)


def _absent_labels(tree: Expression) -> dict[str, str]:
    """What is known of a series that is not there: what it must equal."""
    if not isinstance(tree, Selector):
        return {}
    labels: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in tree.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op is MatchOp.EQUAL and matcher.name not in seen and matcher.value:
            labels[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            labels.pop(matcher.name, None)
    return labels
