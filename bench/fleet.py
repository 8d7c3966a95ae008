"""Who sends, and what: the series of a Kubernetes cluster and their values, from one seed.

Series i is fully told by its number, so a fleet of a million costs no memory until it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

F64 = np.ndarray[Any, np.dtype[np.float64]]
I64 = np.ndarray[Any, np.dtype[np.int64]]

STEP_MS = 15_000
"""The scrape interval."""

GAUGES = (
    "container_memory_working_set_bytes",
    "container_memory_rss",
    "container_memory_cache",
    "container_spec_memory_limit_bytes",
    "container_threads",
    "container_file_descriptors",
    "container_sockets",
    "container_processes",
    "process_resident_memory_bytes",
    "process_open_fds",
    "go_goroutines",
    "go_memstats_heap_inuse_bytes",
    "go_gc_duration_seconds",
    "http_requests_in_flight",
    "http_request_duration_seconds_mean",
    "db_pool_connections_in_use",
    "db_pool_connections_idle",
    "queue_depth",
    "queue_oldest_message_age_seconds",
    "cache_hit_ratio",
    "cache_entries",
    "worker_utilization_ratio",
    "upstream_latency_seconds_p95",
    "thread_pool_active_threads",
    "kube_pod_container_resource_requests",
)
COUNTERS = (
    "container_cpu_usage_seconds_total",
    "container_cpu_user_seconds_total",
    "container_cpu_system_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_fs_reads_bytes_total",
    "container_fs_writes_bytes_total",
    "container_fs_reads_total",
    "container_fs_writes_total",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "container_network_receive_errors_total",
    "container_network_transmit_packets_dropped_total",
    "container_memory_failures_total",
    "http_requests_total",
    "http_request_errors_total",
    "http_response_bytes_total",
    "db_queries_total",
    "db_query_errors_total",
    "cache_hits_total",
    "cache_misses_total",
    "queue_messages_published_total",
    "queue_messages_consumed_total",
    "process_cpu_seconds_total",
    "go_memstats_alloc_bytes_total",
)
METRICS = tuple(name for pair in zip(GAUGES, COUNTERS, strict=True) for name in pair)
CONTAINERS = ("application", "istio-proxy")
SERIES_PER_POD = len(METRICS) * len(CONTAINERS)
PODS_PER_SERVICE = 10
SERVICES = ("checkout", "payment", "catalog", "cart", "search", "shipping", "auth", "pricing")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a series lives, shared by the remote-write and the OTLP way of saying it."""

    metric: str
    container: str
    pod: str
    service: str
    namespace: str
    node: str
    instance: str


def place(number: int) -> Place:
    """The whereabouts of series `number`."""
    pod = number // SERIES_PER_POD
    service_number = pod // PODS_PER_SERVICE
    service = f"{SERVICES[service_number % len(SERVICES)]}-{service_number:04d}"
    return Place(
        metric=METRICS[number % len(METRICS)],
        container=CONTAINERS[number // len(METRICS) % len(CONTAINERS)],
        pod=f"{service}-7c9f{pod * 2654435761 % 2**32:08x}-{pod:05d}",
        service=service,
        namespace=f"team-{service_number % 20:02d}-production",
        node=f"ip-10-{pod % 60}-17-{pod % 200}.eu-central-1.compute.internal",
        instance=f"10.{pod >> 16 & 255}.{pod >> 8 & 255}.{pod & 255}:9102",
    )


def labels(number: int) -> dict[str, str]:
    """Nine labels as Prometheus would send them, sorted by name."""
    at = place(number)
    return {
        "__name__": at.metric,
        "cluster": "production-eu-central-1",
        "container": at.container,
        "instance": at.instance,
        "job": "kubernetes-pods",
        "namespace": at.namespace,
        "node": at.node,
        "pod": at.pod,
        "service": at.service,
    }


def is_counter(number: int) -> bool:
    return number % len(METRICS) % 2 == 1


def is_first_pod(number: int) -> bool:
    """Whether series `number` is of the pod that was there first of all of its service."""
    return number // SERIES_PER_POD % PODS_PER_SERVICE == 0


class Walk:
    """Values of series `first` to `first + n`: gauges wander (AR(1), two decimals), counters grow.

    Times begin at `start_ms`; every pod is scraped at its own moment of a step.
    """

    def __init__(self, n: int, *, seed: int, start_ms: int, first: int = 0) -> None:
        self.n = n
        self._random = np.random.default_rng((seed, first, n))
        number = np.arange(first, first + n)
        self._counts = number % len(METRICS) % 2 == 1
        scale = 10.0 ** (1 + 3 * self._random.random(n))
        self._level = np.where(self._counts, 0.0, scale).astype(np.float32)
        self._scale = np.where(self._counts, scale, scale / 20).astype(np.float32)
        self._state = np.zeros(n, np.float32)
        self._total = np.where(self._counts, np.floor(scale * 1000), 0.0)
        self._phase_ms = (number // SERIES_PER_POD) * 7919 % STEP_MS
        self._next_ms = start_ms

    def take(self, steps: int, *, step_ms: int = STEP_MS) -> tuple[I64, F64]:
        """The next `steps` scrapes: times in ms and values, both (n, steps)."""
        begin = self._next_ms + np.arange(steps) * step_ms
        self._next_ms += steps * step_ms
        times = begin[None, :] + self._phase_ms[:, None]
        values = np.empty((steps, self.n))
        for row in values:
            self._advance(row, step_ms / STEP_MS)
        return times, np.ascontiguousarray(values.T)

    def _advance(self, out: F64, n_scrapes: float) -> None:
        """One step, as long as so many scrapes: counters have a rate, whatever the step."""
        self._state *= np.float32(0.9)
        self._state += self._random.standard_normal(self.n, np.float32)
        moved = self._level + self._scale * self._state
        counts = self._counts
        self._total[counts] += np.floor(np.abs(moved[counts]) * n_scrapes)
        np.copyto(out, np.round(moved, 2))
        # float32 holds seven digits: round again in float64, so that values have two decimals.
        np.round(out, 2, out=out)
        out[counts] = self._total[counts]
