"""What a series is: its labels, identity, kind, role and the entity that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NewType

import numpy as np

SeriesId = NewType("SeriesId", bytes)
"""The 16 bytes of a series' identity: SipHash-128, under the installation's key, of its tenant and
canonical labels. Equal in every process and after every restart."""

TenantId = NewType("TenantId", str)
DEFAULT_TENANT = TenantId("default")
METRIC_NAME = "__name__"
N_PARTITIONS = 64

U8 = np.ndarray[Any, np.dtype[np.uint8]]
I32 = np.ndarray[Any, np.dtype[np.int32]]
I64 = np.ndarray[Any, np.dtype[np.int64]]
U64 = np.ndarray[Any, np.dtype[np.uint64]]
F64 = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Kind(IntEnum):
    """How a series' values are to be read. What is stored is always what was sent."""

    BY_NAME = 0
    """The sender did not say; the catalog decides by the metric's name."""
    GAUGE = 1
    COUNTER = 2
    """Only grows; scored as a rate, with the reset rule."""
    UNSCORED = 3
    """Stored and never scored: buckets, `_created`, `_info`, timestamps."""


@dataclass(frozen=True, slots=True)
class Entity:
    """Whom a series speaks of. Decided by enrichment, so it is no part of the identity."""

    service: str = ""
    environment: str = ""
    node: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """The labels of many series as runs of bytes, in the protobuf form of `prometheus.Label`.

    Row i is buffer[start[i]:end[i]], a run of `0A len (0A len name 12 len value)`, lengths in their
    shortest form. READ_SLACK bytes follow the last row. Order, duplicates and empty values are as
    the sender left them.
    """

    buffer: U8
    start: I64
    end: I64

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Series:
    """One series of the catalog, for people and for the API."""

    identity: SeriesId
    tenant: TenantId
    labels: Mapping[str, str]
    kind: Kind
    entity: Entity = field(default_factory=Entity)

    @property
    def metric(self) -> str:
        return self.labels.get(METRIC_NAME, "")


class MatchOp(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector. An absent label counts as the empty string, as in PromQL.

    Regular expressions are anchored at both ends.
    """

    name: str
    op: MatchOp
    value: str
