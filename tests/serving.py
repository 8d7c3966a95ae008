"""Services that say how they fare, second by second, for watchers to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.catalogs import OneByOne
from watchkeeper.analyze.detectors.base import EVIDENCE, OPENED, Findings, Points
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    F64,
    I32,
    N_PARTITIONS,
    U8,
    U64,
    Entity,
    Kind,
    Mask,
    Series,
    SeriesId,
)

MIDNIGHT_NS = 1_700_006_400 * NS_PER_S
ALL = np.ones(N_PARTITIONS, np.bool_)
NOTHING = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
_KINDS = {"_total": Kind.COUNTER, "_count": Kind.COUNTER, "_bucket": Kind.UNSCORED}


class Known(OneByOne):
    """A catalog of series that were announced all at once; partitions follow their number."""

    def __init__(self, labels: Sequence[Mapping[str, str]], first_slot: int = 0) -> None:
        self._labels = dict(enumerate(labels, first_slot))
        n = first_slot + len(labels)
        self.kind: U8 = np.full(n, Kind.GAUGE, np.uint8)
        self.partition: U8 = np.zeros(n, np.uint8)
        self.identity: U64 = np.zeros((n, 2), np.uint64)
        for slot, one in self._labels.items():
            kinds = [kind for end, kind in _KINDS.items() if one["__name__"].endswith(end)]
            self.kind[slot] = kinds[0] if kinds else Kind.GAUGE
            self.identity[slot] = (slot - first_slot + 1, 7)
        self._first = first_slot

    def series(self, slot: int) -> Series:
        labels = self._labels[slot]
        return Series(
            SeriesId(self.identity[slot].tobytes()),
            DEFAULT_TENANT,
            labels,
            Kind(int(self.kind[slot])),
            Entity(
                service=labels.get("service", ""),
                environment=labels.get("environment", ""),
                node=labels.get("node", ""),
            ),
        )

    def lookup(self, identity: U64) -> I32:
        return (identity[:, 0].astype(np.int64) - 1 + self._first).astype(np.int32)


def requests(service: str) -> list[Mapping[str, str]]:
    """The series of a service that tells what it answered."""
    return [
        {"__name__": "http_requests_total", "code": code, "service": service}
        for code in ("200", "500")
    ]


def latencies(
    service: str, bounds: Sequence[str] = ("0.1", "0.25", "0.5", "+Inf")
) -> list[Mapping[str, str]]:
    name = "http_server_request_duration_seconds_bucket"
    return [{"__name__": name, "le": bound, "service": service} for bound in bounds]


@dataclass(slots=True)
class Play:
    """Columns of values by series, one row per step, told to a watcher with a tick per step."""

    watcher: Symptoms
    step_s: int = 10
    now_ns: int = MIDNIGHT_NS
    told: list[Sighting] = field(default_factory=list)

    def say(self, values: F64, *, cut: int = 0, first_slot: int = 0) -> list[Sighting]:
        """A row after the other; NaN is what is not sent. `cut` is how large batches may be."""
        began = len(self.told)
        for row in values:
            self.step(row, ALL, cut=cut, first_slot=first_slot)
        return self.told[began:]

    def step(
        self, row: F64, partitions: Mask, *, cut: int = 0, first_slot: int = 0
    ) -> list[Sighting]:
        """One row, and a tick that is of these partitions."""
        slots = np.flatnonzero(~np.isnan(row)).astype(np.int32)
        size = cut or max(1, len(slots))
        for at in range(0, len(slots), size):
            part = slots[at : at + size]
            time_ns = np.full(len(part), self.now_ns, np.int64)
            points = Points(part + np.int32(first_slot), time_ns, row[part])
            self.watcher.see(Seen(DEFAULT_TENANT, points, NOTHING, []))
        self.now_ns += self.step_s * NS_PER_S
        said = list(self.watcher.tick(self.now_ns, partitions))
        self.told += said
        return said

    def flag(self, *slots: int) -> None:
        """A detector found these series strange, as evidence."""
        n = len(slots)
        at, zero = np.full(n, self.now_ns, np.int64), np.zeros(n)
        findings = Findings(
            slot=np.array(slots, np.int32),
            started_ns=at,
            time_ns=at,
            change=np.full(n, OPENED, np.uint8),
            severity=np.full(n, EVIDENCE, np.uint8),
            value=zero,
            low=zero,
            high=zero,
            p_value=zero,
            learning_s=zero,
            n_learned=np.zeros(n, np.int64),
            streams=np.zeros((n, 1)),
        )
        self.watcher.see(Seen(DEFAULT_TENANT, NOTHING, NOTHING, [("fk", findings)]))


def counted(n: int, per_step: float, share: float, *, seed: int = 0) -> F64:
    """What was answered and what failed, step by step."""
    rng = np.random.default_rng(seed)
    asked = rng.poisson(per_step, n)
    failed = rng.binomial(asked, share)
    return np.stack([asked - failed, failed], 1).astype(np.float64)


def slow_ones(n: int, per_step: float, median_s: float, *, seed: int = 0) -> F64:
    """Requests up to 0.1, 0.25 and 0.5 s, and all, step by step."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        took = median_s * np.exp(0.4 * rng.standard_normal(rng.poisson(per_step)))
        rows.append([np.count_nonzero(took <= bound) for bound in (0.1, 0.25, 0.5, np.inf)])
    return np.array(rows, np.float64)
