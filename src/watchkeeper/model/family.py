"""What senders say of a metric as such: its type, what it is, and in which unit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from watchkeeper.model.series import Kind, TenantId


class MetricType(StrEnum):
    """In Prometheus' words."""

    UNKNOWN = "unknown"
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    GAUGE_HISTOGRAM = "gaugehistogram"
    SUMMARY = "summary"
    INFO = "info"
    STATE_SET = "stateset"


TYPES: Final = tuple(MetricType)
"""By the number that they have in remote write, 1.0 and 2.0."""

KINDS: Final = (
    Kind.BY_NAME, Kind.COUNTER, Kind.GAUGE, Kind.BY_NAME, Kind.BY_NAME, Kind.BY_NAME,
    Kind.UNSCORED, Kind.GAUGE,
)  # fmt: skip
"""By the same number, how the series of a family are to be read. What a histogram or a summary is
made of, its series' names tell."""


def metric_type(number: int) -> MetricType:
    """A number that is not known yet is kept as unknown."""
    return TYPES[number] if 0 <= number < len(TYPES) else MetricType.UNKNOWN


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, as its sender describes it."""

    name: str
    type: MetricType = MetricType.UNKNOWN
    help: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Families:
    """Descriptions that are new or changed, as they are logged."""

    tenant: TenantId
    families: tuple[Family, ...]
