"""Our own metrics.

They are registered where they are counted, by `counter`, `gauge` and `histogram`, when their module
is imported; `metrics()` lists them all, `render()` writes them in Prometheus' text format.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final, TypeVar

MAX_LABEL_SETS: Final = 200
"""Of one metric. Labels are bounded sets, never ids; what comes beyond is counted as OTHER."""
OTHER: Final = "other"
LATENCY_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Buckets for what a sender or a person waits for."""

_NAME: Final = re.compile(r"(watchkeeper|aiops)_[a-z][a-z0-9]*(_[a-z0-9]+)+")
_LABEL: Final = re.compile(r"[a-z][a-z_]*")


class Metric:
    """A named number, or one per set of label values. Any thread may change it."""

    kind: str

    def __init__(self, name: str, description: str, labels: Sequence[str]) -> None:
        self.name = name
        self.description = description
        self.labels = tuple(labels)
        self._lock = Lock()
        self._known: set[tuple[str, ...]] = set()

    def _key(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The label values under which to count; called with the lock held."""
        if labels in self._known:
            return labels
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name}: takes labels {self.labels}, not {labels}")
        if len(self._known) >= MAX_LABEL_SETS:
            return tuple(OTHER for _ in labels)
        self._known.add(labels)
        return labels

    def lines(self) -> Iterator[str]:
        """Its samples in Prometheus' text format."""
        raise NotImplementedError

    def _sample(self, labels: tuple[str, ...], value: float, suffix: str = "", **more: str) -> str:
        pairs = [*zip(self.labels, labels, strict=True), *more.items()]
        inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
        return (
            f"{self.name}{suffix}{{{inside}}} {number(value)}"
            if pairs
            else (f"{self.name}{suffix} {number(value)}")
        )


class Counter(Metric):
    """Only grows."""

    kind = "counter"

    def __init__(self, name: str, description: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, description, labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, amount: float = 1, *labels: str) -> None:
        with self._lock:
            key = self._key(labels)
            self._values[key] = self._values.get(key, 0) + amount

    def value(self, *labels: str) -> float:
        return self._values.get(labels, 0)

    def lines(self) -> Iterator[str]:
        with self._lock:
            values = list(self._values.items())
        return (self._sample(labels, value) for labels, value in values)


class Gauge(Counter):
    """Goes up and down."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        with self._lock:
            self._values[self._key(labels)] = value


class Histogram(Metric):
    """How often values fell into fixed buckets, given by their upper bounds."""

    kind = "histogram"

    def __init__(
        self, name: str, description: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        super().__init__(name, description, labels)
        self.bounds = tuple(sorted(bounds))
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, *labels: str) -> None:
        with self._lock:
            key = self._key(labels)
            if key not in self._counts:
                self._counts[key] = [0] * (len(self.bounds) + 1)
                self._sums[key] = 0.0
            self._counts[key][bisect_left(self.bounds, value)] += 1
            self._sums[key] += value

    def count(self, *labels: str) -> int:
        return sum(self._counts.get(labels, ()))

    def lines(self) -> Iterator[str]:
        with self._lock:
            counts = {labels: list(buckets) for labels, buckets in self._counts.items()}
            sums = dict(self._sums)
        for labels, buckets in counts.items():
            total = 0
            for bound, n in zip((*self.bounds, float("inf")), buckets, strict=True):
                total += n
                yield self._sample(labels, total, "_bucket", le=number(bound))
            yield self._sample(labels, sums[labels], "_sum")
            yield self._sample(labels, total, "_count")


M = TypeVar("M", bound=Metric)
_REGISTERED: Final[dict[str, Metric]] = {}


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """Register a counter, named `watchkeeper_<layer>_<noun>_<unit>_total`."""
    if not name.endswith("_total"):
        raise ValueError(f"{name}: a counter's name ends with _total")
    return _register(Counter(name, description, labels))


def gauge(name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
    """Register a gauge, named `watchkeeper_<layer>_<noun>_<unit>`."""
    return _register(Gauge(name, description, labels))


def histogram(
    name: str,
    description: str,
    bounds: Sequence[float] = LATENCY_S,
    labels: Sequence[str] = (),
) -> Histogram:
    """Register a histogram, named `watchkeeper_<layer>_<noun>_<unit>`."""
    return _register(Histogram(name, description, bounds, labels))


def metrics() -> tuple[Metric, ...]:
    """Every metric of the modules imported so far, by name."""
    return tuple(_REGISTERED[name] for name in sorted(_REGISTERED))


def render() -> str:
    """All of them in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []
    for metric in metrics():
        samples = list(metric.lines())
        description = metric.description.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(f"# HELP {metric.name} {description}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(samples)
    return "\n".join(lines) + "\n"


def _register(metric: M) -> M:
    if not _NAME.fullmatch(metric.name):
        raise ValueError(f"{metric.name}: is not of the form watchkeeper_<layer>_<noun>_<unit>")
    if wrong := [label for label in metric.labels if not _LABEL.fullmatch(label)]:
        raise ValueError(f"{metric.name}: {wrong} are no names of labels")
    if metric.name in _REGISTERED:
        raise ValueError(f"{metric.name}: is registered twice")
    _REGISTERED[metric.name] = metric
    return metric


def number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
