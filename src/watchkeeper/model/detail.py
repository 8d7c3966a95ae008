"""Native histograms and exemplars as they are kept: with the series that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from watchkeeper.model.row import Origin, Texts
from watchkeeper.model.series import DEFAULT_TENANT, F64, I32, I64, U64, TenantId
from watchkeeper.model.signal import Column


@dataclass(frozen=True, slots=True)
class HistogramRows:
    """Native histograms of one tenant; an origin is a series."""

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "time_ns": Column(np.int64),
        "series": Column(np.uint64, 2),
        "origin": Column(np.int32),
    }
    TEXTS: ClassVar[tuple[str, ...]] = ("payload",)

    origins: tuple[Origin, ...]
    origin: I32
    time_ns: I64
    series: U64
    """(n, 2): the series' identity."""
    payload: Texts
    tenant: TenantId = DEFAULT_TENANT
    body_hash: bytes = b""

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class ExemplarRows:
    """Exemplars of one tenant; an origin is a series."""

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "time_ns": Column(np.int64),
        "value": Column(np.float64),
        "trace": Column(np.uint64, 2),
        "origin": Column(np.int32),
    }
    TEXTS: ClassVar[tuple[str, ...]] = ("attributes",)

    origins: tuple[Origin, ...]
    origin: I32
    time_ns: I64
    value: F64
    trace: U64
    attributes: Texts
    """The exemplar's own labels: a JSON object of texts."""
    tenant: TenantId = DEFAULT_TENANT
    body_hash: bytes = b""

    def __len__(self) -> int:
        return len(self.time_ns)


DetailRows = HistogramRows | ExemplarRows
