"""Samples of an OTLP body, with the native histograms and exemplars of its data points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from watchkeeper.compiled.wire_kernel import hash_runs
from watchkeeper.ingest.receivers import otlp_details as details
from watchkeeper.ingest.receivers import otlp_point_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.otlp_details import OtlpExemplar
from watchkeeper.ingest.receivers.points import label_block
from watchkeeper.ingest.receivers.remote_write_aside import trace_of_labels
from watchkeeper.model.row import texts
from watchkeeper.model.series import I64, U64, Kind, LabelBlock
from watchkeeper.model.signal import Reject, WireExemplars, WireHistograms, WireSamples

NO_BUCKETS: Final = "exponential_histogram_buckets"
BAD_EXEMPLAR: Final = "bad_exemplar"
_NATIVE: Final = np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03], np.uint64)
"""What makes of the key of a point's count that of its native histogram."""
_WORDS: Final = {
    NO_BUCKETS: "_count and _sum were stored, the buckets were not: send them cumulative, and "
    "with a scale from -4 on",
    BAD_EXEMPLAR: "an exemplar needs a time, a value, and labels of at most 4096 bytes",
}


@dataclass(slots=True)
class Found:
    """Beside samples; rows are those of the WireSamples that it goes with."""

    histograms: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(row, time_ns, payload)"""
    exemplars: list[tuple[int, OtlpExemplar]] = field(default_factory=list)
    n_without_buckets: int = 0
    n_bad_exemplars: int = 0

    def joined(
        self, wire: WireSamples, key: U64, describe: Callable[[I64], LabelBlock]
    ) -> WireSamples:
        """The samples with these, and with series of these keys more."""
        n_more = len(key)
        is_delta = wire.is_delta
        if is_delta is not None:
            is_delta = np.concatenate([is_delta, np.zeros(n_more, np.bool_)])
        return replace(
            wire,
            key=np.concatenate([wire.key, key]),
            kind=np.concatenate([wire.kind, np.full(n_more, Kind.BY_NAME, np.uint8)]),
            is_delta=is_delta,
            describe=describe,
            histograms=self._histograms(),
            exemplars=self._exemplars(),
            rejects=wire.rejects + self._rejects(),
        )

    def _histograms(self) -> WireHistograms | None:
        if not self.histograms:
            return None
        return WireHistograms(
            np.array([row for row, _, _ in self.histograms], np.int32),
            np.array([time_ns for _, time_ns, _ in self.histograms], np.int64),
            texts(payload for _, _, payload in self.histograms),
        )

    def _exemplars(self) -> WireExemplars | None:
        if not self.exemplars:
            return None
        found = [one for _, one in self.exemplars]
        return WireExemplars(
            np.array([row for row, _ in self.exemplars], np.int32),
            np.array([one.time_ns for one in found], np.int64),
            np.array([one.value for one in found], np.float64),
            np.array([trace_of_labels(one.labels) for one in found], np.uint64),
            texts(one.labels for one in found),
        )

    def _rejects(self) -> tuple[Reject, ...]:
        counts = {NO_BUCKETS: self.n_without_buckets, BAD_EXEMPLAR: self.n_bad_exemplars}
        return tuple(Reject(why, n, _WORDS[why]) for why, n in counts.items() if n)


def of_points(raw: bytes, rows: I64, what: I64) -> tuple[Found, list[int]]:
    """What the points have besides that made these rows of the kernel, and the counts' rows of
    those that are native histograms too: their rows follow the others, in this order.

    `what` is the sort of each row's metric.
    """
    found = Found()
    native: list[int] = []
    part = rows[:, kernel.PART]
    for head in np.flatnonzero((part == kernel.VALUE) | (part == kernel.COUNT)).tolist():
        sort = int(what[head])
        if sort == kernel.SUMMARY:
            continue
        point = raw[rows[head, kernel.POINT] : rows[head, kernel.POINT_END]]
        at = head
        if sort == kernel.EXPONENTIAL:
            is_whole = rows[head, kernel.KIND] < kernel.IS_DELTA
            payload = details.native(point) if is_whole else None
            if payload is None:
                found.n_without_buckets += 1
            else:
                at = len(rows) + len(native)
                found.histograms.append((at, int(rows[head, kernel.TIME_NS]), payload))
                native.append(head)
        exemplars, n_bad = details.exemplars(point, sort)
        found.n_bad_exemplars += n_bad
        if exemplars and sort == kernel.HISTOGRAM:
            bounds = schema.otlp()["HistogramDataPoint"].FromString(point).explicit_bounds
            at += 1 + (part[head + 1] == kernel.SUM)
            found.exemplars += [
                (at + details.bucket_of(one.value, bounds), one) for one in exemplars
            ]
        else:
            found.exemplars += [(at, one) for one in exemplars]
    return found, native


def native_keys(rows: I64, native: Sequence[int]) -> U64:
    """The keys of native histograms whose counts are in these rows."""
    counts = np.ascontiguousarray(rows[list(native), : kernel.KIND]).view(np.uint64)
    keys: U64 = counts ^ _NATIVE
    return keys


def with_labelled(
    wire: WireSamples,
    found: Found,
    histograms: Sequence[tuple[bytes, int, bytes]],
    exemplars: Sequence[tuple[bytes, OtlpExemplar]],
    seed: int,
) -> WireSamples:
    """The same of (run of labels, time_ns, payload) and (run of labels, exemplar)."""
    runs = [run for run, _, _ in histograms] + [run for run, _ in exemplars]
    first, n = len(wire.key), len(histograms)
    found.histograms = [(first + k, t, payload) for k, (_, t, payload) in enumerate(histograms)]
    found.exemplars = [(first + n + k, one) for k, (_, one) in enumerate(exemplars)]
    block = label_block(runs)
    key = np.empty((len(runs), 2), np.uint64)
    hash_runs(block.buffer, block.start, block.end, np.uint64(seed), key)

    def describe(rows: I64) -> LabelBlock:
        before = wire.describe(rows[rows < first])
        runs_of = iter(range(len(before)))
        return label_block(
            [
                before.buffer[before.start[at] : before.end[at]].tobytes()
                if row < first and (at := next(runs_of)) >= 0
                else runs[row - first]
                for row in rows.tolist()
            ]
        )

    return found.joined(wire, key, describe)
