"""Calls whose two ends come as two spans: the first waits for the second."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import xxhash

from watchkeeper.clock import NS_PER_S
from watchkeeper.compiled.memory import reserve
from watchkeeper.lake import red_calls_kernel as kernel
from watchkeeper.lake.red_services import Service, Services
from watchkeeper.model.series import I32, U8, U64
from watchkeeper.model.signal import SpanBatch

WAIT_NS: Final = 30 * NS_PER_S
"""The other end comes in this time, or is taken for one that tells nothing of itself."""
_RING: Final = 1 << 17
"""Ends that wait at a time; beyond it the oldest waits no more."""
_AT_ONCE: Final = 4096
_END: Final = np.dtype(
    [
        ("key", "u8"),
        ("peer", "u8"),
        ("duration", "i8"),
        ("since_ns", "i8"),
        ("before", "i8"),
        ("service", "i4"),
        ("kind", "u1"),
        ("failed", "u1"),
        ("answered", "u1"),
        ("pad", "u1"),
    ]
)
PAIR: Final = np.dtype(
    [
        ("key", "u8"),
        ("peer", "u8"),
        ("duration", "i8"),
        ("client", "i4"),
        ("server", "i4"),
        ("failed", "u1"),
        ("pad", "u1", 7),
    ]
)
Pairs = np.ndarray[Any, Any]


class _Kept(msgspec.Struct, array_like=True):
    services: list[Service]
    ends: bytes


_decoder = msgspec.msgpack.Decoder(_Kept)


class Calls:
    """A ring of ends. For one thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ring: Any = reserve(_RING, _END)
        self._heads = np.full(_RING, -1, np.int64)
        self._ends = np.zeros(3, np.int64)
        """The oldest that waits, the next to come, and how many had to go before their time."""

    @property
    def n_lost(self) -> int:
        return int(self._ends[2])

    def meet(self, batch: SpanBatch, service: I32, peers: tuple[U64, U8], now_ns: int) -> Pairs:
        """Pairs that a batch completes; `service` is by origin, -1 for spans that are left out."""
        pairs = np.zeros(kernel.MOST_ANSWERS * len(batch), PAIR)
        tenant = np.uint64(xxhash.xxh3_64_intdigest(batch.tenant.encode()))
        n_pairs = kernel.meet(
            (
                batch.origin, batch.kind, batch.status, batch.duration_ns, batch.trace,
                batch.span, batch.parent,
            ),
            (service, self._services.hash),
            peers,
            (self._ring, self._heads, self._ends, now_ns, tenant),
            pairs,
        )  # fmt: skip
        return pairs[:n_pairs]

    def give_up(self, before_ns: int) -> Pairs:
        """Calls that have had no answer since before a time."""
        found = []
        while True:
            pairs = np.zeros(_AT_ONCE, PAIR)
            n_pairs = kernel.give_up(self._ring, self._ends, before_ns, pairs)
            found.append(pairs[:n_pairs])
            if n_pairs < _AT_ONCE:
                return np.concatenate(found)

    def begin(self, now_ns: int) -> None:
        """Those that came before any time was known came now."""
        first, last, _ = self._ends.tolist()
        waiting = np.arange(first, last) % _RING
        self._ring["since_ns"][waiting[self._ring["since_ns"][waiting] == 0]] = now_ns

    def dump(self, partition: int) -> bytes:
        """Those whose edges are of a partition."""
        waiting = self._waiting()
        waiting = waiting[self._services.edges[waiting["service"]] == partition]
        used, service = np.unique(waiting["service"], return_inverse=True)
        waiting["service"] = service
        known = [self._services.known[number] for number in used.tolist()]
        return msgspec.msgpack.encode(_Kept(known, waiting.tobytes()))

    def forget(self, partition: int) -> None:
        waiting = self._waiting()
        self._refill(waiting[self._services.edges[waiting["service"]] != partition])

    def load(self, state: bytes) -> None:
        """Besides those that wait here."""
        kept = _decoder.decode(state)
        ends = np.frombuffer(kept.ends, _END).copy()
        if len(ends):
            ends["service"] = self._services.numbers(kept.services)[ends["service"]]
        both = np.concatenate([self._waiting(), ends[ends["service"] >= 0]])
        self._refill(both[np.argsort(both["since_ns"], kind="stable")])

    def _waiting(self) -> Pairs:
        first, last, _ = self._ends.tolist()
        found: Pairs = self._ring[np.arange(first, last) % _RING].copy()
        return found

    def _refill(self, ends: Pairs) -> None:
        ends = ends[-_RING:]
        self._heads[:] = -1
        self._ends[:2] = 0, len(ends)
        self._ring[: len(ends)] = ends
        kernel.chain(self._ring, self._heads, len(ends))
