"""Native histograms for tests of PromQL: written as text, and computed without a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests import lakes, promql
from tests.disks import UnsyncedFiles
from tests.promql import MINUTE_S, Samples, labels_of, text_of
from watchkeeper.ingest.receivers import schema
from watchkeeper.lake.details import HISTOGRAMS
from watchkeeper.lake.promql.ask import at
from watchkeeper.lake.promql.evaluate import Evaluation
from watchkeeper.lake.promql.native import Cells, NativePoints, Pool, totals, unpacked
from watchkeeper.lake.promql.values import Points, Stretch, Value, Vector, sort_key
from watchkeeper.lake.runs import offsets
from watchkeeper.lake.tables.config import HistogramsConfig
from watchkeeper.lake.tables.table import DiskTable
from watchkeeper.model.detail import HistogramRows
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId

RESET = 1
ENTITY = Entity("decided elsewhere")
Side = Mapping[int, float]
Bucket = tuple[float, float, float]
"""(low, high, count)"""


@dataclass(frozen=True)
class Shape:
    """A native histogram; what is counted is in its buckets unless `count` says more."""

    positive: Side = field(default_factory=dict)
    negative: Side = field(default_factory=dict)
    zero: float = 0
    total: float = 0.0
    scale: int = 0
    threshold: float = 0.001
    hint: int = 0
    bounds: tuple[float, ...] = ()
    count: float | None = None

    @property
    def n(self) -> float:
        if self.count is not None:
            return self.count
        return self.zero + sum(self.positive.values()) + sum(self.negative.values())

    def payload(self) -> bytes:
        """With float counts, which say all that whole ones can."""
        one = schema.histogram()(
            count_float=self.n, sum=self.total, zero_count_float=self.zero,
            schema=-53 if self.bounds else self.scale,
            zero_threshold=0.0 if self.bounds else self.threshold,
            reset_hint=self.hint, custom_values=self.bounds,
        )  # fmt: skip
        for name in ("positive", "negative"):
            counts: Side = getattr(self, name)
            indices = sorted(counts)
            for end, index in pairwise([0, *(index + 1 for index in indices)]):
                getattr(one, f"{name}_spans").add(offset=index - 1 - end, length=1)
            getattr(one, f"{name}_counts").extend(counts[index] for index in indices)
        raw: bytes = one.SerializeToString()
        return raw


def table(
    folder: Path,
    rows: Sequence[tuple[Mapping[str, str], int, Shape]],
    tenant: TenantId = DEFAULT_TENANT,
) -> DiskTable[HistogramRows]:
    """Of (labels, nanoseconds, shape), in this order, as the table on disk has them."""
    found = DiskTable(HistogramsConfig(), HISTOGRAMS, directory=folder, files=UnsyncedFiles())
    batch = HistogramRows(
        tuple(Origin(tuple(sorted(labels.items())), ENTITY) for labels, _, _ in rows),
        np.arange(len(rows), dtype=np.int32),
        np.array([time_ns for _, time_ns, _ in rows], np.int64),
        np.zeros((len(rows), 2), np.uint64),
        texts([shape.payload() for _, _, shape in rows]),
        tenant,
    )
    found.append(batch, 1)
    return found


ENDED = Shape(total=float(lakes.STALE))


def pool_of(*shapes: Shape, most: int = 10**6) -> Pool:
    return unpacked(texts([one.payload() for one in shapes]), np.arange(len(shapes)), most)


def shape_of(pool: Pool, row: int) -> Shape:
    """What a row of a pool says."""
    head = pool.head[row].tolist()
    a, b = int(pool.offset[row]), int(pool.offset[row + 1])
    middle = a + int(head[6])
    sides = [
        dict(zip(pool.index[one].tolist(), pool.count[one].tolist(), strict=True))
        for one in (slice(middle, b), slice(a, middle))
    ]
    bounds = np.frombuffer(pool.layouts[int(head[7])]).tolist() if head[7] >= 0 else []
    scale = 0 if bounds else int(head[0])
    return Shape(
        *sides, head[2], head[4], scale, head[1] or 0.001, int(head[5]), tuple(bounds), head[3]
    )


def total(*shapes: Shape) -> Shape:
    """Their sum."""
    n = len(shapes)
    cells = Cells.sums(np.array([0, n]), np.arange(n))
    found, is_sound = totals(pool_of(*shapes), cells, 10**6)
    assert is_sound.all()
    return shape_of(found, 0)


@dataclass
class Shapes(Samples):
    """A source in memory that has native histograms besides: one a minute, None for none."""

    shapes: Mapping[str, Sequence[Shape | None]] = field(default_factory=dict)

    def read(self, stretch: Stretch) -> Points:
        values = super().read(stretch)
        named = {text_of(labels): labels for labels in values.labels}
        chosen = {
            name: row
            for name, row in self.shapes.items()
            if lakes.fit(labels_of(name), stretch.matchers)
        }
        whole = {**named, **{text_of(labels_of(name)): labels_of(name) for name in chosen}}
        order = sorted(whole, key=lambda name: sort_key(whole[name]))
        n_values = dict(zip(named, np.diff(values.offset).tolist(), strict=True))
        rows = [_rows(chosen.get(name, ()), stretch) for name in order]
        told = [shape for row in rows for _, shape in row]
        native = NativePoints(
            offsets(np.array([len(row) for row in rows], np.int64)),
            np.array([time_ns for row in rows for time_ns, _ in row], np.int64),
            np.arange(len(told)),
            pool_of(*told),
        )
        return Points(
            tuple(whole[name] for name in order),
            offsets(np.array([n_values.get(name, 0) for name in order], np.int64)),
            values.time_ns,
            values.value,
            native,
        )


def _rows(shapes: Sequence[Shape | None], stretch: Stretch) -> list[tuple[int, Shape]]:
    timed = [(place * MINUTE_S * lakes.S, shape) for place, shape in enumerate(shapes)]
    return [
        (time_ns, shape)
        for time_ns, shape in timed
        if shape is not None and stretch.start_ns <= time_ns < stretch.end_ns
    ]


def worth(
    expression: str,
    shapes: Mapping[str, Sequence[Shape | None]],
    lines: Mapping[str, str] | None = None,
    *,
    minute: float = 0,
    limit: int = 10**6,
) -> dict[str, Any]:
    """An instant vector: numbers, and histograms as shapes."""
    value = asked(expression, Shapes(lines or {}, shapes=shapes), minute, limit)
    assert isinstance(value, Vector), value
    found: dict[str, Any] = {}
    for row, labels in enumerate(value.labels):
        if value.held[row, 0]:
            found[text_of(labels)] = float(value.value[row, 0])
        elif value.native is not None and value.native.held[row, 0]:
            found[text_of(labels)] = shape_of(value.native.pool, int(value.native.place[row, 0]))
    return found


def asked(expression: str, source: promql.Samples, minute: float, limit: int = 10**6) -> Value:
    request = at(expression, round(minute * MINUTE_S * 1000))
    evaluation = Evaluation(source, request.steps.start_ms, request.end_ms, limit)
    return evaluation.value(request.tree, request.steps)
