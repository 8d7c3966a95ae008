"""Log lines and series as a case holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.telling import lines_of
from watchkeeper.analyze.gathering.lines import LineReader
from watchkeeper.analyze.gathering.metrics import (
    MOST_SERIES,
    STEP_NS,
    Answered,
    about,
    earliest_ns,
    matrix,
    questions,
)
from watchkeeper.analyze.gathering.stretch import Stretch
from watchkeeper.analyze.gathering.words import Words
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.base import Fold, Frame
from watchkeeper.lake.tables.sources import fitting
from watchkeeper.model.case import MetricMatrix
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import DEFAULT_TENANT

BEGIN = make.START_NS // STEP_NS * STEP_NS
BEFORE = Stretch(BEGIN, BEGIN + 10 * STEP_NS)
NOW = Stretch(BEGIN + 10 * STEP_NS, BEGIN + 14 * STEP_NS)
CPU = {"__name__": "cpu_usage", "service": "shop", "host": "pi"}


def frame(when: Stretch, *rows: tuple[Mapping[str, str], Sequence[float]]) -> Frame:
    """Each series a value in every step, from the first on."""
    n = [len(values) for _, values in rows]
    return Frame(
        tuple(dict(labels) for labels, _ in rows),
        np.repeat(np.arange(len(rows), dtype=np.int32), n),
        np.concatenate([when.start_ns + STEP_NS * np.arange(k) for k in n] or [np.empty(0)]).astype(
            np.int64
        ),
        np.array([value for _, values in rows for value in values], np.float64),
    )


def gathered(*answers: Answered, wanted: Sequence[str] = ("shop",)) -> tuple[Any, Words]:
    names = Words()
    found = matrix(answers, names, entity_of=Enrich(), wanted=wanted, before=BEFORE, now=NOW)
    return found, names


def test_both_stretches_of_a_series_are_one_row_of_one_grid() -> None:
    answer = Answered(Fold.AVG, frame(BEFORE, (CPU, [1.0] * 10)), frame(NOW, (CPU, [9.0, 8.0])))

    found, names = gathered(answer)

    assert isinstance(found, MetricMatrix)
    (row,) = found.rows
    assert (names.all[row.node], row.name, row.metric_class) == (
        "shop",
        "cpu_usage",
        MetricClass.RESOURCE,
    )
    assert found.before[0, :10].tolist() == [1.0] * 10
    assert found.now[0, :2].tolist() == [9.0, 8.0]
    assert np.isnan(found.now[0, 2:]).all()


def test_a_series_that_fell_silent_or_is_new_has_a_side_without_values() -> None:
    new = {**CPU, "__name__": "retries"}

    found, _ = gathered(Answered(Fold.AVG, frame(BEFORE, (CPU, [1.0])), frame(NOW, (new, [3.0]))))

    assert [row.name for row in found.rows] == ["cpu_usage", "retries"]
    assert np.isnan(found.now[0]).all()
    assert np.isnan(found.before[1]).all()


def test_a_series_of_the_host_alone_speaks_of_the_host() -> None:
    host = {"__name__": "node_load1", "job": "node", "host": "pi"}

    found, names = gathered(
        Answered(Fold.AVG, frame(BEFORE, (host, [1.0])), frame(NOW)), wanted=("shop", "pi")
    )

    assert [names.all[row.node] for row in found.rows] == ["pi"]


def test_a_series_of_nobody_who_is_asked_for_is_left_out() -> None:
    other = {"__name__": "cpu_usage", "service": "bank", "team": "shop"}

    found, _ = gathered(Answered(Fold.AVG, frame(BEFORE, (other, [1.0])), frame(NOW)))

    assert found is None


def test_a_series_that_two_labels_find_is_one_row() -> None:
    answer = Answered(Fold.AVG, frame(BEFORE, (CPU, [1.0])), frame(NOW, (CPU, [2.0])))

    found, _ = gathered(answer, answer)

    assert len(found.rows) == 1


def test_there_are_no_more_rows_than_are_bearable() -> None:
    many = [({**CPU, "core": str(n)}, [1.0]) for n in range(MOST_SERIES + 5)]

    found, _ = gathered(Answered(Fold.AVG, frame(BEFORE, *many), frame(NOW)))

    assert len(found.rows) == MOST_SERIES


@pytest.mark.parametrize(
    ("name", "fold", "unit", "metric_class"),
    [
        ("process_cpu_seconds_total", Fold.RATE, "ratio", MetricClass.RESOURCE),
        ("request_duration_seconds", Fold.AVG, "s", MetricClass.LATENCY),
        ("request_duration_milliseconds", Fold.AVG, "ms", MetricClass.LATENCY),
        ("memory_usage_bytes", Fold.AVG, "bytes", MetricClass.RESOURCE),
        ("receive_bytes_total", Fold.RATE, "", MetricClass.RESOURCE),
        ("disk_used_percent", Fold.AVG, "%", MetricClass.RESOURCE),
        ("http_errors_total", Fold.RATE, "", MetricClass.ERRORS),
    ],
)
def test_unit_and_class_follow_from_the_name_and_from_how_it_was_folded(
    name: str, fold: Fold, unit: str, metric_class: MetricClass
) -> None:
    labels = {**CPU, "__name__": name}

    found, _ = gathered(Answered(fold, frame(BEFORE, (labels, [1.0])), frame(NOW)))

    assert (found.rows[0].unit, found.rows[0].metric_class) == (unit, metric_class)


def asked(*names: str) -> dict[str, Sequence[str]]:
    """Which of these metrics are asked for, by how they are folded."""
    whose = about(DEFAULT_TENANT, "service", {"shop", "a.b"}, BEFORE)
    found = questions([{"__name__": one} for one in names], whose, BEFORE, NOW)
    return {
        one.fold.value: [
            name
            for name, fits in zip(names, fitting(one.now.matchers[-1], names), strict=True)
            if fits
        ]
        for one in found
    }


def test_counters_are_asked_for_as_rates_and_all_else_as_it_is() -> None:
    assert asked("cpu_usage", "x_total", "x:p95") == {
        "rate": ["x_total"],
        "avg": ["cpu_usage", "x:p95"],
    }


def test_parts_of_histograms_are_left_out_and_what_only_counts_something_stays() -> None:
    names = ("x_bucket", "x_sum", "x_count", "y_sum", "y_count", "process_thread_count")

    assert asked(*names) == {"avg": ["process_thread_count"]}


def test_where_there_are_no_series_nothing_is_asked() -> None:
    assert asked() == {}
    assert asked("x_sum", "x_count") == {}


def test_it_is_asked_of_both_stretches_and_of_whom_it_is_about() -> None:
    whose = about(DEFAULT_TENANT, "service", {"shop", "a.b"}, BEFORE)

    (one,) = questions([CPU], whose, BEFORE, NOW)

    assert one.before.matchers[0].value == "a\\.b|shop"
    assert (one.before.start_ns, one.before.end_ns) == (BEFORE.start_ns, BEFORE.end_ns)
    assert (one.now.start_ns, one.now.end_ns) == (NOW.start_ns, NOW.end_ns)
    assert one.now.step_ns == STEP_NS


def test_what_was_made_of_spans_is_not_asked_for_again() -> None:
    whose = about(DEFAULT_TENANT, "service", {"shop"}, BEFORE)

    assert fitting(whose.matchers[1], ["", "buckets", "spans"]).tolist() == [True, True, False]


def test_how_long_it_is_known_is_told_by_the_first_value_of_before() -> None:
    late = Frame((CPU,), np.zeros(1, np.int32), np.array([BEGIN + 99]), np.ones(1))

    assert earliest_ns([Answered(Fold.AVG, late, frame(NOW))]) == BEGIN + 99
    assert earliest_ns([Answered(Fold.AVG, frame(BEFORE), frame(NOW))]) is None


def test_lines_that_differ_in_their_numbers_have_one_template_and_its_text() -> None:
    names = Words()
    reader = LineReader(names)
    told = lines_of(("shop", "order 17 refused", 1), ("shop", "order 4711 refused", 1))

    found = reader.templated(reader.read([told, lines_of(("bank", "closed", 2))]))

    assert reader.texts() == ("closed", "order <*> refused")
    assert found.template.tolist() == [1, 1, 0, 0]
    assert [names.all[one] for one in found.service] == ["shop", "shop", "bank", "bank"]


def test_templates_have_the_same_places_in_whatever_order_they_came() -> None:
    one, other = lines_of(("shop", "b", 1)), lines_of(("shop", "a", 1))

    found = []
    for order in ((one, other), (other, one)):
        reader = LineReader(Words())
        lines = reader.read(order)
        found.append([reader.texts()[at] for at in reader.templated(lines).template])

    assert found == [["b", "a"], ["a", "b"]]


def test_a_line_has_the_number_of_its_trace_and_minus_one_without() -> None:
    reader = LineReader(Words())

    found = reader.read([lines_of(("shop", "a", 1)), lines_of(("shop", "a", 1), trace=7)])

    assert found.trace[0] == -1
    assert found.trace[1] >= 0


def test_lines_of_nobody_are_left_out_and_no_lines_are_none() -> None:
    reader = LineReader(Words())

    assert len(reader.read([lines_of(("", "a", 3))])) == 0
    assert len(reader.templated(reader.read([]))) == 0
