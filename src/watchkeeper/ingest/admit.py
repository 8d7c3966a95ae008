"""What is let in: each sample against the newest of its series, each body against recent ones.

The laws: the same sample again is accepted and has no effect; the same time with another value is
refused, the first wins; older than the newest is stored up to `late_s`, beyond that refused; a body
seen in the last ten minutes is a no-op, so that a retry after a lost answer doubles nothing.

A delta becomes cumulative here, once and before the log: the newest of its series plus itself. So
its sum is as durable as that, and there is no other state. It cannot be put in between later: older
than the newest it is refused. At the time of the newest it counts as repeated; that it adds another
value than then is noticed only until the next restart, for the log holds sums.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.clock import NS_PER_S
from watchkeeper.compiled.memory import reserve
from watchkeeper.ingest import admit_details as details
from watchkeeper.ingest import admit_kernel as kernel
from watchkeeper.ingest.admit_details import AdmittedHistograms
from watchkeeper.model.series import F64, I32, I64, U8, Mask, TenantId
from watchkeeper.model.signal import (
    ExemplarBatch,
    HistogramBatch,
    Reject,
    SampleBatch,
    WireExemplars,
    WireHistograms,
    WireSamples,
)

_NOWHERE: Final = np.empty(0, np.bool_)
NO_TIME = 0
"""`last_ns` of a slot that has had no sample. Times at or before 1970 are refused as too old."""


class AdmitConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on what time a sample may claim, and how long a body is remembered."""

    future_s: Annotated[
        float, Meta(ge=0, description="Samples further ahead of our clock than this are refused.")
    ] = 600.0
    late_s: Annotated[
        float,
        Meta(ge=0, description="Samples older than their series' newest by more are refused."),
    ] = 3600.0
    oldest_s: Annotated[
        float, Meta(gt=0, description="Samples older than this are refused; keep it >= retention.")
    ] = 400 * 86400.0
    body_memory_s: Annotated[
        float, Meta(ge=0, description="How long a repeated body is recognised as a retry.")
    ] = 600.0
    body_memory_count: Annotated[
        int, Meta(ge=1, description="At most this many bodies are remembered.")
    ] = 200_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of one body's samples, and how to take it back."""

    batch: SampleBatch | None
    """None if nothing of it is to be stored."""
    n_duplicates: int
    rejects: tuple[Reject, ...]
    undo: tuple[I32, I64, I64]


class Admission:
    """The newest sample of every series, and recent bodies. Used by the one ingest thread.

    `resumes_sums` says that after a restart `load` and `follow` bring back all that was logged.
    Where they may not, sums begin anew: to a rate that is a reset, and going on from an older sum
    would be a leap.
    """

    def __init__(self, config: AdmitConfig, n_slots: int, *, resumes_sums: bool = True) -> None:
        self._config = config
        self._resumes_sums = resumes_sums
        self._last_ns: I64 = reserve(n_slots, np.int64)
        self._last_bits: I64 = reserve(n_slots, np.int64)
        self._added: I64 = reserve(n_slots, np.int64)
        """The newest deltas; costs memory only for series that have any."""
        self._bodies: OrderedDict[bytes, int] = OrderedDict()

    def knows_body(self, body_hash: bytes, now_ns: int) -> bool:
        seen_ns = self._bodies.get(body_hash)
        return seen_ns is not None and seen_ns >= self._oldest_body_ns(now_ns)

    def remember_body(self, body_hash: bytes, now_ns: int) -> None:
        self._bodies[body_hash] = now_ns
        self._bodies.move_to_end(body_hash)
        oldest_ns = self._oldest_body_ns(now_ns)
        while self._bodies:
            body, seen_ns = next(iter(self._bodies.items()))
            if seen_ns >= oldest_ns and len(self._bodies) <= self._config.body_memory_count:
                break
            del self._bodies[body]

    def admit(
        self, tenant: TenantId, wire: WireSamples, slots: I32, *, body_hash: bytes, now_ns: int
    ) -> Admitted:
        """Judge a decoded body; `slots` is the catalog's answer per row of `wire`."""
        n = len(wire)
        # Sums are written over deltas, and not into what belongs to the receiver.
        value = wire.value if wire.is_delta is None else wire.value.copy()
        is_delta = _NOWHERE if wire.is_delta is None else wire.is_delta
        slot, verdict, undo, counts = self._judge(
            (wire.row, wire.time_ns, value), slots, is_delta, now_ns
        )
        n_accepted = int(counts[kernel.ACCEPTED])
        batch = None
        if n_accepted == n and n:
            batch = SampleBatch(tenant, slot, wire.time_ns, value, body_hash)
        elif n_accepted:
            kept = verdict == kernel.ACCEPTED
            batch = SampleBatch(tenant, slot[kept], wire.time_ns[kept], value[kept], body_hash)
        rejects = self._rejects(counts) if n_accepted < n else ()
        n_duplicates = int(counts[kernel.DUPLICATE])
        return Admitted(batch, n_duplicates, rejects, undo)

    def admit_histograms(
        self, tenant: TenantId, wire: WireHistograms, slots: I32, *, body_hash: bytes, now_ns: int
    ) -> AdmittedHistograms:
        """As `admit`."""
        value = details.fingerprints(wire.payload)
        columns = (wire.row, wire.time_ns, value)
        slot, verdict, undo, counts = self._judge(columns, slots, _NOWHERE, now_ns)
        batch = details.histogram_batch(tenant, wire, slot, verdict, body_hash)
        n_duplicates = int(counts[kernel.DUPLICATE])
        return AdmittedHistograms(batch, n_duplicates, self._rejects(counts), undo)

    def admit_exemplars(
        self, tenant: TenantId, wire: WireExemplars, slots: I32, *, body_hash: bytes, now_ns: int
    ) -> tuple[ExemplarBatch | None, tuple[Reject, ...]]:
        """As `admit`; there is nothing to take back."""
        return details.exemplar_batch(tenant, wire, slots, self._span_ns(now_ns), body_hash)

    def _judge(
        self, columns: tuple[I32, I64, F64], slots: I32, is_delta: Mask, now_ns: int
    ) -> tuple[I32, U8, tuple[I32, I64, I64], I64]:
        """(slot, verdict, how to take it back, counts) of rows of (series, time, value)."""
        row, time_ns, value = columns
        n = len(row)
        slot = np.empty(n, np.int32)
        verdict = np.empty(n, np.uint8)
        undo_ns = np.empty(n, np.int64)
        undo_bits = np.empty(n, np.int64)
        counts = kernel.admit(
            row,
            time_ns,
            (value, is_delta, self._resumes_sums),
            slots,
            self._newest,
            (*self._span_ns(now_ns), round(self._config.late_s * NS_PER_S)),
            (slot, verdict, undo_ns, undo_bits),
        )
        return slot, verdict, (slot, undo_ns, undo_bits), counts

    def _span_ns(self, now_ns: int) -> tuple[int, int]:
        config = self._config
        return (
            max(1, now_ns - round(config.oldest_s * NS_PER_S)),
            now_ns + round(config.future_s * NS_PER_S),
        )

    def take_back(self, admitted: Admitted | AdmittedHistograms) -> None:
        """The log refused the batch: forget that it ever came. Latest admitted first."""
        slot, undo_ns, undo_bits = admitted.undo
        kernel.undo(slot, undo_ns, undo_bits, self._newest)

    def forget_body(self, body_hash: bytes) -> None:
        self._bodies.pop(body_hash, None)

    def forget(self, slots: I32) -> None:
        """These slots have a new owner."""
        self._last_ns[slots] = NO_TIME
        self._last_bits[slots] = 0

    def follow(self, batch: SampleBatch | HistogramBatch) -> None:
        """Apply a batch of the log at restart."""
        if isinstance(batch, SampleBatch):
            value = batch.value
        else:
            value = details.fingerprints(batch.payload)
        kernel.follow(batch.slot, batch.time_ns, value, self._newest)

    def remember_logged_body(self, body_hash: bytes, now_ns: int) -> None:
        """A body of the log at restart; `now_ns` is 0 in front of the log's first tick."""
        if body_hash:
            newest_ns = next(reversed(self._bodies.values()), 0)
            self.remember_body(body_hash, now_ns or newest_ns)

    def dump(self, n_slots: int) -> bytes:
        """All of it, for slots below `n_slots`, to be loaded by `load`."""
        return msgspec.msgpack.encode(
            (
                self._last_ns[:n_slots].tobytes(),
                self._last_bits[:n_slots].tobytes(),
                list(self._bodies.items()),
            )
        )

    def load(self, state: bytes) -> None:
        last_ns, last_bits, bodies = msgspec.msgpack.decode(
            state, type=tuple[bytes, bytes, list[tuple[bytes, int]]]
        )
        # As much as there is room for: where the limit was lowered, no series is beyond it.
        for kept, run in ((self._last_ns, last_ns), (self._last_bits, last_bits)):
            column = np.frombuffer(run, np.int64)[: len(kept)]
            kept[: len(column)] = column
        self._bodies = OrderedDict(bodies)

    @property
    def _newest(self) -> tuple[I64, I64, I64]:
        return self._last_ns, self._last_bits, self._added

    def _oldest_body_ns(self, now_ns: int) -> int:
        return now_ns - round(self._config.body_memory_s * NS_PER_S)

    def _rejects(self, counts: I64) -> tuple[Reject, ...]:
        config = self._config
        words = (
            (kernel.CONFLICT, "conflict", "another value for a time that is already stored"),
            (
                kernel.TOO_OLD,
                "too_old",
                f"older than the series' newest sample by more than {config.late_s:g} s "
                "(ingest.admit.late_s), or than ingest.admit.oldest_s",
            ),
            (
                kernel.FUTURE,
                "future",
                f"more than {config.future_s:g} s ahead of this server's clock; "
                "check the sender's clock, or raise ingest.admit.future_s",
            ),
            (
                kernel.OUT_OF_ORDER,
                "delta_out_of_order",
                "a delta older than its series' newest cannot be summed up any more; send the "
                "points of a series in order and by one way",
            ),
        )
        return tuple(
            Reject(reason, int(counts[verdict]), detail)
            for verdict, reason, detail in words
            if counts[verdict]
        )
