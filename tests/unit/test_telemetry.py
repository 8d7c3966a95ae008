"""Our own metrics and log lines."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from watchkeeper import telemetry
from watchkeeper.telemetry import Counter, Gauge, Histogram, Log, LogConfig, Secret


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Where log lines go; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_counter_adds_up_by_label() -> None:
    bodies = Counter("watchkeeper_test_bodies_total", "Bodies.", ("protocol",))

    bodies.add(1, "otlp")
    bodies.add(2, "otlp")
    bodies.add(5, "remote_write")

    assert bodies.value("otlp") == 3
    assert list(bodies.lines()) == [
        'watchkeeper_test_bodies_total{protocol="otlp"} 3',
        'watchkeeper_test_bodies_total{protocol="remote_write"} 5',
    ]


def test_a_counter_without_labels_is_there_before_it_counts() -> None:
    assert list(Counter("watchkeeper_test_drops_total", "Drops.").lines()) == [
        "watchkeeper_test_drops_total 0"
    ]


def test_counts_of_many_threads_are_all_kept() -> None:
    hits = Counter("watchkeeper_test_hits_total", "Hits.")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: [hits.add() for _ in range(1000)], range(8)))

    assert hits.value() == 8000


def test_label_sets_are_bounded_and_the_rest_is_counted_as_other() -> None:
    hits = Counter("watchkeeper_test_hits_total", "Hits.", ("who",))

    for n in range(telemetry.MAX_LABEL_SETS + 50):
        hits.add(1, str(n))

    assert len(list(hits.lines())) == telemetry.MAX_LABEL_SETS + 1
    assert hits.value(telemetry.OTHER) == 50


def test_labels_that_were_not_announced_are_refused() -> None:
    hits = Counter("watchkeeper_test_hits_total", "Hits.", ("who",))

    with pytest.raises(ValueError, match="takes labels"):
        hits.add(1)


def test_a_gauge_is_what_it_was_last_set_to() -> None:
    waiting = Gauge("watchkeeper_test_waiting_bytes", "Waiting.")

    waiting.set(5.5)
    waiting.add(-1)

    assert list(waiting.lines()) == ["watchkeeper_test_waiting_bytes 4.5"]


def test_a_gauge_may_be_no_number() -> None:
    waiting = Gauge("watchkeeper_test_waiting_bytes", "Waiting.", ("which",))

    for value in (float("nan"), float("inf"), float("-inf")):
        waiting.set(value, str(value))

    assert [line.split()[1] for line in waiting.lines()] == ["NaN", "+Inf", "-Inf"]


def test_a_histogram_counts_at_and_below_each_bound() -> None:
    took = Histogram("watchkeeper_test_took_s", "Took.", (0.1, 1.0), ("step",))

    for value in (0.1, 0.5, 7.0):
        took.observe(value, "flush")

    assert list(took.lines()) == [
        'watchkeeper_test_took_s_bucket{step="flush",le="0.1"} 1',
        'watchkeeper_test_took_s_bucket{step="flush",le="1"} 2',
        'watchkeeper_test_took_s_bucket{step="flush",le="+Inf"} 3',
        'watchkeeper_test_took_s_sum{step="flush"} 7.6',
        'watchkeeper_test_took_s_count{step="flush"} 3',
    ]
    assert took.count("flush") == 3


def test_label_values_are_escaped() -> None:
    hits = Counter("watchkeeper_test_hits_total", "Hits.", ("who",))

    hits.add(1, 'a"b\\c\nd')

    assert list(hits.lines()) == [r'watchkeeper_test_hits_total{who="a\"b\\c\nd"} 1']


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("watchkeeper_test_hits", "ends with _total"),
        ("hits_total", "not of the form"),
        ("watchkeeper_Test_hits_total", "not of the form"),
    ],
)
def test_a_name_out_of_form_is_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        telemetry.counter(name, "Hits.")


def test_a_label_out_of_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no names of labels"):
        telemetry.counter("watchkeeper_test_hits_total", "Hits.", ("Who?",))


def test_registered_metrics_are_rendered_once_with_help_and_type() -> None:
    name = "watchkeeper_test_rendered_total"
    telemetry.counter(name, "Shown\nhere.").add(2)

    text = telemetry.render()

    assert f"# HELP {name} Shown\\nhere.\n# TYPE {name} counter\n{name} 2\n" in text
    with pytest.raises(ValueError, match="twice"):
        telemetry.counter(name, "Again.")
    assert [metric.name for metric in telemetry.metrics()].count(name) == 1


def own(name: str) -> float:
    """As /metrics has it after a look at the machine."""
    telemetry.measure_usage()
    (line,) = (one for one in telemetry.render().splitlines() if one.startswith(f"{name} "))
    return float(line.split()[1])


def test_what_the_process_takes_of_the_machine_is_measured() -> None:
    before, spent_s = own("watchkeeper_telemetry_cpu_seconds_total"), time.process_time()
    while time.process_time() < spent_s + 0.04:
        pass

    after = own("watchkeeper_telemetry_cpu_seconds_total")

    assert 0.02 <= after - before < 10.0
    assert 1e6 < own("watchkeeper_telemetry_resident_bytes") < 1e12


def test_what_it_started_counts_while_it_runs_and_when_it_is_gone() -> None:
    alone = own("watchkeeper_telemetry_resident_bytes")
    before = own("watchkeeper_telemetry_cpu_seconds_total")
    code = "import time\nwhile time.process_time() < 0.06: pass\nprint(1, flush=True)\ninput()"
    command = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with_child = own("watchkeeper_telemetry_resident_bytes")
        while_there = own("watchkeeper_telemetry_cpu_seconds_total")
        child.communicate(b"\n")
    after = own("watchkeeper_telemetry_cpu_seconds_total")

    assert with_child > alone + 1e6
    assert while_there - before > 0.03
    assert after >= while_there


def test_a_secret_prints_as_stars_and_works_as_text() -> None:
    secret = Secret("hunter2")

    assert (
        f"{secret} {secret!r} {secret:>5} {[secret]}" == "*** Secret('***')   *** [Secret('***')]"
    )
    assert "%s" % secret == "***"  # noqa: UP031 - what old formatting shows is the point
    assert secret.reveal() == "hunter2"
    assert type(secret.reveal()) is str
    assert secret == "hunter2"


def test_a_line_names_the_event_and_its_fields(written: io.StringIO) -> None:
    telemetry.set_up_log(LogConfig(), written)

    Log("watchkeeper.lake.wal").warning("tail cut", bytes=12, why="torn frame", key=Secret("k"))

    line = written.getvalue()
    assert line.endswith('warning lake.wal: tail cut bytes=12 why="torn frame" key=***\n')
    assert line[:4].isdigit()


def test_a_line_may_be_json(written: io.StringIO) -> None:
    telemetry.set_up_log(LogConfig(format="json"), written)

    Log("watchkeeper.bus").info("lease won", partition=3, owner=None, token=Secret("k"))

    line = json.loads(written.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "from": "bus",
        "event": "lease won",
        "partition": 3,
        "owner": None,
        "token": "***",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_unforeseen_failure_says_where_it_came_from(written: io.StringIO, form: str) -> None:
    telemetry.set_up_log(LogConfig(format=form), written)  # type: ignore[arg-type]

    try:
        {}["slot"]
    except KeyError as error:
        Log("watchkeeper.runtime").failure("record given up", error, position=7)

    assert "record given up" in written.getvalue()
    assert "test_telemetry.py" in written.getvalue()


def test_lines_below_the_level_are_not_written(written: io.StringIO) -> None:
    telemetry.set_up_log(LogConfig(level="error"), written)
    log = Log("watchkeeper.bus")

    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")

    assert "bus: d" in written.getvalue()
    assert len(written.getvalue().splitlines()) == 1
