"""What other programs read: the form that they know, and numbers that fit each other."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.act.shared_form import (
    MESSAGE_CHARACTERS,
    deployment,
    iso,
    log_entry,
    metric_point,
    recent_anomaly,
)
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity, Kind, Series, SeriesId
from watchkeeper.model.signal import LogBatch


def series(**labels: str) -> Series:
    named = make.labels("api_latency_ms", **labels)
    return Series(SeriesId(bytes(16)), DEFAULT_TENANT, named, Kind.GAUGE, Entity("auth-api"))


def line(body: bytes = b"Database timeout", severity: int = 17, own: bytes = b"") -> LogBatch:
    origin = Origin((("env", "prod"),), Entity("auth-api"))
    batch = make.logs((make.START_NS, severity, body), origins=[origin])
    return replace(batch, attributes=texts([own]))


def read_anomaly(**fields: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(recent_anomaly(make.anomaly(**fields)).content)
    return content


def test_a_sample_is_told_as_a_metric_point() -> None:
    told = metric_point(series(environment="production"), make.START_NS, 1500.0)

    assert told == {
        "timestamp": "2023-11-14T22:13:20Z",
        "metric_name": "api_latency_ms",
        "value": "1500.0",
        "labels": '{"service": "auth-api", "environment": "production"}',
    }


def test_the_label_that_names_a_service_counts_more_than_what_was_found_out() -> None:
    told = metric_point(series(service="auth"), make.START_NS, 1.0)

    assert json.loads(told["labels"]) == {"service": "auth"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.0, 5e-324, 0.1 + 0.2])
def test_any_value_can_be_read_back_to_the_last_bit(value: float) -> None:
    told = float(metric_point(series(), make.START_NS, value)["value"])

    assert math.copysign(1, told) == math.copysign(1, value)
    assert told == value or (math.isnan(told) and math.isnan(value))


def test_a_line_is_told_as_a_log_entry() -> None:
    told = log_entry(line(own=b'{"component":"database"}'), 0)

    assert told == {
        "timestamp": "2023-11-14T22:13:20Z",
        "level": "ERROR",
        "message": "Database timeout",
        "service": "auth-api",
        "labels": '{"service": "auth-api", "env": "prod", "component": "database"}',
    }


def test_a_line_whose_level_nobody_knows_says_so() -> None:
    assert log_entry(line(severity=0), 0)["level"] == "UNKNOWN"


def test_a_line_that_is_no_text_or_too_long_is_told_all_the_same() -> None:
    told = log_entry(line(b"\xff" + b"x" * 2 * MESSAGE_CHARACTERS), 0)["message"]

    assert len(told) == MESSAGE_CHARACTERS
    assert told.startswith("\N{REPLACEMENT CHARACTER}x")


def test_a_deployment_is_told_with_what_its_sender_gave() -> None:
    change = make.change(entity=Entity("auth-api"), actor="ci-cd", details={"commit": "abc123"})

    told = deployment(change)

    assert json.loads(told.pop("metadata")) == {
        "id": change.id,
        "deployed_by": "ci-cd",
        "commit": "abc123",
    }
    assert told == {
        "timestamp": "2023-11-14T22:13:20Z",
        "service": "auth-api",
        "version": "v2.1.0",
        "status": "success",
    }


def test_an_anomaly_is_told_against_the_middle_of_what_was_expected() -> None:
    told = read_anomaly(value=1500.0, expected_low=100.0, expected_high=116.0, p_value=1e-6)

    assert (told["current_value"], told["baseline_mean"]) == (1500.0, 108.0)
    assert told["deviation_percent"] == pytest.approx(1288.9, abs=0.1)
    assert told["z_score"] == pytest.approx(4.8916, abs=1e-3)
    assert told["severity"] == "critical"
    assert (told["metric_name"], told["service"]) == ("latency_seconds", "checkout")
    assert told["claim"] == "evidence"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(1e-290, 0.99))
def test_mean_deviation_and_score_of_an_anomaly_fit_each_other(
    value: float, low: float, width: float, p_value: float
) -> None:
    told = read_anomaly(value=value, expected_low=low, expected_high=low + width, p_value=p_value)

    off = value - told["baseline_mean"]
    assert told["z_score"] * off >= 0
    assert told["baseline_std_dev"] * abs(told["z_score"]) == pytest.approx(abs(off))
    assert 2 * NormalDist().cdf(-abs(told["z_score"])) == pytest.approx(p_value, rel=1e-3)


@pytest.mark.parametrize(
    ("p_value", "word"),
    [(0.0, "critical"), (1e-4, "high"), (0.01, "medium"), (0.02, "low"), (1.0, "low")],
)
def test_an_anomaly_is_called_as_grave_as_its_score(p_value: float, word: str) -> None:
    assert read_anomaly(p_value=p_value)["severity"] == word


@pytest.mark.parametrize(
    ("low", "high", "mean"),
    [(-math.inf, 0.4, 0.4), (0.1, math.inf, 0.1), (-math.inf, math.inf, None)],
)
def test_a_band_that_is_open_gives_what_it_has(low: float, high: float, mean: float | None) -> None:
    told = read_anomaly(expected_low=low, expected_high=high)

    assert told["baseline_mean"] == mean
    assert (told["z_score"] is None) == (mean is None)


def test_a_deviation_from_nothing_has_no_percentage() -> None:
    told = read_anomaly(expected_low=-1.0, expected_high=1.0, value=3.0)

    assert (told["baseline_mean"], told["deviation_percent"]) == (0.0, None)


def test_an_anomaly_without_a_service_is_found_among_the_unknown() -> None:
    assert recent_anomaly(make.anomaly(entity=Entity())).service == "unknown"


@given(st.integers(0, 2**62))
def test_times_are_read_back_to_the_millisecond(time_ns: int) -> None:
    read = datetime.fromisoformat(iso(time_ns))

    assert abs(read.timestamp() * 1000 - time_ns // 10**6) < 0.01
