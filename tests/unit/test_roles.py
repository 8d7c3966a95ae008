"""Which part a series plays for its service, by name, labels and kind."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.roles import Part, role_of
from watchkeeper.model.series import Kind

COUNTER, GAUGE, BUCKET = Kind.COUNTER, Kind.GAUGE, Kind.UNSCORED


@pytest.mark.parametrize(
    ("labels", "kind", "part"),
    [
        ({"__name__": "http_requests_total", "code": "200"}, COUNTER, Part.REQUESTS),
        ({"__name__": "http_requests_total", "code": "503"}, COUNTER, Part.FAILED_REQUESTS),
        ({"__name__": "http_requests_total", "status": "5xx"}, COUNTER, Part.FAILED_REQUESTS),
        ({"__name__": "http_requests_total", "status": "404"}, COUNTER, Part.REQUESTS),
        ({"__name__": "http_requests_total"}, COUNTER, Part.REQUESTS),
        (
            {"__name__": "grpc_server_handled_total", "grpc_code": "Unavailable"},
            COUNTER,
            Part.FAILED_REQUESTS,
        ),
        ({"__name__": "grpc_server_handled_total", "grpc_code": "OK"}, COUNTER, Part.REQUESTS),
        (
            {
                "__name__": "http_server_request_duration_seconds_count",
                "http_response_status_code": "500",
            },
            COUNTER,
            Part.FAILED_REQUESTS,
        ),
        (
            {"__name__": "rpc_server_duration_milliseconds_count", "rpc_grpc_status_code": "0"},
            COUNTER,
            Part.REQUESTS,
        ),
        (
            {"__name__": "span_duration_seconds_count", "span_kind": "server"},
            COUNTER,
            Part.REQUESTS,
        ),
        ({"__name__": "span_errors_total", "span_kind": "server"}, COUNTER, Part.ERRORS),
        ({"__name__": "shop_errors_total"}, COUNTER, Part.ERRORS),
        (
            {"__name__": "http_server_request_duration_seconds_bucket", "le": "0.5"},
            BUCKET,
            Part.BUCKET,
        ),
        ({"__name__": "span_duration_seconds_bucket", "le": "1"}, BUCKET, Part.BUCKET),
        ({"__name__": "process_cpu_utilization"}, GAUGE, Part.SHARE),
        ({"__name__": "node_memory_used_percent"}, GAUGE, Part.SHARE),
        ({"__name__": "jobs_queue_depth"}, GAUGE, Part.QUEUE),
        ({"__name__": "kafka_consumer_lag"}, GAUGE, Part.QUEUE),
    ],
)
def test_conventional_names_play_their_parts(
    labels: dict[str, str], kind: Kind, part: Part
) -> None:
    role = role_of(labels, kind)

    assert role is not None
    assert role.part is part


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"__name__": "http_client_requests_total", "code": "500"}, COUNTER),
        ({"__name__": "span_duration_seconds_count", "span_kind": "client"}, COUNTER),
        ({"__name__": "edge_errors_total"}, COUNTER),
        ({"__name__": "process_cpu_seconds_total"}, COUNTER),
        ({"__name__": "node_memory_free_percent"}, GAUGE),
        ({"__name__": "cache_hit_ratio"}, GAUGE),
        ({"__name__": "queue_manager_version"}, GAUGE),
        ({"__name__": "gc_pause_seconds_bucket", "le": "0.1"}, BUCKET),
        ({"__name__": "http_request_duration_seconds_bucket", "le": "much"}, BUCKET),
        ({"__name__": "http_request_duration_seconds_bucket"}, BUCKET),
        ({"__name__": "x" * 500 + "_requests_total"}, COUNTER),
        ({}, COUNTER),
    ],
)
def test_most_series_play_none(labels: dict[str, str], kind: Kind) -> None:
    assert role_of(labels, kind) is None


def test_bounds_are_seconds_whatever_was_sent() -> None:
    role = role_of({"__name__": "rpc_server_duration_milliseconds_bucket", "le": "250"}, BUCKET)

    assert role is not None
    assert role.bound == 0.25


def test_shares_are_parts_of_one_whatever_was_sent() -> None:
    role = role_of({"__name__": "node_disk_usage_percent"}, GAUGE)

    assert role is not None
    assert role.scale == 0.01


def test_who_tells_failures_apart_is_listened_to_first() -> None:
    ranks = [
        role_of(labels, COUNTER)
        for labels in (
            {"__name__": "http_server_request_duration_seconds_count", "code": "200"},
            {"__name__": "http_requests_total", "code": "200"},
            {"__name__": "span_duration_seconds_count"},
            {"__name__": "http_server_request_duration_seconds_count"},
            {"__name__": "http_requests_total"},
        )
    ]

    assert [one.rank for one in ranks if one is not None] == [0, 1, 2, 3, 4]
