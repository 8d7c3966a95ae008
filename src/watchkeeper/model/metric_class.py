"""What a metric is about, which decides how it is judged."""

from __future__ import annotations

from enum import StrEnum


class MetricClass(StrEnum):
    """In the words of the configuration."""

    RESOURCE = "resource"
    """CPU, memory, disk, network: what a machine or a process uses."""
    LATENCY = "latency"
    """How long something takes: quantiles, means."""
    TRAFFIC = "traffic"
    """How much is asked for: requests, messages, connections."""
    ERRORS = "errors"
    """How much of it fails, as a rate or as a share."""
    QUEUE = "queue"
    """What waits: depth, lag, backlog."""
    BUSINESS = "business"
    """Orders, payments, sign-ups: what all the rest is for."""
    STATE = "state"
    """What is up, ready, or in which phase; how many replicas."""
    LOG_RATE = "log_rate"
    """Lines of a template, of a level, of a service."""
    OTHER = "other"
    """What nothing is known of; judged as any series."""
