"""Whatever a verdict is of, it can be told; and a number is told in a unit that fits it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper.analyze.classes import classify, is_rate, per_second, unit_of
from watchkeeper.analyze.explain import duration, explanation, loudest, why_info
from watchkeeper.analyze.explain_lines import lines_of
from watchkeeper.analyze.roles import role_of
from watchkeeper.model.anomaly import InfoReason, Severity
from watchkeeper.model.series import Entity, Kind

WORDS = st.sampled_from([
    "seconds", "total", "ms", "s", "p95", "bytes", "ratio", "percent", "duration", "count", "sum",
    "errors", "queue", "http", "up", "Total", "S", "", "1", "celsius", "requests", "bucket", "ns",
])  # fmt: skip
NAMES = st.lists(WORDS, max_size=6).map("_".join) | st.text(max_size=20)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
DETECTORS = st.sampled_from([
    "fk", "symptoms", "ramp", "log_new", "log_rare", "log_rate", "log_errors", "log_stopped",
    "log_session",
])  # fmt: skip


@given(NAMES, NUMBERS, NUMBERS, NUMBERS, DETECTORS)
def test_every_verdict_can_be_told(
    name: str, value: float, low: float, high: float, detector: str
) -> None:
    anomaly = make.anomaly(
        labels={"__name__": name},
        value=value,
        expected_low=low,
        expected_high=high,
        detector=detector,
    )

    told = explanation(anomaly)

    assert told
    assert "; " in told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wait_seconds_total", "2.5 s/s"),
        ("wait_seconds_total_total", "2.5 s/s"),
        ("wait_ms_total", "0.0025 s/s"),
        ("wait_Seconds_Total_total_TOTAL", "2.5 s/s"),
        ("total", "2.5/s"),
        ("total_total", "2.5/s"),
        ("seconds", "2.5"),
        ("seconds_total", "2.5/s"),
        ("", "2.5"),
        ("___", "2.5"),
        ("p95", "2.5"),
        ("wait_seconds_p95", "2.5 s"),
        ("wait_seconds:p99", "2.5 s"),
        ("sent_bytes_total", "2.5 B/s"),
    ],
)
def test_any_name_has_an_amount(name: str, text: str) -> None:
    """A name that says `total` twice had no unit to divide by."""
    assert f" {text}, expected" in explanation(make.anomaly(labels={"__name__": name}, value=2.5))


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "nothing"), (math.inf, "inf"), (-math.inf, "-inf")]
)
@pytest.mark.parametrize("name", ["wait_seconds", "sent_bytes", "share_ratio", "depth"])
def test_what_is_no_number_is_told_as_such(name: str, value: float, text: str) -> None:
    told = explanation(make.anomaly(labels={"__name__": name}, value=value))

    assert told.split(", expected")[0].startswith(f"{name} of checkout {text}")


@given(st.floats(1e-9, 1e9))
def test_a_duration_is_at_least_one_of_its_unit(seconds: float) -> None:
    size = {"days": 86_400, "h": 3_600, "min": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

    number, unit = duration(seconds).replace(",", "").split(" ")

    assert float(number) * size[unit] == pytest.approx(seconds, rel=0.01)
    assert float(number) >= 0.999


@pytest.mark.parametrize("seconds", [0.0, -0.0])
def test_no_time_is_no_seconds(seconds: float) -> None:
    assert duration(seconds) in ("0 s", "-0 s")


@settings(max_examples=25, deadline=None)
@given(NAMES, st.sampled_from(list(Kind)))
def test_every_name_has_a_class_and_perhaps_a_part(name: str, kind: Kind) -> None:
    labels = {"__name__": name, "le": "0.5", "status": "500"}

    assert classify(labels, kind) is classify(dict(labels), kind)
    assert per_second(name) >= 0.0
    assert unit_of(name) in {"", "time", "bytes", "ratio", "%", "°C", "V", "W", "J", "Hz", "m", "A"}
    role = role_of(labels, kind)
    assert role is None or role.scale > 0.0


@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5))
def test_how_a_name_joins_its_words_changes_nothing_of_its_class(words: list[str]) -> None:
    kind = Kind.GAUGE
    classes = {
        classify({"__name__": sign.join(words)}, kind) for sign in ("_", ".", ":", "__", "-")
    }

    assert len(classes) == 1
    assert len({is_rate(sign.join(words)) for sign in ("_", ".", "-")}) == 1


@pytest.mark.parametrize("reason", [*InfoReason, None])
@pytest.mark.parametrize("severity", list(Severity))
def test_every_reason_has_words(reason: InfoReason | None, severity: Severity) -> None:
    said = why_info(make.anomaly(severity=severity, info_reason=reason))

    assert bool(said) == (severity is Severity.INFO)
    assert said == "" or said.startswith("information only")


def test_of_nothing_nothing_is_the_loudest() -> None:
    assert loudest(make.anomaly(evidence={})) == ""
    assert loudest(make.anomaly(evidence={"a": -3.0, "b": 2.0})) == "a"


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=20), DETECTORS)
def test_a_search_for_lines_survives_any_name_of_a_service(service: str, detector: str) -> None:
    anomaly = make.anomaly(
        detector=detector, entity=Entity(service=service), labels={"template": "ab"}
    )

    asked = lines_of(anomaly)

    assert bool(asked) == detector.startswith("log_")
    if asked:
        assert str(asked["query"]).count('"') - str(asked["query"]).count('\\"') >= 2
        assert asked["start"] < asked["end"]  # type: ignore[operator]
