"""The catalog's settings: how many series, what their labels may be, what their names say."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Strings = Annotated[tuple[str, ...], Meta(max_length=200)]


class CatalogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on series and labels, and what labels and names mean."""

    max_series: Annotated[
        int,
        Meta(ge=1, le=50_000_000, description="Active series; further new ones are refused."),
    ] = 1_000_000
    new_series_per_s: Annotated[
        float,
        Meta(gt=0, description="Growth that is let in once `new_series_burst` is used up."),
    ] = 10_000.0
    new_series_burst: Annotated[
        int, Meta(ge=1, description="New series that may come at once, as at a first start.")
    ] = 1_000_000
    max_labels: Annotated[int, Meta(ge=1, le=250, description="Labels of one series.")] = 64
    max_name_bytes: Annotated[int, Meta(ge=8, le=65_536, description="Of a label's name.")] = 1024
    max_value_bytes: Annotated[int, Meta(ge=1, le=1 << 20, description="Of a label's value.")] = (
        16_384
    )
    max_series_bytes: Annotated[
        int, Meta(ge=64, le=1 << 22, description="Of all labels of one series.")
    ] = 65_536
    max_label_names: Annotated[
        int, Meta(ge=1, le=1 << 20, description="Distinct label names over all series.")
    ] = 20_000
    label_memory_bytes: Annotated[
        int, Meta(ge=1 << 16, description="Distinct label names and values, in memory.")
    ] = 1 << 30
    max_tenants: Annotated[int, Meta(ge=1, le=65_000, description="Tenants.")] = 1_000
    max_aliases: Annotated[
        int,
        Meta(ge=1, le=255, description="Ways of naming one series that are remembered."),
    ] = 8
    donor_keep_s: Annotated[
        float,
        Meta(ge=0, description="How long the last series of a role stays to lend its learning."),
    ] = 14 * 86400.0
    max_donors: Annotated[
        int, Meta(ge=0, description="Idle series kept for that; the oldest go first.")
    ] = 200_000
    history_keep_s: Annotated[
        float,
        Meta(gt=0, description="How long series that have left memory are found by queries."),
    ] = 400 * 86400.0
    replica_labels: Annotated[
        Strings,
        Meta(description="Labels by which pairs of senders differ; dropped, so that pairs join."),
    ] = ("__replica__", "prometheus_replica")
    instance_labels: Annotated[
        Strings,
        Meta(description="Labels that tell one instance from the next; a role is without them."),
    ] = (
        "instance", "instance_id", "service_instance_id", "replica", "ip", "pod_ip", "host_ip",
        "pod", "pod_name", "pod_uid", "kubernetes_pod_name", "k8s_pod_name", "k8s_pod_uid",
        "pod_template_hash", "controller_revision_hash", "replicaset", "k8s_replicaset_name",
        "container_id", "id", "uid", "host", "hostname", "host_name", "host_id", "machine_id",
        "node", "nodename", "node_name", "kubernetes_node", "k8s_node_name", "process_pid", "pid",
    )  # fmt: skip
    counter_suffixes: Annotated[
        Strings, Meta(description="Names that end so are counters if the sender does not say.")
    ] = ("_total", "_count", "_sum")
    unscored_suffixes: Annotated[
        Strings,
        Meta(description="Names that end so are stored and never scored, whatever is said."),
    ] = (
        "_bucket", "_created", "_info", "_timestamp", "_timestamp_seconds", "_timestamp_ms",
        "_start_time_seconds", "_boot_time_seconds", "_creation_time_seconds",
        "_modification_time_seconds", "_completion_time", "_schedule_time", "node_time_seconds",
    )  # fmt: skip

    @property
    def n_slots(self) -> int:
        """Room for all that may be in memory at a time: columns over slots have this length."""
        return self.max_series + self.max_donors
