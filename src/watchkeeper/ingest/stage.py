"""The one door: bytes of any protocol in, durable samples out, and an answer for the sender.

Bodies wait in a bounded queue. One task takes all that wait as a group, has the ingest thread
prepare them (known body? decode, catalog, admit), makes the group durable in one go, and only then
answers. So a sync is shared by whoever is waiting, and nothing is acknowledged before it is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Annotated

import msgspec
import xxhash
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.bus.base import SAMPLES, Bus
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.admit import Admission, Admitted, AdmitConfig
from watchkeeper.ingest.receivers.base import MetricReceiver
from watchkeeper.lake.series import Catalog
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import Logged, NewSeries, Reject, Tick

_BODIES = telemetry.counter(
    "watchkeeper_ingest_bodies_total", "Bodies by protocol and outcome.", ("protocol", "outcome")
)
_SAMPLES = telemetry.counter(
    "watchkeeper_ingest_samples_total", "Samples that are durable.", ("protocol",)
)
_REJECTED = telemetry.counter(
    "watchkeeper_ingest_rejected_samples_total",
    "Samples that were not accepted, by reason.",
    ("protocol", "reason"),
)
_DUPLICATES = telemetry.counter(
    "watchkeeper_ingest_duplicate_samples_total",
    "Samples that were already stored, and accepted without effect.",
    ("protocol",),
)
_WAITING = telemetry.gauge("watchkeeper_ingest_waiting_bytes", "Bodies that wait for the log.")


class IngestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may wait at the door, and what is let in."""

    queue_bytes: Annotated[
        int,
        Meta(ge=1, description="Bodies waiting for the log; beyond it senders are told to retry."),
    ] = 64 << 20
    group_bytes: Annotated[
        int, Meta(ge=1, description="Bodies made durable together with one sync, at most.")
    ] = 8 << 20
    retry_after_s: Annotated[
        float, Meta(gt=0, description="What an overloaded answer tells senders to wait.")
    ] = 1.0
    admit: AdmitConfig = msgspec.field(default_factory=AdmitConfig)


@dataclass(frozen=True, slots=True)
class Request:
    """One body as it came."""

    protocol: str
    body: bytes
    headers: Mapping[str, str]
    tenant: TenantId


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to tell the sender, once it is durable."""

    n_accepted: int
    rejects: tuple[Reject, ...] = ()
    repeated: bool = False
    """The body is known, and nothing was done."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    answer: asyncio.Future[Accepted]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request that was let in, before it is durable."""

    waiting: _Waiting
    accepted: Accepted
    body_hash: bytes
    admitted: Admitted | None


class Ingest:
    """Accepts bodies. `run` must be running; `close` refuses new ones and finishes those inside."""

    def __init__(
        self,
        config: IngestConfig,
        *,
        receivers: Mapping[str, MetricReceiver],
        catalog: Catalog,
        admission: Admission,
        bus: Bus,
        clock: Clock,
        executor: Executor,
    ) -> None:
        self._config = config
        self._receivers = receivers
        self._catalog = catalog
        self._admission = admission
        self._bus = bus
        self._clock = clock
        self._executor = executor
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._unlogged: list[NewSeries] = []
        self._ticked_ns = 0
        self._closing = False
        self.position = 0
        """Of the last durable record; a reader who waits for it reads its own writes."""

    async def accept(self, request: Request) -> Accepted:
        """Durable when it returns. Raises BadInput, or Retryable when nothing of it was kept."""
        if self._closing:
            raise Retryable("ingest: this server is stopping", after_s=self._config.retry_after_s)
        size = len(request.body)
        if self._queued_bytes and self._queued_bytes + size > self._config.queue_bytes:
            _BODIES.add(1, request.protocol, "overload")
            raise Retryable(
                "ingest: too much is waiting for the log (ingest.queue_bytes)",
                after_s=self._config.retry_after_s,
            )
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_bytes += size
        self._arrived.set()
        return await waiting.answer

    async def run(self) -> None:
        """Take group after group until closed; a tick each second while nothing arrives."""
        while not (self._closing and not self._queue):
            if not self._queue:
                self._arrived.clear()
                try:
                    async with asyncio.timeout(self._until_tick_s()):
                        await self._arrived.wait()
                except TimeoutError:
                    pass
            await self._commit(self._take_group())

    def close(self) -> None:
        self._closing = True
        self._arrived.set()

    def _until_tick_s(self) -> float:
        return max(0.0, 1.0 - (self._clock.now_ns() - self._ticked_ns) / NS_PER_S)

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._queue and (not group or size < self._config.group_bytes):
            waiting = self._queue.popleft()
            group.append(waiting)
            size += len(waiting.request.body)
        self._queued_bytes -= size
        _WAITING.set(self._queued_bytes)
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        """Prepare a group, make it durable, answer everyone in it."""
        now_ns = self._clock.now_ns()
        loop = asyncio.get_running_loop()
        prepared, new_series = await loop.run_in_executor(
            self._executor, self._prepare_all, group, now_ns
        )
        self._unlogged.extend(new_series)
        records: list[Logged] = [*self._unlogged]
        if now_ns - self._ticked_ns >= NS_PER_S:
            records.append(Tick(now_ns))
        records.extend(
            one.admitted.batch for one in prepared if one.admitted and one.admitted.batch
        )
        try:
            if records:
                self.position = await self._bus.publish(SAMPLES, records)
        except Retryable as refusal:
            await loop.run_in_executor(self._executor, self._take_back, prepared)
            for one in prepared:
                _BODIES.add(1, one.waiting.request.protocol, "not_durable")
                _refuse(one.waiting, refusal)
            await self._clock.sleep(0.05)
            return
        self._unlogged.clear()
        if records and now_ns - self._ticked_ns >= NS_PER_S:
            self._ticked_ns = now_ns
        for one in prepared:
            _count(one)
            if not one.waiting.answer.done():
                one.waiting.answer.set_result(one.accepted)

    # Below: on the ingest thread.

    def _prepare_all(
        self, group: Sequence[_Waiting], now_ns: int
    ) -> tuple[list[_Prepared], list[NewSeries]]:
        prepared: list[_Prepared] = []
        new_series: list[NewSeries] = []
        for waiting in group:
            try:
                prepared.append(self._prepare(waiting, new_series, now_ns))
            except (BadInput, Retryable) as refusal:
                _BODIES.add(1, waiting.request.protocol, "refused")
                waiting.answer.get_loop().call_soon_threadsafe(_refuse, waiting, refusal)
        return prepared, new_series

    def _prepare(self, waiting: _Waiting, new_series: list[NewSeries], now_ns: int) -> _Prepared:
        request = waiting.request
        body_hash = _hash(request)
        if self._admission.knows_body(body_hash):
            return _Prepared(waiting, Accepted(0, repeated=True), body_hash, None)
        wire = self._receivers[request.protocol].decode(
            request.body, request.headers, now_ns=now_ns
        )
        resolved = self._catalog.resolve(request.tenant, wire, now_ns)
        if resolved.new is not None:
            self._admission.forget(resolved.new.slot)
            new_series.append(resolved.new)
        admitted = self._admission.admit(
            request.tenant, wire, resolved.slots, body_hash=body_hash, now_ns=now_ns
        )
        n_accepted = len(admitted.batch) if admitted.batch else 0
        if n_accepted:
            self._admission.remember_body(body_hash, now_ns)
        accepted = Accepted(
            n_accepted + admitted.n_duplicates,
            wire.rejects + resolved.rejects + admitted.rejects,
        )
        return _Prepared(waiting, accepted, body_hash, admitted)

    def _take_back(self, prepared: Sequence[_Prepared]) -> None:
        for one in reversed(prepared):
            if one.admitted is not None:
                self._admission.take_back(one.admitted, one.body_hash)


def _hash(request: Request) -> bytes:
    """Of a body within its tenant and protocol."""
    digest = xxhash.xxh3_128(request.tenant)
    digest.update(request.protocol)
    digest.update(request.body)
    return digest.digest()


def _refuse(waiting: _Waiting, refusal: BadInput | Retryable) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(refusal)


def _count(one: _Prepared) -> None:
    protocol = one.waiting.request.protocol
    _BODIES.add(1, protocol, "repeated" if one.accepted.repeated else "accepted")
    if one.admitted is not None and one.admitted.batch is not None:
        _SAMPLES.add(len(one.admitted.batch), protocol)
    if one.admitted is not None and one.admitted.n_duplicates:
        _DUPLICATES.add(one.admitted.n_duplicates, protocol)
    for reject in one.accepted.rejects:
        _REJECTED.add(reject.count, protocol, reject.reason)
