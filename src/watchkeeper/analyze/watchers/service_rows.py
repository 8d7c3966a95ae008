"""What is kept of a service whose symptoms are watched, and of each series that plays a part."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from watchkeeper.compiled.memory import reserve

Array = np.ndarray[Any, Any]

SERIES: Final = np.dtype(
    [
        ("identity", "u8"),  # of the slot's owner when it was looked at, the low half
        ("last_ns", "i8"),
        ("last", "f8"),
        ("service", "i4"),  # its row, and one more
        ("scale", "f4"),
        ("part", "u1"),  # a Part, or 0
        ("rank", "u1"),
        ("bound", "u1"),  # of a bucket, its column
        ("pad", "u1", 5),
    ]
)
SERVICE: Final = np.dtype(
    [
        ("next_bin", "i8"),  # to be judged next; 0 before the first sample
        ("first_bin", "i8"),
        ("newest_ns", "i8"),  # event time
        ("arrived_ns", "i8"),  # by the ticks
        ("first_ns", "i8"),  # by the ticks
        ("live_ns", "i8"),  # by the ticks: since when it tells of now, and not of the past
        ("counted_ns", "i8"),  # event time of the newest that was counted of requests
        ("look_second", "i8"),  # the newest second of `looks`
        ("looked_second", "i8"),  # up to which was looked
        ("interval_s", "f4"),  # between samples of one series, of the slow ones
        ("step_s", "f4"),  # between samples of all series, of the quick ones
        ("late_s", "f4"),  # the longest that a sample came behind others, fading
        ("gap_s", "f4"),  # mean between arrivals
        ("longest_s", "f4"),  # the longest, fading
        ("n_arrivals", "u4"),
        ("request_rank", "u1"),
        ("latency_rank", "u1"),
        ("n_bounds", "u1"),
        ("partition", "u1"),
        ("is_live", "u1"),
        ("tells_latency", "u1"),
        ("bucket", "i2"),  # of the day's profile that is being filled, and one more
        ("half_hour", "i2"),  # the same of `known`
        ("pad", "i2"),
        ("requests", "f4"),  # fading sums: what is usual of errors
        ("errors", "f4"),
        ("error_blocks", "f4"),
        ("error_scatter", "f4"),  # sums whose quotient is the scatter; see the kernel
        ("error_weight", "f4"),
        ("error_bins", "f4"),  # the same of single bins, for looks
        ("error_bin_scatter", "f4"),
        ("error_bin_weight", "f4"),
        ("latency_blocks", "f4"),
        ("latency_scatter", "f4"),
        ("latency_weight", "f4"),
        ("latency_bins", "f4"),
        ("latency_bin_scatter", "f4"),
        ("latency_bin_weight", "f4"),
        ("traffic_blocks", "f4"),
        ("traffic_scatter", "f4"),
        ("traffic_weight", "f4"),
        ("traffic_bins", "f4"),
        ("traffic_bin_scatter", "f4"),
        ("traffic_bin_weight", "f4"),
        ("recent", "f4"),  # log rate of the last minutes
        ("drift", "f4"),  # log rate beside the day's profile
        ("bucket_sum", "f4"),
        ("bucket_n", "f4"),
        ("share_level", "f4"),  # logit of the fullest resource
        ("share_dev", "f4"),
        ("share_n", "f4"),
        ("queue_level", "f4"),  # log1p of the longest queue
        ("queue_dev", "f4"),
        ("queue_n", "f4"),
        ("series", "u8", 2),  # the last two series that were evidence, the low half of each
        ("series_ns", "i8", 2),
    ]
)
SYMPTOM: Final = np.dtype(
    [
        ("started_ns", "i8"),
        ("closed_ns", "i8"),
        ("peak", "f4"),
        ("half_hour_peak", "f4"),
        ("share", "f4"),  # of requests that were bad as it was told
        ("spare", "f4"),
        ("value", "f8"),
        ("low", "f8"),
        ("high", "f8"),
        ("is_open", "u1"),
        ("calm", "u1"),
        ("is_page", "u1"),
        ("is_calibrated", "u1"),
        ("is_held", "u1"),  # a silence that others share speaks through their outage
        ("pad", "u1", 3),
    ]
)
FOUND: Final = np.dtype(
    [
        ("service", "i4"),
        ("symptom", "u1"),
        ("change", "u1"),
        ("is_calibrated", "u1"),
        ("pad", "u1"),
        ("started_ns", "i8"),
        ("time_ns", "i8"),
        ("value", "f8"),
        ("low", "f8"),
        ("high", "f8"),
        ("score", "f8"),
        ("n", "f8"),
    ]
)

SYMPTOMS: Final = ("errors", "latency", "traffic", "surge", "saturation", "silence")
SILENCE: Final = 5
SURGE: Final = 3
N_BINS: Final = 64
N_SECONDS: Final = 64
N_COLUMNS: Final = 24
N_BOUNDS: Final = 19
N_BUCKETS: Final = 288
N_HALF_HOURS: Final = 48


class Settings(NamedTuple):
    """What the kernels read of the configuration, in their units."""

    open_at: float
    page_at: float
    learning_ns: int
    rearm_ns: int
    lag_ns: int
    least_requests: float
    error_ratio: float
    error_rise: float
    latency_ratio: float
    latency_rise_s: float
    least_drop: float
    least_surge: float
    full: float


class State(NamedTuple):
    """Arrays with a row per service."""

    service: Array
    symptom: Array
    ring: Array
    """Ten-second bins: requests, errors, share, queue, coverage, then requests up to each bound."""
    looks: Array
    """Seconds, of requests, errors and bounds alone."""
    bounds: Array
    """In seconds; the first is infinity."""
    usual: Array
    """Fading sums of the requests up to each bound."""
    profile: Array
    """Log rate by time of day; 0 where nothing is known."""
    known: Array
    """Scores that are usual at this half hour of the day."""
    peaks: Array
    """The greatest of its last time, which is yet to be learned, and one more."""

    @staticmethod
    def room(n: int) -> State:
        """For so many services; memory is taken where it is touched."""
        n_symptoms = len(SYMPTOMS)
        return State(
            reserve(n, SERVICE),
            reserve((n, n_symptoms), SYMPTOM),
            reserve((n, N_BINS, N_COLUMNS), np.float32),
            reserve((n, N_SECONDS, N_COLUMNS), np.float32),
            reserve((n, N_BOUNDS), np.float32),
            reserve((n, N_BOUNDS), np.float32),
            reserve((n, N_BUCKETS), np.float32),
            reserve((n, n_symptoms, N_HALF_HOURS), np.float32),
            reserve((n, n_symptoms, N_HALF_HOURS), np.float32),
        )

    def clear(self, row: int) -> None:
        for array in self:
            array[row] = np.zeros((), array.dtype)
        self.service[row]["request_rank"] = self.service[row]["latency_rank"] = 255

    def take(self, rows: Array) -> list[bytes]:
        return [np.ascontiguousarray(array[rows]).tobytes() for array in self]

    def put(self, rows: Array, kept: list[bytes]) -> None:
        """Where a row is -1, what was kept of it is let go of."""
        here = rows >= 0
        for array, data in zip(self, kept, strict=True):
            whole = np.frombuffer(data, array.dtype).reshape(len(rows), *array.shape[1:])
            array[rows[here]] = whole[here]
