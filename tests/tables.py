"""What tests of tables share: both tables, batches by chance, and rows that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests import make
from tests.disks import UnsyncedFiles
from watchkeeper.lake.details import EXEMPLARS, HISTOGRAMS
from watchkeeper.lake.files import Files
from watchkeeper.lake.tables.base import Found, RowQuery
from watchkeeper.lake.tables.config import (
    ExemplarsConfig,
    HistogramsConfig,
    LogsConfig,
    SpansConfig,
    TableConfig,
)
from watchkeeper.lake.tables.definition import LOGS, SPANS, Definition
from watchkeeper.lake.tables.table import DiskTable
from watchkeeper.model.detail import DetailRows, ExemplarRows, HistogramRows
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId
from watchkeeper.model.signal import LogBatch, RowBatch, SpanBatch

S = make.NS_PER_S
DAY = 86_400 * S
NOON = make.START_NS // DAY * DAY + 12 * 3600 * S
"""In the middle of a window."""

Row = tuple[Any, ...]
"""All that a row says, as plain values."""

ORIGINS = (
    Origin((("host", "a"), ("service", "shop")), Entity("shop", "prod")),
    Origin((("host", "b"),), Entity("bank")),
    Origin((), Entity()),
)


@dataclass(frozen=True)
class Case:
    """One of the tables, and how its batches are made."""

    definition: Definition[Any]
    config: type[TableConfig]

    @property
    def name(self) -> str:
        return self.definition.name

    def open(self, folder: Path, *, files: Files | None = None, **settings: Any) -> DiskTable[Any]:
        """Small, unless settings say otherwise."""
        usual = {"head_rows": 64, "compact_fan_in": 2, "head_age_s": 60.0}
        config = self.config(**{**usual, **settings})
        small = replace(self.definition, group_rows=15)
        return DiskTable(config, small, directory=folder, files=files or UnsyncedFiles())

    def batch(
        self,
        *times_ns: int,
        seed: int = 1,
        tenant: str = DEFAULT_TENANT,
        origins: Sequence[Origin] = ORIGINS,
    ) -> Any:
        """Rows of these times, all else by chance."""
        made = {"logs": _logs, "spans": _spans, "histograms": _histograms, "exemplars": _exemplars}
        batch: Any = made[self.name](list(times_ns), np.random.default_rng(seed), origins)
        return replace(batch, tenant=TenantId(tenant))


CASES = [Case(LOGS, LogsConfig), Case(SPANS, SpansConfig)]
DETAILS = [Case(HISTOGRAMS, HistogramsConfig), Case(EXEMPLARS, ExemplarsConfig)]

_WORDS = "the order was Refused by bank card 4711 payment-gateway timeout after 30ms Zahlung größer"


def _text(rng: np.random.Generator, n: int) -> Any:
    """Lines of a few words; some are empty, and one in a while is no UTF-8."""
    words = [word.encode() for word in _WORDS.split()] + [b"\xff\xfe"]
    return texts(
        b" ".join(words[i] for i in rng.integers(0, len(words), rng.integers(0, 7)))
        for _ in range(n)
    )


def _attributes(rng: np.random.Generator, n: int) -> Any:
    return texts(
        b"" if kind == 0 else b'{"code":"%d","host":"of the row"}' % kind
        for kind in rng.integers(0, 4, n).tolist()
    )


def _ids(rng: np.random.Generator, n: int) -> Any:
    """Few, so that several rows have the same; sometimes none."""
    return rng.integers(0, 5, (n, 2)).astype(np.uint64)


def _logs(times: list[int], rng: np.random.Generator, origins: Sequence[Origin]) -> LogBatch:
    n = len(times)
    return LogBatch(
        origins=tuple(origins),
        origin=rng.integers(0, len(origins), n).astype(np.int32),
        time_ns=np.array(times, np.int64),
        severity=rng.integers(0, 25, n).astype(np.uint8),
        trace=_ids(rng, n),
        span=rng.integers(0, 1 << 63, n).astype(np.uint64) * np.uint64(2),
        template=rng.integers(0, 3, n).astype(np.uint64),
        body=_text(rng, n),
        attributes=_attributes(rng, n),
    )


def _spans(times: list[int], rng: np.random.Generator, origins: Sequence[Origin]) -> SpanBatch:
    n = len(times)
    return SpanBatch(
        origins=tuple(origins),
        origin=rng.integers(0, len(origins), n).astype(np.int32),
        start_ns=np.array(times, np.int64),
        duration_ns=rng.integers(0, 10 * S, n),
        trace=_ids(rng, n),
        span=rng.integers(1, 1 << 63, n).astype(np.uint64),
        parent=rng.integers(0, 3, n).astype(np.uint64),
        kind=rng.integers(0, 6, n).astype(np.uint8),
        status=rng.integers(0, 3, n).astype(np.uint8),
        name=_text(rng, n),
        message=_text(rng, n),
        attributes=_attributes(rng, n),
        events=_text(rng, n),
        links=_text(rng, n),
    )


def _histograms(
    times: list[int], rng: np.random.Generator, origins: Sequence[Origin]
) -> HistogramRows:
    n = len(times)
    return HistogramRows(
        origins=tuple(origins),
        origin=rng.integers(0, len(origins), n).astype(np.int32),
        time_ns=np.array(times, np.int64),
        series=_ids(rng, n),
        payload=_text(rng, n),
    )


def _exemplars(
    times: list[int], rng: np.random.Generator, origins: Sequence[Origin]
) -> ExemplarRows:
    n = len(times)
    return ExemplarRows(
        origins=tuple(origins),
        origin=rng.integers(0, len(origins), n).astype(np.int32),
        time_ns=np.array(times, np.int64),
        value=rng.normal(size=n),
        trace=_ids(rng, n),
        attributes=_attributes(rng, n),
    )


def everything(**fields: Any) -> RowQuery:
    """All rows of the usual tenant, unless told otherwise."""
    usual = {"tenant": DEFAULT_TENANT, "start_ns": -(2**62), "end_ns": 2**62, "limit": 100_000}
    return RowQuery(**{**usual, **fields})


def rows(batch: RowBatch | DetailRows) -> list[Row]:
    """What can be compared, whatever a batch's origins are numbered."""
    found = []
    for i in range(len(batch)):
        numbers = (
            tuple(np.atleast_1d(getattr(batch, name)[i]).tolist())
            for name in batch.COLUMNS
            if name != "origin"
        )
        told = tuple(getattr(batch, name)[i] for name in batch.TEXTS)
        found.append((*numbers, *told, batch.origins[batch.origin[i]]))
    return found


def read(table: DiskTable[Any], **fields: Any) -> list[Row]:
    """What a search finds; its numbers must tell the same order."""
    found = table.search(everything(**fields))
    check(found, table)
    return rows(found.batch)


def check(found: Found[Any], table: DiskTable[Any]) -> None:
    """Newest first, and no row twice."""
    times = getattr(found.batch, _time(found.batch)).tolist()
    order = list(zip(times, found.number.tolist(), strict=True))
    assert order == sorted(order, reverse=True)
    assert len(set(found.number.tolist())) == len(order)


def _time(batch: RowBatch | DetailRows) -> str:
    return "start_ns" if isinstance(batch, SpanBatch) else "time_ns"


def newest_first(*batches: RowBatch | DetailRows) -> list[Row]:
    """The rows of batches in the order of their coming, as a table must answer them."""
    told = [(int(time_ns), number, row) for number, (time_ns, row) in enumerate(_timed(batches))]
    return [row for _, _, row in sorted(told, key=lambda one: one[:2], reverse=True)]


def _timed(batches: Sequence[RowBatch | DetailRows]) -> Iterator[tuple[int, Row]]:
    for batch in batches:
        yield from zip(getattr(batch, _time(batch)).tolist(), rows(batch), strict=True)
