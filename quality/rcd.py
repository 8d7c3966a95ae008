"""Causes by metrics alone, after Ikram et al. (NeurIPS 2022).

A Parquet file with the columns `case` (`<service>-<fault>/<number>`), `anomalous`, `time`, and a
column per series, `<service>_<metric>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quality import causes
from quality.causes import Labelled
from quality.data import folder_for
from quality.suite import Measured, Options, Unmeasurable
from watchkeeper.analyze.classes import classify, unit_of
from watchkeeper.model.case import Case, MetricMatrix, MetricRow
from watchkeeper.model.series import METRIC_NAME, Kind

TARGETS: Final = {"top1": (">=", 0.98), "avg5": (">=", 0.99), "p95_ms": ("<=", 1_000.0)}
KEPT: Final = causes.KEPT
TOLD: Final = {"case", "anomalous", "time"}


def run(options: Options) -> Measured:
    folder = folder_for("rcd_sockshop", options.data)
    cases = list(labelled_cases(folder))
    return causes.figures(list(causes.answers(cases[::10] if options.quick else cases))), []


def labelled_cases(folder: Path) -> Iterator[Labelled]:
    files = [
        one for one in sorted(folder.glob("*.parquet")) if set(pq.read_schema(one).names) > TOLD
    ]
    if not files:
        raise Unmeasurable(f"no Parquet file in {folder} has the columns {sorted(TOLD)}")
    table = pa.concat_tables([pq.read_table(one) for one in files])
    series = sorted(set(table.column_names) - TOLD)
    names = tuple(sorted({one.partition("_")[0] for one in series}))
    rows = tuple(_row(names, one) for one in series)
    for case in pc.unique(table["case"]).to_pylist():
        own = table.filter(pc.equal(table["case"], case)).sort_by("time")
        values = np.stack([own[one].to_numpy().astype(np.float64) for one in series])
        is_now = own["anomalous"].to_numpy() != 0
        matrix = MetricMatrix(rows, values[:, ~is_now], values[:, is_now], 1.0)
        truth, _, fault = case.partition("/")[0].rpartition("-")
        yield Labelled(
            case, Case(names, metrics=(matrix,), healthy_s=float((~is_now).sum())), truth, fault
        )


def _row(names: tuple[str, ...], series: str) -> MetricRow:
    service, _, metric = series.partition("_")
    told = classify({METRIC_NAME: metric}, Kind.GAUGE)
    return MetricRow(names.index(service), metric, told, unit_of(metric))
