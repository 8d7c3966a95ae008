"""A whole request: an expression, its steps, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake.base import Readings, SampleQuery, TooManyRows
from watchkeeper.lake.promql.evaluate import Evaluation
from watchkeeper.lake.promql.native_source import with_histograms
from watchkeeper.lake.promql.parse import parse
from watchkeeper.lake.promql.tree import Expression, Text, is_range, refusal
from watchkeeper.lake.promql.values import Points, Steps, Stretch, Value, Vector, sort_key
from watchkeeper.lake.tables.base import Searchable
from watchkeeper.model.detail import HistogramRows
from watchkeeper.model.series import TenantId

MOST_POINTS: Final = 11_000
"""Steps of a range; Prometheus' own limit, which its clients know."""


class TimedOut(Retryable):
    """The request's time was over before its answer was there."""


@dataclass(frozen=True, slots=True)
class LakeSource:
    """Samples of one tenant: values, and native histograms where a table of them is given."""

    lake: Readings
    tenant: TenantId
    most_samples: int
    histograms: Searchable[HistogramRows] | None = None

    def read(self, stretch: Stretch) -> Points:
        values = self._values(stretch)
        if self.histograms is None:
            return values
        return with_histograms(values, self.histograms, self.tenant, stretch, self.most_samples)

    def _values(self, stretch: Stretch) -> Points:
        try:
            frame = self.lake.query(
                SampleQuery(
                    self.tenant,
                    stretch.matchers,
                    stretch.start_ns,
                    stretch.end_ns,
                    sieve=stretch.sieve,
                    limit=self.most_samples,
                )
            )
        except TooManyRows as error:
            raise refusal(
                f"the expression needs more than server.query_samples ({self.most_samples}) "
                "samples; narrow the range or the selector, or raise the setting"
            ) from error
        except BadInput as error:
            raise BadInput(str(error), status=422) from error
        offset = np.searchsorted(frame.row, np.arange(len(frame.labels) + 1))
        return Points(frame.labels, offset, frame.time_ns, frame.value)


def steps_between(start_ms: int, end_ms: int, step_ms: int) -> Steps:
    """The steps of a range, its end included. Raises BadInput."""
    if end_ms < start_ms:
        raise BadInput('invalid parameter "end": end timestamp must not be before start time')
    if step_ms <= 0:
        raise BadInput(
            'invalid parameter "step": zero or negative query resolution step widths are not '
            "accepted. Try a positive integer"
        )
    steps = Steps(start_ms, step_ms, (end_ms - start_ms) // step_ms + 1)
    if steps.n > MOST_POINTS + 1:
        raise BadInput(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
            "resolution (?step=XX)"
        )
    return steps


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and when. `end_ms` may lie behind the last step."""

    tree: Expression
    steps: Steps
    end_ms: int
    is_instant: bool


def at(text: str, time_ms: int) -> Request:
    """An expression at one moment. Raises BadInput."""
    return Request(parse(text), Steps(time_ms, 1, 1), time_ms, is_instant=True)


def between(text: str, start_ms: int, end_ms: int, step_ms: int) -> Request:
    """An expression at every step of a range. Raises BadInput."""
    steps = steps_between(start_ms, end_ms, step_ms)
    tree = parse(text)
    if is_range(tree) or isinstance(tree, Text):
        kind = "string" if isinstance(tree, Text) else "range vector"
        raise BadInput(
            f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector'
        )
    return Request(tree, steps, end_ms, is_instant=False)


def answer(request: Request, source: LakeSource, go_on: Callable[[], None]) -> Value:
    """What it is worth. What is asked over a range comes sorted by labels."""
    steps, end_ms = request.steps, request.end_ms
    evaluation = Evaluation(source, steps.start_ms, end_ms, source.most_samples, go_on)
    try:
        value = evaluation.value(request.tree, steps)
    except RecursionError as error:
        raise refusal("the expression is nested too deeply; split it") from error
    if not isinstance(value, Vector):
        return value
    shown = np.flatnonzero(value.present.any(axis=1))
    if request.is_instant:
        return value.rows(shown)
    return value.rows(sorted(shown.tolist(), key=lambda row: sort_key(value.labels[row])))
