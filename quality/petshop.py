"""Causes of lost calls by aggregates every five minutes, after Hardt et al. (CLeaR 2024).

A folder per load with `graph.csv` (a matrix of who calls whom), `noissue_metrics.csv.gz` and
`issue_<n>_metrics.csv.gz`: columns by node, metric and statistic; and `labels.json` beside them.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from quality import causes
from quality.causes import Labelled
from quality.data import folder_for
from quality.suite import Measured, Options
from watchkeeper.model.case import CallRates, Case, Symptom
from watchkeeper.model.series import F64
from watchkeeper.model.topology import Edge, EdgeOrigin, Topology

TARGETS: Final = {"top1": (">=", 0.93), "top3": (">=", 1.0), "p95_ms": ("<=", 1_000.0)}
KEPT: Final = causes.KEPT
SYMPTOMS: Final = {"latency": Symptom.LATENCY, "availability": Symptom.ERRORS}
MEAN: Final = "Average"
STEP_S: Final = 300.0


def run(options: Options) -> Measured:
    folder = folder_for("petshop", options.data)
    cases = list(labelled_cases(folder))
    return causes.figures(list(causes.answers(cases[::4] if options.quick else cases))), []


def labelled_cases(folder: Path) -> Iterator[Labelled]:
    for label in json.loads((folder / "labels.json").read_text(encoding="utf-8")):
        load, issue = label["case"].split("/")
        graph = _graph(folder / load / "graph.csv")
        before = _table(folder / load / "noissue_metrics.csv.gz")
        now = _table(folder / load / f"{issue}_metrics.csv.gz")
        target = label["target"]
        symptom = SYMPTOMS[target["metric"]]
        names = tuple(sorted({*graph.names, *(node for node, *_ in (*before, *now))}))
        case = Case(
            names,
            healthy_s=STEP_S * len(next(iter(before.values()))),
            entry=target["node"],
            symptom=symptom,
            rates=_rates(names, before, now),
            topology=graph,
        )
        group = f"{load}, {symptom}"
        yield Labelled(label["case"], case, label["root_cause"]["node"], group)


Table = dict[tuple[str, str, str], F64]


def _table(file: Path) -> Table:
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        rows = list(csv.reader(opened))
    values = np.array([[float(x) if x else np.nan for x in row[1:]] for row in rows[4:]])
    heads = zip(rows[0][1:], rows[1][1:], rows[2][1:], strict=True)
    found: Table = {}
    for at, head in enumerate(heads):
        found.setdefault(head, values[:, at])
    return found


def _graph(file: Path) -> Topology:
    with file.open(encoding="utf-8") as opened:
        head, *rows = csv.reader(opened)
    edges = [
        Edge(row[0], target, origin=EdgeOrigin.DECLARED)
        for row in rows
        for target, told in zip(head[1:], row[1:], strict=True)
        if float(told)
    ]
    return Topology(edges=tuple(edges))


def _rates(names: tuple[str, ...], before: Table, now: Table) -> CallRates:
    nodes = [name for name in names if (name, "requests", "Sum") in now]

    def of(table: Table, metric: str, statistic: str) -> F64:
        n = len(next(iter(table.values())))
        missing = np.full(n, np.nan)
        return np.stack([table.get((name, metric, statistic), missing) for name in nodes])

    return CallRates(
        np.array([names.index(one) for one in nodes], np.int32),
        of(before, "requests", "Sum"),
        of(before, "latency", MEAN),
        1.0 - of(before, "availability", MEAN) / 100.0,
        of(now, "requests", "Sum"),
        of(now, "latency", MEAN),
        1.0 - of(now, "availability", MEAN) / 100.0,
    )
