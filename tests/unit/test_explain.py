"""The sentence that goes with a verdict."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests import make
from watchkeeper.analyze.explain import duration, explanation, loudest, why_gone, why_info
from watchkeeper.model.anomaly import Gone, InfoReason, Severity
from watchkeeper.model.series import Entity


def said(metric: str, **fields: Any) -> str:
    return explanation(make.anomaly(labels=make.labels(metric, service="checkout"), **fields))


def test_a_verdict_says_what_was_seen_and_what_it_rests_on() -> None:
    text = said(
        "http_request_duration_seconds:p95",
        value=1.9,
        expected_low=0.2,
        expected_high=0.4,
        p_value=1e-9,
        evidence={"fast": 3.0, "seasonal": 12.3},
        n_learned=20_160,
    )

    assert text == (
        "http_request_duration_seconds:p95 of checkout 1.9 s, expected 200 ms to 400 ms at this "
        "time of day; loudest: seasonal (+12.3); p 1e-9 by 20,160 points of its own"
    )


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("request_latency_ms", 1_900.0, "1.9 s"),
        ("rpc_duration_microseconds", 12.0, "12 us"),
        ("node_memory_MemFree_bytes", 3.0 * 2**30, "3 GiB"),
        ("node_network_receive_bytes_total", 2.0 * 2**20, "2 MiB/s"),
        ("process_cpu_seconds_total", 0.75, "0.75 s/s"),
        ("cpu_utilization_ratio", 0.99, "99 %"),
        ("disk_used_percent", 91.0, "91 %"),
        ("room_temperature_celsius", 31.5, "31.5 °C"),
        ("http_requests_total", 1_234.0, "1,234/s"),
        ("queue_depth", 123_456.0, "123,456"),
        ("latency_seconds", 0.0, "0 s"),
        ("tiny", 1.5e-7, "1.5e-07"),
        ("gone", math.nan, "nothing"),
    ],
)
def test_a_value_is_told_in_the_unit_that_the_name_tells(
    metric: str, value: float, text: str
) -> None:
    assert said(metric, value=value).startswith(f"{metric} of checkout {text}, expected")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.0, 2.0, "1 to 2"),
        (-math.inf, 2.0, "at most 2"),
        (1.0, math.inf, "at least 1"),
        (-math.inf, math.inf, "anything"),
    ],
)
def test_a_band_may_be_open(low: float, high: float, text: str) -> None:
    assert f"expected {text};" in said("depth", expected_low=low, expected_high=high)


def test_of_a_service_its_symptom_is_told() -> None:
    anomaly = make.anomaly(series="", labels={"service": "checkout", "symptom": "error ratio"})

    assert explanation(anomaly).startswith("error ratio of checkout 2.5, expected")


@pytest.mark.parametrize(
    ("shared", "text"),
    [
        ({}, "37 of 40 services stopped"),
        (
            {"node": "a", "environment": "prod"},
            "37 of 40 services of environment prod, node a stopped",
        ),
    ],
)
def test_of_an_outage_it_is_told_what_its_services_share(shared: dict[str, str], text: str) -> None:
    one = make.anomaly(
        labels={"symptom": "outage", **shared},
        entity=Entity(),
        value=37.0,
        evidence={"services": 40.0, "score": 300.0},
    )

    said = explanation(one)

    assert said.startswith(f"telemetry of {text} at the same time: look at the collector")


def test_of_what_has_no_name_the_labels_are_told() -> None:
    anomaly = make.anomaly(series="", labels={"service": "checkout", "kind": "joint"})

    assert explanation(anomaly).startswith("kind joint of checkout 2.5, expected")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (InfoReason.LEARNING, "the series is learning, for another 1.5 h"),
        (InfoReason.NOISY, "the series spoke too often this week"),
        (InfoReason.TIER, "fk alone never claims more"),
        (InfoReason.ALONE, "the other series of the service bear it out in nothing"),
    ],
)
def test_who_claims_no_more_than_information_says_why(reason: InfoReason, text: str) -> None:
    anomaly = make.anomaly(severity=Severity.INFO, info_reason=reason, learning_s=5_400.0)

    assert why_info(anomaly) == f"information only: {text}"
    assert explanation(anomaly).endswith(text)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Gone.SILENT, "ended as its series is silent: nobody saw it end"),
        (Gone.SETTINGS, "ended as fk judges it no more by the settings"),
        (Gone.UNWATCHED, "ended as it is no longer watched: nobody saw it end"),
    ],
)
def test_what_was_not_seen_to_end_says_why_it_did(reason: Gone, text: str) -> None:
    anomaly = make.anomaly(gone=reason)

    assert why_gone(anomaly) == text
    assert explanation(anomaly).endswith(f"; {text}")


def test_what_was_seen_to_end_needs_no_reason() -> None:
    assert why_gone(make.anomaly()) == ""


@pytest.mark.parametrize("severity", [Severity.EVIDENCE, Severity.PAGE])
def test_who_claims_more_needs_no_excuse(severity: Severity) -> None:
    assert why_info(make.anomaly(severity=severity, learning_s=60.0)) == ""


def test_the_loudest_may_be_far_below() -> None:
    assert loudest(make.anomaly(evidence={"fast": 2.0, "slow": -7.0})) == "slow"
    assert loudest(make.anomaly(evidence={})) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (45.0, "45 s"), (90.0, "1.5 min"), (72_000.0, "20 h"), (129_600.0, "1.5 days")],
)
def test_a_duration_has_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
