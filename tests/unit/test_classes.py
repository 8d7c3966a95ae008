"""The class of a series, told by what it is called."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.classes import classify, per_second
from watchkeeper.model.metric_class import MetricClass as C
from watchkeeper.model.series import Kind

GAUGE, COUNTER = Kind.GAUGE, Kind.COUNTER


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        # node_exporter
        ("node_cpu_seconds_total", COUNTER, C.RESOURCE),
        ("node_load1", GAUGE, C.RESOURCE),
        ("node_memory_MemAvailable_bytes", GAUGE, C.RESOURCE),
        ("node_filesystem_avail_bytes", GAUGE, C.RESOURCE),
        ("node_disk_io_time_seconds_total", COUNTER, C.RESOURCE),
        ("node_disk_read_time_seconds_total", COUNTER, C.RESOURCE),
        ("node_network_receive_bytes_total", COUNTER, C.RESOURCE),
        ("node_network_receive_errs_total", COUNTER, C.ERRORS),
        ("node_network_transmit_drop_total", COUNTER, C.ERRORS),
        ("node_network_up", GAUGE, C.STATE),
        ("node_vmstat_pgmajfault", GAUGE, C.RESOURCE),
        ("node_hwmon_temp_celsius", GAUGE, C.RESOURCE),
        ("node_procs_running", GAUGE, C.RESOURCE),
        # cAdvisor and Kubernetes
        ("container_cpu_usage_seconds_total", COUNTER, C.RESOURCE),
        ("container_memory_working_set_bytes", GAUGE, C.RESOURCE),
        ("container_cpu_cfs_throttled_periods_total", COUNTER, C.RESOURCE),
        ("container_network_receive_packets_dropped_total", COUNTER, C.ERRORS),
        ("container_fs_writes_bytes_total", COUNTER, C.RESOURCE),
        ("kube_deployment_status_replicas_available", GAUGE, C.STATE),
        ("kube_deployment_spec_replicas", GAUGE, C.STATE),
        ("kube_pod_status_phase", GAUGE, C.STATE),
        ("kube_node_status_condition", GAUGE, C.STATE),
        # OpenTelemetry, as it arrives
        ("http_server_request_duration_seconds:p95", GAUGE, C.LATENCY),
        ("http_server_request_duration_seconds_count", COUNTER, C.TRAFFIC),
        ("http_server_request_duration_seconds_sum", COUNTER, C.OTHER),
        ("http_server_active_requests", GAUGE, C.TRAFFIC),
        ("rpc_server_duration_milliseconds:p99", GAUGE, C.LATENCY),
        ("rpc_client_requests_per_rpc", GAUGE, C.TRAFFIC),
        ("db_client_operation_duration_seconds:p50", GAUGE, C.LATENCY),
        ("db_client_connection_pending_requests", GAUGE, C.QUEUE),
        ("db_client_connection_timeouts_total", COUNTER, C.ERRORS),
        ("messaging_client_consumed_messages_total", COUNTER, C.TRAFFIC),
        ("messaging_process_duration_seconds:p99", GAUGE, C.LATENCY),
        ("system_cpu_utilization_ratio", GAUGE, C.RESOURCE),
        ("system_memory_usage_bytes", GAUGE, C.RESOURCE),
        ("system_network_errors_total", COUNTER, C.ERRORS),
        ("system_network_dropped_total", COUNTER, C.ERRORS),
        ("process_cpu_time_seconds_total", COUNTER, C.RESOURCE),
        ("process_open_fds", GAUGE, C.RESOURCE),
        ("jvm_memory_used_bytes", GAUGE, C.RESOURCE),
        ("jvm_thread_count", GAUGE, C.RESOURCE),
        ("jvm_gc_duration_seconds:p99", GAUGE, C.LATENCY),
        ("hw_temperature_celsius", GAUGE, C.RESOURCE),
        ("hw_errors_total", COUNTER, C.ERRORS),
        ("hw_status", GAUGE, C.STATE),
        # conventions of Prometheus, and of those who follow them
        ("up", GAUGE, C.STATE),
        ("probe_success", GAUGE, C.STATE),
        ("probe_duration_seconds", GAUGE, C.LATENCY),
        ("scrape_duration_seconds", GAUGE, C.LATENCY),
        ("http_requests_total", COUNTER, C.TRAFFIC),
        ("http_request_duration_seconds:p99", GAUGE, C.LATENCY),
        ("request_latency_ms", GAUGE, C.LATENCY),
        ("latency_p95", GAUGE, C.LATENCY),
        ("responseTime", GAUGE, C.LATENCY),
        ("grpc_server_handled_total", COUNTER, C.TRAFFIC),
        ("error_ratio", GAUGE, C.ERRORS),
        ("http_request_errors_total", COUNTER, C.ERRORS),
        ("payment_failures_total", COUNTER, C.ERRORS),
        ("error_budget_remaining_ratio", GAUGE, C.RESOURCE),
        ("kafka_consumergroup_lag", GAUGE, C.QUEUE),
        ("kafka_server_BrokerTopicMetrics_MessagesInPerSec", GAUGE, C.TRAFFIC),
        ("rabbitmq_queue_messages_ready", GAUGE, C.QUEUE),
        ("sidekiq_queue_length", GAUGE, C.QUEUE),
        ("replication_lag_seconds", GAUGE, C.QUEUE),
        ("orders_pending", GAUGE, C.QUEUE),
        ("workqueue_queue_duration_seconds:p99", GAUGE, C.LATENCY),
        ("orders_total", COUNTER, C.BUSINESS),
        ("revenue_eur_total", COUNTER, C.BUSINESS),
        ("checkout_payments_completed_total", COUNTER, C.BUSINESS),
        ("user_signups_total", COUNTER, C.BUSINESS),
        ("app.orders.placed", GAUGE, C.BUSINESS),
        ("payment_requests_total", COUNTER, C.TRAFFIC),
        ("payment_request_duration_seconds:p95", GAUGE, C.LATENCY),
        ("checkout_cpu_usage", GAUGE, C.RESOURCE),
        ("log_messages_total", COUNTER, C.LOG_RATE),
        ("logback_events_total", COUNTER, C.LOG_RATE),
        ("log_template_count", GAUGE, C.LOG_RATE),
        ("cache_hit_ratio", GAUGE, C.RESOURCE),
        ("conveyor_belt_tension", GAUGE, C.OTHER),
        ("", GAUGE, C.OTHER),
    ],
)
def test_a_name_tells_its_class(name: str, kind: Kind, found: C) -> None:
    assert classify({"__name__": name}, kind) is found


@pytest.mark.parametrize(
    ("labels", "kind", "found"),
    [
        ({"__name__": "rpc_time_seconds", "quantile": "0.99"}, GAUGE, C.LATENCY),
        ({"__name__": "http_requests_total", "status": "503"}, COUNTER, C.ERRORS),
        ({"__name__": "http_requests_total", "code": "200"}, COUNTER, C.TRAFFIC),
        ({"__name__": "http_requests_total", "outcome": "ERROR"}, COUNTER, C.ERRORS),
        ({"__name__": "logins_total", "status": "500"}, COUNTER, C.BUSINESS),
    ],
)
def test_labels_tell_more(labels: dict[str, str], kind: Kind, found: C) -> None:
    assert classify(labels, kind) is found


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("http_request_duration_seconds:p99", 1.0),
        ("request_latency_ms", 1e3),
        ("rpc_duration_microseconds", 1e6),
        ("latency_p95", 0.0),
    ],
)
def test_a_name_tells_its_unit_of_time(name: str, units: float) -> None:
    assert per_second(name) == units
