"""Services in which nothing happens: what is raised of several series at once is a false alarm.

Each has 8 to 20 series of mixed families, of those that do not change once. They pass the watcher
as the product runs it: closed cells, and ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from quality import synthetic
from quality.tiers import START_NS
from watchkeeper.analyze.detectors.base import OPENED, Points
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.joint import Joint
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import (
    F64,
    I32,
    I64,
    N_PARTITIONS,
    U8,
    U64,
    Entity,
    Kind,
    Series,
    SeriesId,
    TenantId,
)

STEP_S: Final = 60.0
FEWEST, MOST = 8, 20
TENANT: Final = TenantId("quality")
FAMILIES: Final = tuple(name for name in synthetic.GENERATORS if name not in synthetic.TRUE_CHANGES)
_PART_ROWS: Final = 1440
_NOTHING: Final = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


class OneService:
    """What the watcher asks of a catalog, for as many series as there are names, of one service."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self.partition: U8 = np.zeros(len(names), np.uint8)
        self.identity: U64 = np.stack(
            [np.arange(1, len(names) + 1), np.ones(len(names))], axis=1
        ).astype(np.uint64)

    def entity_of(self, slot: int) -> Entity:
        return Entity(service="quiet")

    def class_of(self, slot: int) -> MetricClass:
        return MetricClass.OTHER

    def series_of(self, slots: I32) -> list[Series]:
        return [self.series(slot) for slot in slots.tolist()]

    def series(self, slot: int) -> Series:
        return Series(
            SeriesId(self.identity[slot].tobytes()),
            TENANT,
            {"__name__": self._names[slot]},
            Kind.GAUGE,
            self.entity_of(slot),
        )


@dataclass(frozen=True, slots=True)
class Quiet:
    """One service, and when something was raised of it, by voice."""

    families: tuple[str, ...]
    opened: dict[str, I64]


def quiet_service(*, weeks: float, seed: int) -> Quiet:
    """Draw a service and watch it."""
    rng = np.random.default_rng([seed, FEWEST, MOST])
    families = rng.choice(FAMILIES, int(rng.integers(FEWEST, MOST + 1))).tolist()
    rows = np.stack(
        [
            synthetic.make(name, step_s=STEP_S, weeks=weeks, seed=seed * 100 + i)
            for i, name in enumerate(families)
        ],
        axis=1,
    )
    said = watched(rows)
    voices = {one.labels["joint"] for one in said} | {"distance", "count"}
    return Quiet(
        tuple(families),
        {
            voice: np.array(
                [
                    one.time_ns - START_NS
                    for one in said
                    if one.labels["joint"] == voice and one.change == OPENED
                ],
                np.int64,
            )
            for voice in sorted(voices)
        },
    )


def watched(rows: F64) -> list[Sighting]:
    """What the watcher says of rows a minute apart."""
    n_members = rows.shape[1]
    catalog = OneService([f"series_{i}" for i in range(n_members)])
    joint = Joint(catalog=catalog, class_of=catalog.class_of)
    slots = np.arange(n_members, dtype=np.int32)
    everywhere = np.ones(N_PARTITIONS, np.bool_)
    said: list[Any] = []
    for begin in range(0, len(rows), _PART_ROWS):
        part = rows[begin : begin + _PART_ROWS]
        time_ns = START_NS + (begin + np.arange(len(part))) * round(STEP_S * NS_PER_S)
        cells = Points(np.tile(slots, len(part)), np.repeat(time_ns, n_members), part.ravel())
        joint.see(Seen(TENANT, _NOTHING, cells, ()))
        said += joint.tick(int(time_ns[-1]) + 300 * NS_PER_S, everywhere)
    return [one for one in said if isinstance(one, Sighting)]
