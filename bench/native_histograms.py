"""Native histograms for a real Prometheus and us: counters and gauges of several resolutions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import cramjam
import numpy as np

from watchkeeper.ingest.receivers import schema

EVERY_MS: Final = 30_000
STALE: Final = np.array([0x7FF0000000000002], np.int64).view(np.float64)[0]
GAUGE: Final = 3
_TINY: Final = 2.0**-128
Labels = Mapping[str, str]
Message = Any


@dataclass(frozen=True, slots=True)
class HistogramSeries:
    """Histograms as messages, each with its time."""

    labels: Labels
    time_ms: Sequence[int]
    histograms: Sequence[Message]


def _no_buckets() -> dict[str, dict[int, int]]:
    return {"negative": {}, "positive": {}}


@dataclass(slots=True)
class Shape:
    """Observations counted up in buckets."""

    schema: int
    threshold: float = _TINY
    hint: int = 0
    zero: int = 0
    count: int = 0
    total: float = 0.0
    sides: dict[str, dict[int, int]] = field(default_factory=_no_buckets)

    def observe(self, values: Any) -> None:
        for value in values.tolist():
            self.count += 1
            self.total += value
            if abs(value) <= self.threshold:
                self.zero += 1
                continue
            side = self.sides["positive" if value > 0 else "negative"]
            index = int(np.ceil(np.log2(abs(value)) * 2.0**self.schema))
            side[index] = side.get(index, 0) + 1

    def message(self, time_ms: int) -> Message:
        one = schema.histogram()(
            sum=self.total, schema=self.schema, zero_threshold=self.threshold,
            reset_hint=self.hint, timestamp=int(time_ms),
        )  # fmt: skip
        one.count_int, one.zero_count_int = self.count, self.zero
        for name, buckets in self.sides.items():
            self._side(one, name, buckets)
        return one

    def _side(self, one: Message, name: str, buckets: Mapping[int, int]) -> None:
        spans, end, level = getattr(one, f"{name}_spans"), 0, 0
        for index in sorted(buckets):
            if spans and index == end:
                spans[-1].length += 1
            else:
                spans.add(offset=index - end, length=1)
            getattr(one, f"{name}_deltas").append(buckets[index] - level)
            end, level = index + 1, buckets[index]


@dataclass(frozen=True, slots=True)
class Script:
    """When histograms come, and chance."""

    chance: np.random.Generator
    times: Sequence[int]

    def counter(
        self,
        name: str,
        labels: Labels,
        *,
        like: Shape | None = None,
        kept: Sequence[int] | None = None,
        resets: Sequence[int] = (),
    ) -> HistogramSeries:
        """Of durations: by number of the time, which are there, and where it begins anew."""
        first, found = like or Shape(3), []
        shape = replace(first, sides=_no_buckets())
        for at, time_ms in enumerate(self.times):
            if at in resets:
                shape = replace(first, sides=_no_buckets())
            shape.observe(self.chance.lognormal(-2, 1, int(self.chance.poisson(5))))
            found.append(shape.message(time_ms))
        return self.series(name, labels, found, kept)

    def series(
        self,
        name: str,
        labels: Labels,
        found: Sequence[Message],
        kept: Sequence[int] | None = None,
    ) -> HistogramSeries:
        rows = range(len(self.times)) if kept is None else kept
        times = [self.times[at] for at in rows]
        return HistogramSeries({"__name__": name, **labels}, times, [found[at] for at in rows])

    def between(self, first: int, last: int, step: int = 1) -> Script:
        return Script(self.chance, self.times[first:last:step])


def fleet(start_ms: int, length_ms: int) -> list[HistogramSeries]:
    """Counters with resets, gaps and ends, of several resolutions; gauges; what is odd."""
    times = range(start_ms + 4_000, start_ms + length_ms - EVERY_MS, EVERY_MS)
    script = Script(np.random.default_rng(12), times)
    makers = (_requests, _resolutions, _signed, _gauges, _oddities)
    return [series for made in makers for series in made(script)]


def _requests(script: Script) -> Iterator[HistogramSeries]:
    chance, n = script.chance, len(script.times)
    for instance in ("10.0.0.1:80", "10.0.0.2:80"):
        for path in ("/", "/pay"):
            kept = chance.random(n) > 0.03
            gap = int(chance.integers(40, 160))
            kept[gap : gap + int(chance.integers(3, 25))] = False
            resets = chance.integers(20, n - 20, 2).tolist()
            labels = {"job": "api", "instance": instance, "path": path}
            there = np.flatnonzero(kept).tolist()
            yield script.counter("request_seconds", labels, kept=there, resets=resets)


def _resolutions(script: Script) -> Iterator[HistogramSeries]:
    for like in (Shape(0), Shape(2, 0.01), Shape(5, 0.25), Shape(-1, 1e-9)):
        labels = {"scale": str(like.schema), "job": "mixed"}
        yield script.counter("mixed_seconds", labels, like=like)
    # Coarser and coarser on its way, as clients become with too many buckets.
    shape, found = Shape(4), []
    for at, time_ms in enumerate(script.times):
        if at in (90, 170):
            shape = _coarser(shape, 2 if at == 90 else 1)
        shape.observe(script.chance.lognormal(0, 1.5, 4))
        found.append(shape.message(time_ms))
    yield script.series("coarsening_seconds", {"job": "mixed"}, found)
    shape, found = Shape(2), []
    for at, time_ms in enumerate(script.times):
        if at == 120:
            shape = _wider(shape, 2.0**-3)
        shape.observe(script.chance.lognormal(-2, 1.5, 4))
        found.append(shape.message(time_ms))
    yield script.series("widening_seconds", {"job": "mixed"}, found)


def _coarser(shape: Shape, schema: int) -> Shape:
    changed = Shape(schema, shape.threshold, zero=shape.zero, count=shape.count, total=shape.total)
    for name, buckets in shape.sides.items():
        into = changed.sides[name]
        for index, count in buckets.items():
            at = ((index - 1) >> (shape.schema - schema)) + 1
            into[at] = into.get(at, 0) + count
    return changed


def _wider(shape: Shape, threshold: float) -> Shape:
    """`threshold` is a bound of a bucket."""
    last = int(np.log2(threshold) * 2.0**shape.schema)
    changed = Shape(shape.schema, threshold, count=shape.count, total=shape.total)
    positive = shape.sides["positive"]
    changed.zero = shape.zero + sum(n for index, n in positive.items() if index <= last)
    changed.sides["positive"] = {index: n for index, n in positive.items() if index > last}
    return changed


def _signed(script: Script) -> Iterator[HistogramSeries]:
    for name, middle in (("both", 0.0), ("below", -5.0)):
        shape, found = Shape(1, 0.125), []
        for time_ms in script.times:
            shape.observe(np.minimum(script.chance.normal(middle, 2, 6), 5 + middle))
            found.append(shape.message(time_ms))
        yield script.series("balance", {"of": name}, found)


def _gauges(script: Script) -> Iterator[HistogramSeries]:
    for queue in ("mail", "jobs"):
        found = []
        for time_ms in script.times:
            shape = Shape(2 if queue == "mail" else 4, hint=GAUGE)
            shape.observe(script.chance.exponential(3, int(script.chance.integers(0, 12))))
            found.append(shape.message(time_ms))
        yield script.series("queue_size", {"queue": queue}, found)


def _oddities(script: Script) -> Iterator[HistogramSeries]:
    yield script.series("empty_seconds", {}, [Shape(3).message(at) for at in script.times])
    zeros, missing, found, others = Shape(3, 0.5), Shape(2), [], []
    for time_ms in script.times:
        zeros.observe(np.array([0.0, 0.25]))
        found.append(zeros.message(time_ms))
        missing.observe(script.chance.lognormal(0, 1, 3))
        one = missing.message(time_ms)
        one.count_int, one.sum = int(missing.count * 1.25), float("nan")  # some were no number
        others.append(one)
    yield script.series("zeros_seconds", {"job": "mixed"}, found)
    yield script.series("nan_seconds", {}, others)
    n = len(script.times)
    ended = script.between(0, n // 2).counter("ending_seconds", {"who": "first"})
    ended.histograms[-1].sum = STALE
    yield ended
    yield script.between(n // 2, n).counter("ending_seconds", {"who": "second"})
    # Values follow in the same series; see prometheus_pair.
    yield script.between(0, n // 2).counter("changing", {"job": "odd"})
    yield script.between(0, n, 9).counter("sparse_seconds", {"job": "batch"}, resets=[12])


def encode(series: Sequence[HistogramSeries], begin: int, end: int) -> bytes:
    """The body of a remote write request: what lies in begin <= time < end."""
    request = schema.remote_write()["WriteRequest"]()
    for one in series:
        some = [
            message
            for time_ms, message in zip(one.time_ms, one.histograms, strict=True)
            if begin <= time_ms < end
        ]
        if not some:
            continue
        told = request.timeseries.add()
        for name, value in sorted(one.labels.items()):
            told.labels.add(name=name.encode(), value=value.encode())
        told.histograms.extend(message.SerializeToString() for message in some)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
