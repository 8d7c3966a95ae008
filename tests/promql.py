"""What tests of PromQL share: samples in a line of text, and expressions over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests import lakes
from watchkeeper.lake.promql.ask import Request, at, between
from watchkeeper.lake.promql.evaluate import Evaluation, Stretch
from watchkeeper.lake.promql.parse import parse_matchers
from watchkeeper.lake.promql.values import Points, Scalar, String, Value, Vector, sort_key
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import METRIC_NAME

MINUTE_S = 60
Found = dict[str, list[float | None]]
"""Selector-like text of a series -> its value at every step; None where it has none."""


@dataclass
class Samples:
    """A source in memory: a sample a minute since 1970."""

    lines: Mapping[str, str]
    """Series, as a selector -> values: numbers, `_` for none, `stale` for the mark of an end."""
    asked: list[Stretch] = field(default_factory=list)

    def read(self, stretch: Stretch) -> Points:
        self.asked.append(stretch)
        known = [(labels_of(name), text) for name, text in self.lines.items()]
        known.sort(key=lambda one: sort_key(one[0]))
        chosen = [(labels, text) for labels, text in known if lakes.fit(labels, stretch.matchers)]
        times, values, count = [], [], []
        for _, text in chosen:
            rows = [row for row in _rows(text) if _is_needed(row[0], stretch)]
            count.append(len(rows))
            times += [time for time, _ in rows]
            values += [value for _, value in rows]
        return Points(
            tuple(labels for labels, _ in chosen),
            offsets(np.array(count, np.int64)),
            np.array(times, np.int64),
            np.array(values, np.float64),
        )


def _is_needed(time_ns: int, stretch: Stretch) -> bool:
    sieve = stretch.sieve
    if not stretch.start_ns <= time_ns < stretch.end_ns:
        return False
    return sieve is None or (time_ns - stretch.start_ns) % sieve.every_ns < sieve.length_ns


def _rows(text: str) -> list[tuple[int, float]]:
    rows = []
    for place, word in enumerate(text.split()):
        if word != "_":
            value = lakes.STALE if word == "stale" else float(word)
            rows.append((place * MINUTE_S * lakes.S, value))
    return rows


def labels_of(selector: str) -> dict[str, str]:
    return {matcher.name: matcher.value for matcher in parse_matchers(selector)}


def text_of(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k != METRIC_NAME)
    return labels.get(METRIC_NAME, "") + (f"{{{inner}}}" if inner or len(labels) == 0 else "")


def worth(
    expression: str, lines: Mapping[str, str], *, at_s: float = 0, limit: int = 10**6
) -> Value:
    """An expression at one moment."""
    request = at(expression, round(at_s * 1000))
    return _value(request, Samples(lines), limit)


def _value(request: Request, source: Samples, limit: int = 10**6) -> Value:
    evaluation = Evaluation(source, request.steps.start_ms, request.end_ms, limit)
    return evaluation.value(request.tree, request.steps)


def vector(expression: str, lines: Mapping[str, str], *, at_s: float = 0) -> dict[str, float]:
    """An instant vector, in its order."""
    value = worth(expression, lines, at_s=at_s)
    assert isinstance(value, Vector), value
    return {
        text_of(labels): float(value.value[row, 0])
        for row, labels in enumerate(value.labels)
        if value.held[row, 0]
    }


def scalar(expression: str, lines: Mapping[str, str] | None = None, *, at_s: float = 0) -> float:
    value = worth(expression, lines or {}, at_s=at_s)
    assert isinstance(value, Scalar), value
    return float(value.value[0])


def string(expression: str) -> str:
    value = worth(expression, {})
    assert isinstance(value, String), value
    return value.text


def course(
    expression: str, lines: Mapping[str, str], minutes: Sequence[int], *, step_s: int = MINUTE_S
) -> Found:
    """An expression from the first to the last of two minutes."""
    return over(expression, lines, (minutes[0] * MINUTE_S, minutes[-1] * MINUTE_S), step_s)


def over(expression: str, lines: Mapping[str, str], edges_s: tuple[int, int], step_s: int) -> Found:
    """An expression from one second to another."""
    start_ms, end_ms = edges_s[0] * 1000, edges_s[1] * 1000
    value = _value(between(expression, start_ms, end_ms, step_s * 1000), Samples(lines))
    if isinstance(value, Scalar):
        return {"": list(value.value.tolist())}
    assert isinstance(value, Vector), value
    found: Found = {}
    for row, labels in enumerate(value.labels):
        held, values = value.held[row].tolist(), value.value[row].tolist()
        if any(held):
            found[text_of(labels)] = [v if h else None for v, h in zip(values, held, strict=True)]
    return found
