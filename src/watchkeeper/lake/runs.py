"""Samples of some series, one run per series: what head and segments hand to a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from watchkeeper.lake import segment_kernel
from watchkeeper.lake.base import Sieve
from watchkeeper.model.series import F64, I64


@dataclass(frozen=True, slots=True)
class Runs:
    """Run i is rows offset[i]..offset[i + 1], sorted by time, no time twice."""

    offset: I64
    time_ns: I64
    value: F64

    def __len__(self) -> int:
        """How many samples."""
        return len(self.time_ns)

    def part(self, first: int, last: int) -> Runs:
        """Runs first..last alone, without copying samples."""
        a, b = int(self.offset[first]), int(self.offset[last])
        return Runs(self.offset[first : last + 1] - a, self.time_ns[a:b], self.value[a:b])


def sift(runs: Runs, start_ns: int, sieve: Sieve) -> Runs:
    """What a sieve lets through."""
    begin, stop = runs.offset[:-1], runs.offset[1:].copy()
    time_ns, bits = runs.time_ns.copy(), runs.value.view(np.int64).copy()
    segment_kernel.sift_runs(
        time_ns, bits, begin, stop, 1, start_ns, sieve.every_ns, sieve.length_ns
    )
    offset = offsets(stop - begin)
    kept = np.empty((2, offset[-1]), np.int64)
    segment_kernel.copy_runs(time_ns, begin, stop, 1, offset, kept[0])
    segment_kernel.copy_runs(bits, begin, stop, 1, offset, kept[1])
    return Runs(offset, kept[0], kept[1].view(np.float64))


def offsets(count: I64) -> I64:
    """Where each run begins, and the end of the last, from their lengths."""
    offset = np.zeros(len(count) + 1, np.int64)
    np.cumsum(count, out=offset[1:])
    return offset


def merge(sources: Sequence[Runs], n_series: int) -> Runs:
    """The same series' samples from several sources, given in the order of their arrival.

    Of two samples of one time the one that arrived first stays.
    """
    sources = [source for source in sources if len(source)]
    if not sources:
        return Runs(np.zeros(n_series + 1, np.int64), np.empty(0, np.int64), np.empty(0))
    if len(sources) == 1:
        return sources[0]
    before = offsets(np.array([len(source) for source in sources], np.int64))[:-1, None]
    bounds = np.stack([source.offset for source in sources]) + before
    time_ns = np.concatenate([source.time_ns for source in sources])
    bits = np.concatenate([source.value for source in sources]).view(np.int64)
    offset, time_ns, bits = merge_columns(bounds[:, :-1], bounds[:, 1:], time_ns, bits)
    return Runs(offset, time_ns, bits.view(np.float64))


def merge_columns(
    begin: I64, stop: I64, time_ns: I64, bits: I64, into: Sequence[I64] | None = None
) -> tuple[I64, I64, I64]:
    """Offsets, times and bits of merged runs; (begin, stop)[k, s] is source k's run of series s.

    Times and bits lie in the two of `into`, where they are given.
    """
    offset = np.empty(begin.shape[1] + 1, np.int64)
    out_time, out_bits = into or (np.empty_like(time_ns), np.empty_like(bits))
    segment_kernel.concatenate_runs(begin, stop, time_ns, bits, offset, out_time, out_bits)
    kept = segment_kernel.settle_runs(offset, out_time, out_bits)
    return offset, out_time[:kept], out_bits[:kept]
