"""Laws of what we say of ourselves: lines that hold together, and metrics that can be read back."""

from __future__ import annotations

import io
import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchkeeper import telemetry
from watchkeeper.telemetry import MAX_LABEL_SETS, OTHER, Counter, Histogram, Log, LogConfig, Secret

TEXTS = st.text(st.characters(), max_size=30)
"""Anything that a Python text may hold, half pairs of UTF-16 too."""
FIELDS = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(
        lambda name: name not in {"time", "level", "from", "event", "trace", "self"}
    ),
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | TEXTS.map(Secret),
    max_size=4,
)
SAMPLE = re.compile(r'(\w+?)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@contextmanager
def written(form: Literal["text", "json"]) -> Iterator[io.TextIOWrapper]:
    """The log goes to a file as strict as a real one, and back to where it went before."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    telemetry.set_up_log(LogConfig(format=form, level="debug"), stream)
    try:
        yield stream
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def logged(form: Literal["text", "json"], fields: dict[str, Any]) -> str:
    with written(form) as stream:
        Log("watchkeeper.lake").info("segment removed", **fields)
        stream.seek(0)
        return stream.read()


def strictly(text: str) -> Any:
    """JSON as everybody else reads it: without NaN and Infinity."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def unescaped(text: str) -> str:
    whole = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
    return re.sub(r'\\[\\"n]', lambda match: whole[match[0]], text)


def samples(metric: telemetry.Metric) -> list[tuple[str, dict[str, str], float]]:
    """Its lines as Prometheus would read them."""
    found = []
    for line in metric.lines():
        match = SAMPLE.fullmatch(line)
        assert match, line
        labels = {name: unescaped(value) for name, value in PAIR.findall(match[2] or "")}
        found.append((match[1], labels, float(match[3])))
    return found


# Lines


@given(FIELDS)
@example({"p": math.nan})
@example({"a": "\ud800", "b": "\x1b[31m", "c": "\u2028"})
def test_every_line_of_json_is_one_line_of_json(fields: dict[str, Any]) -> None:
    text = logged("json", fields)

    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    line = strictly(text)
    assert line["event"] == "segment removed"
    assert set(fields) <= set(line)


@given(FIELDS)
@example({"a": "\x1b]0;owned\x07", "b": "x\ny", "c": "", "d": 'a="b"'})
def test_no_field_breaks_a_line_or_steers_the_terminal(fields: dict[str, Any]) -> None:
    text = logged("text", fields)

    assert text.count("\n") == 1
    assert text[:-1].isprintable() or "\x7f" in text


@given(TEXTS)
@example("")
@example('say "hi"')
@example("a=b")
@example("\ud800")
def test_a_text_is_read_back_from_either_form(value: str) -> None:
    _, _, said = logged("text", {"why": value})[:-1].partition(" why=")

    assert (json.loads(said) if said.startswith('"') else said) == value
    assert strictly(logged("json", {"why": value}))["why"] == value


@given(st.text(st.characters(codec="utf-8"), min_size=4, max_size=20))
def test_a_secret_is_in_no_line(text: str) -> None:
    forms: tuple[Literal["text", "json"], ...] = ("text", "json")
    for form in forms:
        plain = logged(form, {"key": "***"})
        starred = logged(form, {"key": Secret(text)})

        assert starred.partition("Z")[2] == plain.partition("Z")[2]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_level_lets_itself_and_what_is_graver_through(
    level: Literal["debug", "info", "warning", "error"],
) -> None:
    levels = ["debug", "info", "warning", "error"]
    with written("text") as stream:
        telemetry.set_up_log(LogConfig(level=level), stream)
        for one in levels:
            getattr(Log("watchkeeper.lake"), one)(f"at {one}")
        stream.seek(0)
        lines = stream.read().splitlines()

    assert [line.rpartition(" ")[2] for line in lines] == levels[levels.index(level) :]


def test_a_log_that_is_set_up_again_writes_each_line_once() -> None:
    with written("text") as stream:
        telemetry.set_up_log(LogConfig(), stream)
        telemetry.set_up_log(LogConfig(), stream)
        Log("watchkeeper.lake").info("once")
        stream.seek(0)

        assert stream.read().count("once") == 1


def test_lines_of_libraries_are_written_in_the_same_form() -> None:
    with written("json") as stream:
        logging.getLogger("uvicorn.error").warning("Invalid %s", "request")
        stream.seek(0)
        line = strictly(stream.read())

    assert (line["from"], line["level"], line["event"]) == (
        "uvicorn.error",
        "warning",
        "Invalid request",
    )


# Metrics


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8),
                       st.integers(0, 2**53), max_size=5))  # fmt: skip
@example({'a"b': 1, "a\\": 2, "a\n": 3, "\\n": 4})
def test_what_is_counted_under_any_label_is_read_back(counts: dict[str, int]) -> None:
    metric = Counter("watchkeeper_test_read_total", "Read.", ("what",))
    for what, n in counts.items():
        metric.add(n, what)

    assert {labels["what"]: value for _, labels, value in samples(metric)} == counts


@given(st.floats())
def test_a_gauge_is_read_back_to_the_last_bit(value: float) -> None:
    metric = telemetry.Gauge("watchkeeper_test_gauge_ratio", "A ratio.")
    metric.set(value)

    ((_, _, told),) = samples(metric)

    assert told == value or (math.isnan(told) and math.isnan(value))


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=50),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6, unique=True),
)
def test_buckets_add_up_and_hold_what_lies_at_or_below_them(
    values: Sequence[float], bounds: Sequence[float]
) -> None:
    metric = Histogram("watchkeeper_test_took_seconds", "Took.", bounds)
    for value in values:
        metric.observe(value)

    told = samples(metric)
    buckets = {float(labels["le"]): n for name, labels, n in told if name.endswith("_bucket")}
    rest = {name.rpartition("_")[2]: n for name, _, n in told if not name.endswith("_bucket")}

    if not values:
        assert told == []
        return
    assert buckets == {
        bound: sum(value <= bound for value in values) for bound in [*bounds, math.inf]
    }
    assert list(buckets) == sorted(buckets)
    assert rest["count"] == buckets[math.inf] == len(values) == metric.count()
    assert math.isclose(rest["sum"], math.fsum(values), rel_tol=1e-9, abs_tol=1e-6)


@given(st.lists(st.integers(0, 2 * MAX_LABEL_SETS), max_size=600))
def test_nothing_is_lost_where_labels_are_too_many(marks: Sequence[int]) -> None:
    metric = Counter("watchkeeper_test_marks_total", "Marks.", ("mark",))
    for mark in marks:
        metric.add(1, str(mark))

    told = {labels["mark"]: value for _, labels, value in samples(metric)}
    first = list(dict.fromkeys(map(str, marks)))[:MAX_LABEL_SETS]
    assert sum(told.values()) == len(marks)
    assert set(told) <= {*first, OTHER}
    assert all(told[mark] == marks.count(int(mark)) for mark in first)
