"""Native histograms and exemplars in tables of their own, and read from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from watchkeeper.lake.files import Files
from watchkeeper.lake.tables.base import RowQuery, Searchable, Table
from watchkeeper.lake.tables.config import ExemplarsConfig, HistogramsConfig
from watchkeeper.lake.tables.definition import Definition
from watchkeeper.lake.tables.rows import nothing
from watchkeeper.lake.tables.table import DiskTable
from watchkeeper.model.detail import ExemplarRows, HistogramRows
from watchkeeper.model.row import Origin, origin
from watchkeeper.model.series import I32, U64, Entity, Matcher, TenantId
from watchkeeper.model.signal import ExemplarBatch, HistogramBatch

HISTOGRAMS: Final = Definition(
    name="histograms",
    kind=HistogramRows,
    time="time_ns",
    order=("time_ns",),
    ranged=("time_ns",),
    trace="series",  # so that the rows of a series are found as those of a trace are
    text=None,
    repeating=frozenset({"origin"}),
    group_rows=1 << 12,
)

EXEMPLARS: Final = Definition(
    name="exemplars",
    kind=ExemplarRows,
    time="time_ns",
    order=("time_ns",),
    ranged=("time_ns",),
    trace="trace",
    text=None,
    repeating=frozenset({"origin"}),
    group_rows=1 << 12,
)
NO_HISTOGRAMS: Final = nothing(HISTOGRAMS)
NO_EXEMPLARS: Final = nothing(EXEMPLARS)


class KnownSeries(Protocol):
    """What this needs of the catalog."""

    identity: U64

    def labels(self, slots: I32) -> list[dict[str, str]]: ...

    def entity_of(self, slot: int) -> Entity: ...


@dataclass(frozen=True, slots=True)
class Details:
    """Both tables."""

    histograms: Table[HistogramRows]
    exemplars: Table[ExemplarRows]

    def close(self) -> None:
        self.histograms.close()
        self.exemplars.close()


def open_details(
    folder: Path,
    histograms: HistogramsConfig,
    exemplars: ExemplarsConfig,
    files: Files | None = None,
) -> Details:
    """Each has a folder of its own in this one."""
    return Details(
        DiskTable(histograms, HISTOGRAMS, directory=folder / HISTOGRAMS.name, files=files),
        DiskTable(exemplars, EXEMPLARS, directory=folder / EXEMPLARS.name, files=files),
    )


class Named:
    """Records with the names of their series, as the tables take them: what no table understands
    are slots."""

    def __init__(self, catalog: KnownSeries) -> None:
        self._catalog = catalog

    def histograms(self, record: Any) -> HistogramRows:
        if not isinstance(record, HistogramBatch):
            return NO_HISTOGRAMS
        origins, row = self._origins(record.slot)
        return HistogramRows(
            origins,
            row,
            record.time_ns,
            self._catalog.identity[record.slot],
            record.payload,
            record.tenant,
        )

    def exemplars(self, record: Any) -> ExemplarRows:
        if not isinstance(record, ExemplarBatch):
            return NO_EXEMPLARS
        origins, row = self._origins(record.slot)
        return ExemplarRows(
            origins,
            row,
            record.time_ns,
            record.value,
            record.trace,
            record.labels,
            record.tenant,
        )

    def _origins(self, slots: I32) -> tuple[tuple[Origin, ...], I32]:
        used, row = np.unique(slots, return_inverse=True)
        labels = self._catalog.labels(used)
        origins = tuple(
            Origin(origin(one.items()).labels, self._catalog.entity_of(slot))
            for slot, one in zip(used.tolist(), labels, strict=True)
        )
        return origins, row.astype(np.int32)


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One exemplar, for people and for the API."""

    time_ns: int
    value: float
    labels: bytes
    """A JSON object of texts."""


def exemplars_of(
    table: Searchable[ExemplarRows],
    tenant: TenantId,
    matchers: Sequence[Matcher],
    span_ns: tuple[int, int],
    *,
    limit: int,
) -> list[tuple[Mapping[str, str], list[Exemplar]]]:
    """The newest exemplars of series that fit, start <= time < end: by series, by time ascending.

    One that was sent twice is there once.
    """
    start_ns, end_ns = span_ns
    found = table.search(RowQuery(tenant, start_ns, end_ns, tuple(matchers), limit=limit)).batch
    by_origin: dict[int, set[Exemplar]] = {}
    for row in range(len(found)):
        one = Exemplar(int(found.time_ns[row]), float(found.value[row]), found.attributes[row])
        by_origin.setdefault(int(found.origin[row]), set()).add(one)
    answer = [
        (dict(found.origins[number].labels), sorted(some, key=lambda one: one.time_ns))
        for number, some in by_origin.items()
    ]
    return sorted(answer, key=lambda one: sorted(one[0].items()))
