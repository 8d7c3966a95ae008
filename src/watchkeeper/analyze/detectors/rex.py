"""REX: excursions beyond all that was seen, on the grid that T1 makes.

Six streams: the value itself, its distance from a slow level and from what this hour of the week
was, means of the last points of both, and the value on a scale that is linear near the median and
logarithmic far from it. Each has a range that grows with what it shows and forgets in weeks; how
far outside of it the stream is, in ranges, is squashed, and the root of the sum of squares is how
strange a point is. Only what is stranger than all before it that has not faded is an alarm, and
each alarm makes the next less likely for a while. Memory is counted in points of the series, so
that slow senders are judged by as many as fast ones.

Method: "range excursion" novelty, in the line of extremes over a running record; the ensemble and
its weights are equal by design, because weights fitted to a benchmark did worse on files they were
not fitted to. All of it can be set, and two streams more be heard: the distance from a level twice
as slow, and the mean of five points.

Blind to: the first 60 points; whatever stays within what was seen before, a lull or a wrong hour
included; a rhythm until it was seen once; what comes soon after something stranger. It promises no
rate of false alarms (each record of a growing series is one, and many rare ones among zeros are),
so it claims no more than INFO.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.detectors.base import INFO, Dump, Findings, Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.rex_kernel import (
    N_COUNTS,
    N_HOURS,
    N_MEAN,
    N_STREAMS,
    N_WEEK_MEAN,
    judge,
)
from watchkeeper.analyze.detectors.rows import Rows, become_newcomers
from watchkeeper.model.series import I32, I64, U8, Mask

Stream = Literal[
    "value", "level", "week", "week_mean", "mean", "squashed", "slow_level", "short_mean"
]
AtLeast0 = Annotated[float, Meta(ge=0)]
Above0 = Annotated[float, Meta(gt=0)]

STREAMS: tuple[str, ...] = get_args(Stream)
WEIGHTS = dict.fromkeys(STREAMS[:N_STREAMS], 1.0) | dict.fromkeys(STREAMS[N_STREAMS:], 0.0)
HALVES = dict.fromkeys(STREAMS, 0.06)
GROWTHS = dict.fromkeys(STREAMS, 1.0) | {"level": 0.3}
WAY = np.dtype([("weight", "f8"), ("half", "f8"), ("growth", "f8")])
"""How a stream is listened to."""


def row_dtype(n_streams: int) -> np.dtype[Any]:
    """What is kept of a series by a detector with so many streams."""
    return np.dtype(
        [
            ("last_ns", "i8"),
            ("since_ns", "i8"),  # when the present episode began
            ("last", "f8"),
            ("level", "f8", (1 + (n_streams > N_STREAMS),)),  # and the slow one
            ("size", "f8"),  # mean of |x|
            ("median", "f8"),
            ("median_dev", "f8"),  # median distance from it
            ("squashed", "f8"),  # mean of the squashed value
            ("week_dev", "f8"),  # mean distance from the profile of the week
            ("peak", "f8"),  # of strangeness, fading
            ("habit", "f8"),  # alarms of late, fading
            ("top", "f8"),  # of the present episode; 0 is none
            ("low", "f8", (n_streams,)),
            ("high", "f8", (n_streams,)),
            ("recent", "f8", (N_MEAN,)),
            ("weekly", "f8", (N_WEEK_MEAN,)),  # distances from the profile
            ("counts", "u4", (N_COUNTS,)),  # points by how strange they were
            ("visits", "u1", (N_HOURS,)),  # points learned in each hour of the week
            ("n", "u4"),  # points learned
            ("own", "u1"),  # points that are not a donor's, counted to 255
            ("calm", "u1"),  # points without an alarm in a row within an episode
            ("marks", "u1"),  # bits: 1 has a last point
            ("spare", "u1"),  # rows are whole words
        ]
    )


PERSONAL = ("last_ns", "since_ns", "top", "calm", "marks", "own")
"""What a newcomer does not take over from a donor: its last point and its episode."""


class REX:
    """For business figures, queues and slow sensors, whose trouble is a value never seen before."""

    name = "rex"
    claims = INFO

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the detector `rex`."""

        threshold: Above0 = 2.2
        """How strange a point must be: one stream alone, however far outside, says 4, all 9.8."""
        weights: dict[Stream, AtLeast0] = msgspec.field(default_factory=dict)
        """Of streams, what they say times so much; 1 but for `slow_level` and `short_mean`, 0."""
        halves: dict[Stream, Above0] = msgspec.field(default_factory=dict)
        """Of streams, how far outside its range, in ranges, says half of all it can; 0.06."""
        growths: dict[Stream, Above0] = msgspec.field(default_factory=dict)
        """Of streams, by how much of itself a range grows at a point at most; 1, `level` 0.3."""
        memory_points: Annotated[float, Meta(ge=1)] = 360.0
        """Points in which the strangest fades to a third; weaker alarms are none until then."""
        habit: AtLeast0 = 0.1
        """How much each alarm of late takes off the next."""
        young_points: AtLeast0 = 250.0
        """Points at which an alarm counts half: a young range is left often, for no reason."""

    def __init__(self, config: Config | None = None, *, capacity: int = 1 << 20) -> None:
        config = config or self.Config()
        weights = WEIGHTS | config.weights
        is_wide = any(weights[name] > 0.0 for name in STREAMS[N_STREAMS:])
        self.streams = STREAMS if is_wide else STREAMS[:N_STREAMS]
        self.version = 2 if is_wide else 1
        """Of whoever hears two streams more, the state has other rows."""
        self._settings = (
            config.threshold,
            (config.memory_points, config.habit, config.young_points),
            _ways(weights, HALVES | config.halves, GROWTHS | config.growths),
        )
        self._finding = episodes.finding_dtype(len(self.streams))
        self._rows = Rows(row_dtype(len(self.streams)), capacity)
        self._profile = Rows(np.float32, capacity, N_HOURS)

    @property
    def bytes_per_series(self) -> int:
        return self._rows.bytes_per_row + self._profile.bytes_per_row

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        """Judge grid points. They are gauges by then, so `kind` is not read."""
        self._rows.hold(points.slot)
        self._profile.hold(points.slot)
        found = np.empty(len(points), self._finding)
        n_found = judge(
            (points.slot, points.time_ns, points.value, dials),
            (self._rows.array, self._profile.array),
            self._settings,
            found,
        )
        return episodes.findings(found[:n_found])

    def admit(self, slot: I32, donor: I32) -> None:
        """Start afresh, or with what a donor of the same role has learned but its levels."""
        self._rows.admit(slot, donor)
        self._profile.admit(slot, donor)
        become_newcomers(self._rows.array, slot, PERSONAL)

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        return episodes.holds(self._rows, slot, started_ns)

    def let_go(self, slot: I32) -> None:
        episodes.let_go(self._rows, slot)

    def dump(self, slot: I32) -> Dump:
        return {"row": self._rows.take(slot), "profile": self._profile.take(slot)}

    def load(self, slot: I32, state: Dump) -> None:
        self._rows.put(slot, state["row"])
        self._profile.put(slot, state["profile"])


def _ways(*columns: Mapping[str, float]) -> np.ndarray[Any, Any]:
    """How each stream is listened to, as the kernel reads it."""
    return np.array([tuple(column[name] for column in columns) for name in STREAMS], WAY)
