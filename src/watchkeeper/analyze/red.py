"""Requests, errors and durations from spans: series like any other, to be scored and read.

A pure step over accepted records in the order of the log, as `quantiles.py` is: the same records
give the same samples, bit for bit, however batches were cut and wherever it runs, so nothing of it
is logged. Spans count when they come: a histogram that grows later than its spans were made is
right, one that changes its past is none.

Blind to: spans that were sampled away by their sender (rates are those of what came), those that
come more than an hour after they ended, and calls whose two ends come to different processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from watchkeeper.analyze import red_kernel as kernel
from watchkeeper.clock import NS_PER_S
from watchkeeper.compiled.memory import reserve
from watchkeeper.lake import red_groups, red_places
from watchkeeper.lake.red import BOUNDS_S, N_BUCKETS, N_SERIES
from watchkeeper.lake.red_calls import WAIT_NS
from watchkeeper.lake.red_groups import MAX_GROUPS, Counted, Groups, Kept
from watchkeeper.lake.red_places import Places
from watchkeeper.model.series import I64, N_PARTITIONS, Mask, TenantId
from watchkeeper.model.signal import SampleBatch, SpanBatch

STEP_NS: Final = 10 * NS_PER_S
"""Boundaries at which groups are told: multiples of it, on the first tick behind each."""
QUIET_NS: Final = 300 * NS_PER_S
"""So long a group is told that counts nothing: a rate of zero, then silence."""
IDLE_NS: Final = 3600 * NS_PER_S
"""After so long it is forgotten, and begins again from zero."""
VERSION: Final = 1
ROW: Final = np.dtype(
    [
        ("bucket", "i8", N_BUCKETS),
        ("told", "f8", N_SERIES),
        ("sum_ns", "i8"),
        ("errors", "i8"),
        ("told_ns", "i8"),
        ("changed_ns", "i8"),
        ("is_changed", "i8"),
    ]
)
_BOUNDS_NS: Final[I64] = np.array([round(bound * NS_PER_S) for bound in BOUNDS_S], np.int64)


class KnownSeries(red_groups.KnownSeries, red_places.KnownSeries, Protocol):
    """What this needs of the catalog."""


class _State(msgspec.Struct, array_like=True):
    """A checkpoint of one partition."""

    version: int
    now_ns: int
    boundary_ns: int
    groups: Kept
    rows: bytes


_decoder = msgspec.msgpack.Decoder(_State)


class Red:
    """State by group, of which there are so many and no more. For one thread."""

    def __init__(self, catalog: KnownSeries) -> None:
        self._groups = Groups(catalog)
        self._places = Places(catalog, MAX_GROUPS)
        self._rows: Any = reserve(MAX_GROUPS, ROW)
        self._boundary_ns: I64 = np.zeros(N_PARTITIONS, np.int64)
        """By partition, the last that was told; 0 before the first, which is a beginning."""
        self._now_ns = 0
        """Of the newest tick."""

    def of_spans(self, batch: SpanBatch, live: Mask | None = None) -> None:
        """Count them. `live` are the partitions of which they are news; all, if not given."""
        self._count(self._groups.of(batch, self._now_ns, live))

    def tick(self, now_ns: int, live: Mask | None = None) -> Sequence[SampleBatch]:
        """What is to be told now, tenant by tenant; `live` are the partitions that it is now in."""
        if not self._now_ns:
            self._groups.calls.begin(now_ns)
        self._now_ns = max(self._now_ns, now_ns)
        boundary_ns = now_ns // STEP_NS * STEP_NS
        is_due = self._boundary_ns < boundary_ns
        if live is not None:
            is_due &= live
        if not is_due.any():
            return ()
        self._count(self._groups.give_up(now_ns - WAIT_NS))
        begins = self._boundary_ns == 0
        self._boundary_ns[is_due] = boundary_ns
        partition = self._groups.partition[: len(self._groups.known)]
        due = self._awake(
            np.flatnonzero((partition >= 0) & (is_due & ~begins)[partition]), boundary_ns
        )
        by_tenant: dict[TenantId, list[int]] = {}
        for number in due.tolist():
            group = self._groups.known[number]
            if group is not None:
                by_tenant.setdefault(group.tenant, []).append(number)
        told = (
            self._told(tenant, np.array(by_tenant[tenant]), boundary_ns)
            for tenant in sorted(by_tenant)
        )
        return [batch for batch in told if batch is not None]

    def dump(self, partition: int) -> bytes:
        """What is known of a partition, for `load`."""
        numbers = self._groups.of_partition(partition)
        state = _State(
            VERSION,
            self._now_ns,
            int(self._boundary_ns[partition]),
            self._groups.dump(partition, numbers),
            self._rows[numbers].tobytes(),
        )
        return msgspec.msgpack.encode(state)

    def forget(self, partition: int) -> None:
        """As if nothing of it had ever come."""
        self._lose(self._groups.of_partition(partition))
        self._groups.calls.forget(partition)
        self._boundary_ns[partition] = 0

    def load(self, partition: int, state: bytes) -> None:
        """Go on from a dump. The partition is forgotten before."""
        kept = _decoder.decode(state)
        if kept.version != VERSION:
            return
        numbers = self._groups.load(kept.groups)
        here = numbers >= 0
        self._rows[numbers[here]] = np.frombuffer(kept.rows, ROW)[here]
        self._boundary_ns[partition] = kept.boundary_ns
        # Of several, the one that is furthest behind says from when the log is read again.
        self._now_ns = min(self._now_ns or kept.now_ns, kept.now_ns)

    def _count(self, counted: Counted) -> None:
        if len(counted.group):
            kernel.count(counted, _BOUNDS_NS, self._rows)

    def _awake(self, numbers: I64, boundary_ns: int) -> I64:
        """Those that counted something lately. Who did not for long is forgotten."""
        rows = self._rows
        is_changed = rows["is_changed"][numbers] > 0
        changed_ns = np.where(is_changed, boundary_ns, rows["changed_ns"][numbers])
        self._lose(numbers[changed_ns < boundary_ns - IDLE_NS])
        return numbers[changed_ns >= boundary_ns - QUIET_NS]

    def _told(self, tenant: TenantId, numbers: I64, boundary_ns: int) -> SampleBatch | None:
        slots = self._places.of(numbers, self._groups.known)
        room = 2 * slots.size
        out = (np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room))
        n_out = kernel.tell(numbers, slots, self._rows, (boundary_ns, boundary_ns - STEP_NS), out)
        if not n_out:
            return None
        self._places.seen(slots, self._now_ns)
        return SampleBatch(tenant, out[0][:n_out], out[1][:n_out], out[2][:n_out])

    def _lose(self, numbers: I64) -> None:
        if len(numbers):
            self._groups.lose(numbers)
            self._places.forget(numbers)
            self._rows[numbers] = np.zeros((), ROW)
