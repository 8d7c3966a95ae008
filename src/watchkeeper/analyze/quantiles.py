"""Histograms to series that can be scored and read: medians, 95 % and 99 % quantiles, rates.

A pure step over accepted records in the order of the log: the same records give the same derived
samples, bit for bit, wherever they are computed. So nothing of it is logged. Blind to: what lies
between two bounds, and to a histogram whose buckets never come to the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from watchkeeper.analyze import quantiles_kernel as kernel
from watchkeeper.clock import NS_PER_S
from watchkeeper.compiled.memory import reserve
from watchkeeper.lake.derived import BUCKETS, NATIVE, QUANTILES, RATE, Links
from watchkeeper.model import histogram_kernel
from watchkeeper.model.histogram import Reader
from watchkeeper.model.series import F64, I32, I64, U8, U64, TenantId
from watchkeeper.model.signal import HistogramBatch, SampleBatch

ROW: Final = np.dtype(
    [
        ("identity", "u8"),  # of the slot's owner when it was looked at, the low half
        ("last_ns", "i8"),  # newest time; of a histogram that of its newest bucket
        ("last", "f8"),
        ("grown", "f8"),  # since all buckets were at one time
        ("bound", "f8"),
        ("group", "i4"),  # slot of the histogram's median, and one more
        ("next", "i4"),
        ("first", "i4"),
        ("second", "i4"),
        ("third", "i4"),
        ("n_members", "i4"),
        ("n_at", "i4"),
        ("mark", "u1"),
        ("pad", "u1", 3),
    ]
)
LOOKBACK_NS: Final = 300 * NS_PER_S
"""A bucket that is silent for so long is waited for no more; as long as PromQL looks back."""
VERSION: Final = 1
_QUANTILES: Final = np.array(QUANTILES)
_NOTHING: Final = [np.nan] * (RATE + 1)
_STALE_BITS: Final = 0x7FF0000000000002
"""Prometheus' staleness marker."""


class KnownSeries(Protocol):
    """What this needs of the catalog."""

    kind: U8
    identity: U64
    last_seen_ns: I64

    def tenant_of(self, slot: int) -> TenantId: ...

    def links(self, tenant: TenantId, slots: I32, *, origin: str) -> Links: ...


class _Native(msgspec.Struct, array_like=True):
    """The newest native histogram of a series, and where its derived samples go."""

    identity: int
    derived: list[int]
    time_ns: int
    payload: bytes


class _Kept(msgspec.Struct, array_like=True):
    """A checkpoint, by number of the slot in the list that was asked for."""

    version: int
    buckets: list[int]
    rows: bytes
    native: list[tuple[int, int, bytes]]


_decoder = msgspec.msgpack.Decoder(_Kept)


class Quantiles:
    """State by slot. For one thread."""

    def __init__(self, catalog: KnownSeries, *, capacity: int) -> None:
        self._catalog = catalog
        self._rows: Any = reserve(max(1, capacity), ROW)
        self._native: dict[int, _Native] = {}
        self._readers: tuple[Reader, Reader] | None = None

    def of_samples(self, batch: SampleBatch, now_ns: int) -> SampleBatch | None:
        """What follows from a batch, in its order; None, and at once, where it holds no bucket.

        `now_ns` is when the series of a histogram count as seen, that of the newest tick.
        """
        n_buckets = kernel.n_unscored(batch.slot, self._catalog.kind)
        if not n_buckets:
            return None
        strange = np.empty(n_buckets, np.int32)
        n_strange = kernel.strangers(
            batch.slot, self._catalog.kind, self._catalog.identity, self._rows, strange
        )
        if n_strange:
            self._acquaint(np.unique(strange[:n_strange]))
        room = len(QUANTILES) * n_buckets
        out = (np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room))
        n_out = kernel.step(
            (batch.slot, batch.time_ns, batch.value),
            self._catalog.kind,
            self._rows,
            LOOKBACK_NS,
            _QUANTILES,
            out,
        )
        self._keep_seen(batch.slot, now_ns)
        return self._checked(batch, *(column[:n_out] for column in out))

    def of_histograms(self, batch: HistogramBatch, now_ns: int) -> SampleBatch | None:
        """The same of native histograms."""
        slots: list[int] = []
        times: list[int] = []
        values: list[float] = []
        for row, slot in enumerate(batch.slot.tolist()):
            time_ns, payload = int(batch.time_ns[row]), batch.payload[row]
            known = self._known_native(batch.tenant, slot)
            if time_ns <= known.time_ns:
                continue  # late
            found = self._between(known, time_ns, payload)
            known.time_ns, known.payload = time_ns, b"" if found is None else payload
            for derived, value in zip(known.derived, found or _NOTHING, strict=True):
                if derived >= 0 and value == value:
                    slots.append(derived)
                    times.append(time_ns)
                    values.append(value)
                if derived >= 0:
                    self._saw(derived, now_ns)
        return self._checked(
            batch, np.array(slots, np.int32), np.array(times, np.int64), np.array(values)
        )

    def dump(self, slots: I32) -> bytes:
        """What is known of some slots, for `load`."""
        mark = self._rows["mark"][slots]
        buckets = np.flatnonzero((mark == kernel.ACTIVE) | (mark == kernel.RESTING))
        native = [
            (row, one.time_ns, one.payload)
            for row, slot in enumerate(slots.tolist())
            if (one := self._native.get(slot)) is not None
        ]
        rows = np.ascontiguousarray(self._rows[slots[buckets]])
        kept = _Kept(VERSION, buckets.tolist(), rows.tobytes(), native)
        return msgspec.msgpack.encode(kept)

    def forget(self, slots: I32) -> None:
        """As if nothing of these had ever come."""
        mark = self._rows["mark"][slots]
        for slot in slots[(mark == kernel.ACTIVE) | (mark == kernel.RESTING)].tolist():
            kernel.leave(self._rows, slot)
        self._rows[slots] = np.zeros((), ROW)
        for slot in slots.tolist():
            self._native.pop(slot, None)

    def load(self, slots: I32, state: bytes) -> None:
        """Go on from a dump: `slots` has where its slots are here, -1 where they have gone. They
        are forgotten before."""
        kept = _decoder.decode(state)
        if kept.version != VERSION:
            return
        rows = np.frombuffer(kept.rows, ROW)
        here = slots[kept.buckets]
        rows, here = rows[here >= 0], here[here >= 0]
        self._acquaint(here)
        for row, slot in zip(rows, here.tolist(), strict=True):
            mine = self._rows[slot]
            if mine["mark"] != kernel.RESTING:  # of a histogram whose series are gone
                continue
            for name in ("last_ns", "last", "grown", "mark"):
                self._rows[name][slot] = row[name]
            if row["mark"] == kernel.ACTIVE:
                self._count_in(slot, int(mine["group"]) - 1)
        for at, time_ns, payload in kept.native:
            if slots[at] >= 0:
                slot = int(slots[at])
                one = self._known_native(self._catalog.tenant_of(slot), slot)
                one.time_ns, one.payload = time_ns, payload

    def _count_in(self, slot: int, group: int) -> None:
        rows = self._rows
        rows["n_members"][group] += 1
        newest, last_ns = int(rows["last_ns"][group]), int(rows["last_ns"][slot])
        if last_ns > newest:
            rows["last_ns"][group], rows["n_at"][group] = last_ns, 1
        elif last_ns == newest:
            rows["n_at"][group] += 1

    def _acquaint(self, slots: I32) -> None:
        """Look whether the owners of these slots are buckets, and of which histograms."""
        rows, catalog = self._rows, self._catalog
        for slot in slots[rows["group"][slots] > 0].tolist():
            kernel.leave(rows, slot)
        rows[slots] = np.zeros((), ROW)
        rows["identity"][slots] = catalog.identity[slots, 0]
        rows["mark"][slots] = kernel.NO_HISTOGRAM
        for tenant, own in self._by_tenant(slots):
            links = catalog.links(tenant, own, origin=BUCKETS)
            for slot, parts, bound in zip(
                own.tolist(), links.derived.tolist(), links.bound.tolist(), strict=True
            ):
                if parts[0] >= 0:
                    self._enter(parts)
                    kernel.join(rows, slot, parts[0], bound)

    def _enter(self, parts: Sequence[int]) -> None:
        """A histogram whose derived series are these."""
        rows, group = self._rows, parts[0]
        for slot in parts:
            if slot >= 0:
                rows["identity"][slot] = self._catalog.identity[slot, 0]
        rows["second"][group], rows["third"][group] = parts[1] + 1, parts[2] + 1

    def _by_tenant(self, slots: I32) -> list[tuple[TenantId, I32]]:
        found: dict[TenantId, list[int]] = {}
        for slot in slots.tolist():
            found.setdefault(self._catalog.tenant_of(slot), []).append(slot)
        return [(tenant, np.array(own, np.int32)) for tenant, own in found.items()]

    def _keep_seen(self, slots: I32, now_ns: int) -> None:
        """Derived series stay in memory for as long as their buckets come."""
        groups = np.unique(self._rows["group"][slots])
        groups = groups[groups > 0] - 1
        for column in (groups, self._rows["second"][groups] - 1, self._rows["third"][groups] - 1):
            self._saw(column[column >= 0], now_ns)

    def _saw(self, slots: Any, now_ns: int) -> None:
        """Never earlier than before: of records that are taken again, and before the first tick
        after a restart, `now_ns` is of the past."""
        seen = self._catalog.last_seen_ns
        seen[slots] = np.maximum(seen[slots], now_ns)

    def _checked(
        self, batch: SampleBatch | HistogramBatch, slot: I32, time_ns: I64, value: F64
    ) -> SampleBatch | None:
        """Without what would go to a slot that has another owner by now."""
        same = self._rows["identity"][slot] == self._catalog.identity[slot, 0]
        if not same.any():
            return None
        return SampleBatch(batch.tenant, slot[same], time_ns[same], value[same])

    def _known_native(self, tenant: TenantId, slot: int) -> _Native:
        identity = int(self._catalog.identity[slot, 0])
        known = self._native.get(slot)
        if known is None or known.identity != identity:
            links = self._catalog.links(tenant, np.array([slot], np.int32), origin=NATIVE)
            parts = links.derived[0].tolist()
            for part in parts:
                if part >= 0:
                    self._rows["identity"][part] = self._catalog.identity[part, 0]
            known = self._native[slot] = _Native(identity, parts, 0, b"")
        return known

    def _between(self, known: _Native, time_ns: int, payload: bytes) -> Sequence[float] | None:
        """Quantiles of what came between two histograms, and its rate; NaN is none. None where the
        series has ended."""
        self._readers = self._readers or (Reader(), Reader())
        before, now = self._readers
        if not now.read(payload):
            return _NOTHING
        if now.head[histogram_kernel.SUM :][:1].view(np.int64)[0] == _STALE_BITS:
            return None
        is_gauge = now.head[histogram_kernel.HINT] == histogram_kernel.HINT_GAUGE
        if is_gauge or not known.payload:
            before.head[:] = 0.0
        else:
            before.read(known.payload)
        out = np.full(len(QUANTILES), np.nan)
        total = kernel.native(
            (before.head, before.index, before.count),
            (now.head, now.index, now.count),
            now.custom,
            _QUANTILES,
            out,
        )
        if is_gauge:
            return [*out.tolist(), np.nan]
        if not known.payload or total < 0:
            return _NOTHING  # nothing to compare it with
        return [*out.tolist(), total / ((time_ns - known.time_ns) / NS_PER_S)]
