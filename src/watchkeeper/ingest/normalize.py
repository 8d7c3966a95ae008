"""The many names under which senders say whom a series speaks of, in one order.

Stored labels stay as they were sent; this is how they are looked up. OpenTelemetry says
`host.name`, most exporters make `host_name` of it: either is found under `host_name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

SERVICE_LABELS = (
    "service", "service_name", "app_kubernetes_io_name", "app.kubernetes.io/name",
    "k8s_deployment_name", "deployment", "app", "application", "k8s_app", "job",
)  # fmt: skip
"""Most telling first. `job` is last: Prometheus sets it always, often to the name of a scrape."""
ENVIRONMENT_LABELS = (
    "environment", "env", "deployment_environment_name", "deployment_environment", "stage",
    "cluster", "k8s_cluster_name",
)  # fmt: skip
NODE_LABELS = (
    "node", "node_name", "nodename", "kubernetes_node", "k8s_node_name", "host_name", "hostname",
    "host", "instance",
)  # fmt: skip
OWNER_LABELS = ("owner", "team", "squad")


def spellings(names: Iterable[str]) -> tuple[str, ...]:
    """These names as senders write them, each with underscores and with dots, in order."""
    return tuple(dict.fromkeys(way for name in names for way in (name, name.replace("_", "."))))


def first_value(labels: Mapping[str, str], names: Sequence[str]) -> str:
    """The value of the first of these labels that a series has, or the empty string."""
    return next((value for name in names if (value := labels.get(name))), "")
