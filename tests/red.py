"""Spans for tests of what is derived of them, and the same counted in plain Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.derivation import Derivation, deriving
from watchkeeper.analyze.red import Red
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.red_series import RedSeries
from watchkeeper.lake.derived import BUCKETS
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import Entity, Kind
from watchkeeper.model.signal import NewSeries, SampleBatch, SpanBatch, Tick

KEY = bytes(range(16))


@dataclass(frozen=True)
class Call:
    """One span; a test names what matters."""

    service: str = "shop"
    name: str = "GET /cart"
    kind: int = 2
    duration_s: float = 0.02
    failed: bool = False
    trace: int = 1
    span: int = 1
    parent: int = 7
    attributes: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 0.0


def spans(*calls: Call) -> SpanBatch:
    n = len(calls)
    services = sorted({one.service for one in calls})
    nothing = texts([b""] * n)
    return SpanBatch(
        origins=tuple(Origin((("service.name", name),), Entity(service=name)) for name in services),
        origin=np.array([services.index(one.service) for one in calls], np.int32),
        start_ns=np.array([START_NS + round(one.start_s * NS_PER_S) for one in calls], np.int64),
        duration_ns=np.array([round(one.duration_s * NS_PER_S) for one in calls], np.int64),
        trace=np.array([[1, one.trace] for one in calls], np.uint64).reshape(n, 2),
        span=np.array([one.span for one in calls], np.uint64),
        parent=np.array([one.parent for one in calls], np.uint64),
        kind=np.array([one.kind for one in calls], np.uint8),
        status=np.array([2 * one.failed for one in calls], np.uint8),
        name=texts([one.name.encode() for one in calls]),
        message=nothing,
        attributes=texts(
            [json.dumps(one.attributes, separators=(",", ":")).encode() for one in calls]
        ),
        events=nothing,
        links=nothing,
    )


class Works:
    """A catalog, the door that registers, and a step behind the log."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.catalog = catalog or Catalog(
            KEY, CatalogConfig(max_series=20_000, max_donors=100), Enrich()
        )
        self.door = RedSeries(self.catalog, self._entered)
        self.red = Red(self.catalog)
        self.whole = Derivation(deriving(self.catalog, len(self.catalog.kind)))
        self.news: list[NewSeries] = []

    def _entered(self, new: NewSeries) -> None:
        self.news.append(new)
        buckets = new.slot[new.kind == Kind.UNSCORED]
        self.catalog.derive(new.tenant, buckets, START_NS, origin=BUCKETS)

    def let_in(self, batch: SpanBatch, after_s: float = 0.0) -> None:
        """Through the door alone."""
        self.door.meet(batch, START_NS + round(after_s * NS_PER_S))

    def take(self, batch: SpanBatch, after_s: float = 0.0) -> None:
        self.let_in(batch, after_s)
        self.red.of_spans(batch)

    def tick(self, after_s: float) -> dict[str, float]:
        return self.told(*self.red.tick(START_NS + round(after_s * NS_PER_S)))

    def told(self, *batches: SampleBatch) -> dict[str, float]:
        """The last value of each series, by its name and labels."""
        return {name: value for batch in batches for name, _, value in self.rows(batch)}

    def rows(self, batch: SampleBatch) -> list[tuple[str, float, float]]:
        """(series, seconds after the start, value)"""
        after = ((batch.time_ns - START_NS) / NS_PER_S).tolist()
        named = [short(labels) for labels in self.catalog.labels(batch.slot)]
        return list(zip(named, after, batch.value.tolist(), strict=True))


def short(labels: Mapping[str, str]) -> str:
    """As `span_errors_total{shop GET /cart server}`."""
    rest = [
        value for name, value in sorted(labels.items()) if name not in ("__name__", "derived", "le")
    ]
    le = f" {labels['le']}" if "le" in labels else ""
    return f"{labels['__name__']}{{{' '.join(rest)}}}{le}"


def ticks(first_s: int, last_s: int) -> Sequence[Tick]:
    return [Tick(START_NS + second * NS_PER_S) for second in range(first_s, last_s + 1)]
