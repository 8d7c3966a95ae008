"""How causes are scored, and how labelled cases are read from files."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quality import causes, nezha, petshop, rcd
from quality.causes import Answer, Labelled
from quality.suite import Options, Unmeasurable
from watchkeeper.model.case import Case
from watchkeeper.model.cause import Cause, Ranking


def answer(truth: str, *ranked: str, p: float = 0.9) -> Answer:
    found = Ranking(tuple(Cause(one, p / (at + 1), 1.0) for at, one in enumerate(ranked)))
    return Answer(truth, "all", truth, found, 5.0)


def test_shares_count_the_place_of_the_truth() -> None:
    found = causes.figures(
        [answer("a", "a", "b"), answer("b", "a", "b"), answer("c", "a", "b"), answer("d")]
    )

    assert (found["top1"], found["top3"], found["points"]) == (0.25, 0.5, 4.0)
    assert found["avg5"] == pytest.approx((0.25 + 4 * 0.5) / 5)
    assert found["p95_ms"] == 5.0


def test_the_surest_half_is_judged_by_itself() -> None:
    found = causes.figures([answer("a", "a", p=0.9), answer("b", "a", p=0.2)])

    assert found["precision_at_half"] == 1.0


def test_a_probability_that_is_what_happens_has_no_error() -> None:
    p = np.array([0.5] * 10)
    right = np.array([True, False] * 5)

    assert causes.calibration_error(p, right, 1) == pytest.approx(0.0)
    assert causes.calibration_error(p + 0.4, right, 1) == pytest.approx(0.4)


def test_without_cases_nothing_is_measured() -> None:
    with pytest.raises(Unmeasurable, match="no case"):
        causes.figures([])


def test_a_case_of_nothing_is_answered_with_nothing() -> None:
    (found,) = causes.answers([Labelled("empty", Case(("a",)), "a")])

    assert found.place > 5
    assert found.probability == 0.0


def test_series_of_services_are_read_by_the_names_of_their_columns(tmp_path: Path) -> None:
    n = 40
    calm = np.random.default_rng(1).normal(5.0, 0.1, (2, n))
    is_now = np.arange(n) >= 30
    table = {
        "case": ["one-cpu/1"] * n,
        "anomalous": is_now.astype(np.int8),
        "time": np.arange(n),
        "one_cpu": np.where(is_now, 90.0, calm[0]),
        "two_cpu": calm[1],
    }
    pq.write_table(pa.table(table), tmp_path / "cases.parquet")

    found, _ = rcd.run(Options(data=tmp_path))

    assert (found["top1"], found["points"]) == (1.0, 1.0)


def write_table(
    file: Path, heads: Sequence[tuple[str, str, str]], rows: Sequence[Sequence[float]]
) -> None:
    with gzip.open(file, "wt", encoding="utf-8", newline="") as opened:
        out = csv.writer(opened)
        for level, name in enumerate(("microservice", "metric", "statistic")):
            out.writerow([name, *(head[level] for head in heads)])
        out.writerow(["unix_timestamp", *("" for _ in heads)])
        out.writerows([[at * 300, *row] for at, row in enumerate(rows)])


def test_aggregates_of_nodes_are_read_with_who_calls_whom(tmp_path: Path) -> None:
    load = tmp_path / "load"
    load.mkdir()
    kinds = (("requests", "Sum"), ("latency", "Average"), ("availability", "Average"))
    heads = [(node, *kind) for node in ("site", "shop") for kind in kinds]
    (load / "graph.csv").write_text(",site,shop\nsite,0.0,1.0\nshop,0.0,0.0\n")
    calm = [[90, 0.1 + n % 3 / 1e3, 100, 90, 0.05 + n % 2 / 1e3, 100] for n in range(30)]
    write_table(load / "noissue_metrics.csv.gz", heads, calm)
    write_table(load / "issue_0_metrics.csv.gz", heads, [[90, 0.9, 100, 90, 0.85, 100]] * 5)
    label = {
        "case": "load/issue_0",
        "target": {"node": "site", "metric": "latency"},
        "root_cause": {"node": "shop"},
    }
    (tmp_path / "labels.json").write_text(json.dumps([label]))

    found, _ = petshop.run(Options(data=tmp_path))

    assert (found["top1"], found["points"]) == (1.0, 1.0)


def spans(minute: int, own_us: int) -> list[tuple[object, ...]]:
    """Twenty requests: the front waits for the back, which takes some time itself."""
    return [
        row
        for trace in range(20)
        for row in (
            (minute, trace, 0, -1, "front-1-a", "get", 0, own_us + 3_000),
            (minute, trace, 1, 0, "front-1-a", "call", 1_000, own_us + 1_000),
            (minute, trace, 2, 1, "back-1-a", "serve", 1_500, own_us),
        )
    ]


def test_spans_lines_and_metrics_are_read_by_minute(tmp_path: Path) -> None:
    columns = ("minute", "trace", "span", "parent", "pod", "operation", "start_us", "duration_us")
    rows = zip(*spans(0, 2_000), *spans(600, 90_000), strict=True)
    pq.write_table(
        pa.table(dict(zip(columns, map(list, rows), strict=True))), tmp_path / "traces_a.parquet"
    )
    log = {
        "minute": [0] * 9 + [600] * 9,
        "time_ms": list(range(18)),
        "pod": ["back-1-a"] * 18,
        "trace": [*range(9), *range(9)],
        "span": [2] * 18,
        "message": ["INFO  - served 5"] * 9 + ['{"message":"lost","severity":"error"}'] * 9,
    }
    pq.write_table(pa.table(log), tmp_path / "logs.parquet")
    times = list(range(0, 780, 60))
    busy = [2.0 if at < 600 else 900.0 for at in times]
    metrics = {"pod": ["back-1-a"] * len(times), "time": times, "CpuUsage(m)": busy}
    pq.write_table(pa.table(metrics), tmp_path / "metrics.parquet")
    case = {
        "case": "1",
        "system": "a",
        "fault": "cpu",
        "injected": 590,
        "root_service": "back",
        "minutes": [600],
        "baseline": [0],
    }
    (tmp_path / "cases.json").write_text(json.dumps([case]))

    (labelled,) = nezha.labelled_cases(tmp_path, [case])
    found, _ = nezha.run(Options(data=tmp_path))

    assert labelled.case.names == ("back", "front")
    assert len(labelled.case.spans) == len(labelled.case.spans_before) == 60
    assert set(labelled.case.lines.severity.tolist()) == {17}
    assert labelled.case.metrics[0].now.tolist() == [[0.9, 0.9]]
    assert found["top1"] == 1.0
