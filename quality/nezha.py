"""Causes by spans, lines and metrics together, after Yu et al. (FSE 2023).

`cases.json` names cause, minutes and fault-free minutes of each case; `traces_*.parquet`,
`logs.parquet` and `metrics.parquet` hold what came, by minute and pod. Names of pods are those of
their services and two more words. As the authors do, all fault-free minutes of a system are what it
was before, whenever they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quality import causes
from quality.causes import Labelled
from quality.data import folder_for
from quality.suite import Measured, Options
from watchkeeper.analyze.classes import classify, unit_of
from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.case import Case, LineColumns, MetricMatrix, MetricRow, SpanColumns
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.row import texts
from watchkeeper.model.series import I32, METRIC_NAME, Kind
from watchkeeper.model.severity import severity_of
from watchkeeper.model.template import fingerprints

TARGETS: Final = {
    "top1": (">=", 0.80),
    "top3": (">=", 0.88),
    "precision_at_half": (">=", 0.95),
    "p95_ms": ("<=", 1_000.0),
}
KEPT: Final = (*causes.KEPT, "precision_at_half")
MAX_SPANS: Final = 1 << 24
"""In one trace of one minute; traces are counted anew each minute."""
BEFORE_S, AFTER_S = (-1_500, -5), (20, 170)
"""Beside the injection: what metrics are compared."""
UNITS: Final = {"m": ("cores", 1e-3), "Mi": ("bytes", 2.0**20), "%": ("%", 1.0), "s": ("s", 1.0)}
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LEVEL: Final = re.compile(r"\s*(?:\{.*\"severity\":\")?([A-Za-z]+)")


def run(options: Options) -> Measured:
    folder = folder_for("nezha", options.data)
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    found = labelled_cases(folder, cases[::8] if options.quick else cases)
    return causes.figures(list(causes.answers(found))), []


def labelled_cases(folder: Path, cases: Sequence[Mapping[str, Any]]) -> Iterator[Labelled]:
    told = _Told(folder)
    baselines: dict[str, set[int]] = {}
    for one in cases:
        baselines.setdefault(one["system"], set()).update(one["baseline"])
    for one in cases:
        before, now = sorted(baselines[one["system"]]), one["minutes"]
        case = Case(
            told.names,
            operations=told.operations,
            templates=told.templates,
            spans=told.spans(now),
            spans_before=told.spans(before),
            lines=told.lines(now),
            lines_before=told.lines(before),
            metrics=told.metrics(one["injected"]),
            healthy_s=60.0 * len(before),
        )
        yield Labelled(one["case"], case, one["root_service"], f"{one['system']}, {one['fault']}")


@cache
def _service(pod: str) -> str:
    return pod.rsplit("-", 2)[0]


class _Told:
    """All that is in the folder, by minute when it is asked for."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("traces_*.parquet"))
        self._traces = pa.concat_tables([pq.read_table(one) for one in files])
        self._logs = pq.read_table(folder / "logs.parquet")
        self._metrics = pq.read_table(folder / "metrics.parquet")
        tables = (self._traces, self._logs, self._metrics)
        pods = {pod for table in tables for pod in pc.unique(table["pod"]).to_pylist()}
        self.names = tuple(sorted({_service(pod) for pod in pods}))
        self._place = {pod: self.names.index(_service(pod)) for pod in pods}
        self.operations = tuple(sorted(pc.unique(self._traces["operation"]).to_pylist()))
        self._operation = {name: at for at, name in enumerate(self.operations)}

    @cached_property
    def _read(self) -> _Lines:
        return _lines(self._services(self._logs), self._logs["message"].to_pylist())

    @property
    def templates(self) -> tuple[str, ...]:
        return self._read.templates

    def spans(self, minutes: Sequence[int]) -> SpanColumns:
        of = self._traces.filter(pc.is_in(self._traces["minute"], pa.array(minutes, pa.int32())))
        minute = of["minute"].to_numpy().astype(np.int64)
        parent = of["parent"].to_numpy().astype(np.int64)
        trace = minute * MAX_SPANS + of["trace"].to_numpy()
        n = len(of)
        return SpanColumns(
            trace,
            of["span"].to_numpy().astype(np.uint64) + 1,
            np.where(parent == -1, 0, np.where(parent < 0, MAX_SPANS, parent + 1)).astype(
                np.uint64
            ),
            self._services(of),
            _places(of["operation"], self._operation),
            np.full(n, -1, np.int32),
            np.zeros(n, np.uint8),
            np.zeros(n, np.bool_),
            minute * NS_PER_S + of["start_us"].to_numpy().astype(np.int64) * 1_000,
            of["duration_us"].to_numpy().astype(np.int64) * 1_000,
        )

    def lines(self, minutes: Sequence[int]) -> LineColumns:
        chosen = pc.is_in(self._logs["minute"], pa.array(minutes, pa.int32()))
        rows = np.flatnonzero(chosen.to_numpy())
        of = self._logs.take(rows)
        minute = of["minute"].to_numpy().astype(np.int64)
        trace = of["trace"].fill_null(-1).to_numpy().astype(np.int64)
        return LineColumns(
            self._services(of),
            self._read.template[rows],
            np.where(trace < 0, -1, minute * MAX_SPANS + trace),
            self._read.severity[rows],
            minute * NS_PER_S + of["time_ms"].to_numpy().astype(np.int64) * 1_000_000,
        )

    def metrics(self, injected: int) -> tuple[MetricMatrix, ...]:
        told = [one for one in self._metrics.column_names if one not in ("pod", "time")]
        of_pods = [one for one in told if not one.startswith("Node")]
        since = self._metrics["time"].to_numpy() - injected
        near = self._metrics.filter(pa.array((since > BEFORE_S[0]) & (since < AFTER_S[1])))
        found = []
        for pod in sorted(pc.unique(near["pod"]).to_pylist()):
            of = near.filter(pc.equal(near["pod"], pod)).sort_by("time")
            since = of["time"].to_numpy() - injected
            rows = [_metric(self._place[pod], name) for name in of_pods]
            values = np.stack(
                [
                    of[name].to_numpy() * scale
                    for name, (_, scale) in zip(of_pods, rows, strict=True)
                ]
            )
            found.append(
                MetricMatrix(
                    tuple(row for row, _ in rows),
                    values[:, since < BEFORE_S[1]].astype(np.float64),
                    values[:, since > AFTER_S[0]].astype(np.float64),
                )
            )
        return tuple(found)

    def _services(self, of: pa.Table) -> I32:
        return _places(of["pod"], self._place)


def _places(column: Any, place: Mapping[str, int]) -> I32:
    encoded = column.combine_chunks().dictionary_encode()
    places = np.array([place[one] for one in encoded.dictionary.to_pylist()], np.int32)
    found: I32 = places[encoded.indices.to_numpy()]
    return found


def _metric(node: int, column: str) -> tuple[MetricRow, float]:
    """`CpuUsage(m)` is cpu_usage in thousandths."""
    name, _, unit = column.rstrip(")").partition("(")
    known, scale = UNITS.get(unit, (unit_of(name), 1.0))
    words = _CAMEL.sub("_", name).lower()
    told = MetricClass.TRAFFIC if unit == "Ops" else classify({METRIC_NAME: words}, Kind.GAUGE)
    return MetricRow(node, words, told, known), scale


@dataclass(frozen=True, slots=True)
class _Lines:
    templates: tuple[str, ...]
    template: I32
    severity: Any


def _lines(service: I32, messages: Sequence[str]) -> _Lines:
    """Templates as the product has them once it has seen all lines."""
    prints = fingerprints(texts(one.encode() for one in messages)).tolist()
    groups: dict[int, Groups] = {}
    for node, seen, message in zip(service.tolist(), prints, messages, strict=True):
        group = groups.setdefault(node, Groups(TemplatesConfig()))
        if not group.knows(seen):
            group.meet(seen, message)
    for group in groups.values():
        group.merge()
    ids = [
        groups[node].template_of(seen) for node, seen in zip(service.tolist(), prints, strict=True)
    ]
    known = sorted(set(ids))
    place = {one: at for at, one in enumerate(known)}
    return _Lines(
        tuple(str(one) for one in known),
        np.array([place[one] for one in ids], np.int32),
        np.array([_severity(one) for one in messages], np.uint8),
    )


def _severity(message: str) -> int:
    found = _LEVEL.match(message)
    return severity_of(found.group(1)) if found else 0
