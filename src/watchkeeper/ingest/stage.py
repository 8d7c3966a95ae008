"""The one door: bytes of any protocol in, durable samples out, and an answer for the sender.

Bodies wait in a bounded queue. One task takes all that wait as a group, has the ingest thread
prepare them (known body? decode, catalog, admit), makes the group durable in one go, and only then
answers. So a sync is shared by all who wait, and nothing is acknowledged before it is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.bus.base import Bus
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.admit import AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig
from watchkeeper.ingest.decode_stage import Decoding, DecodingConfig
from watchkeeper.ingest.prepare import Accepted, Prepared, Preparer, Request
from watchkeeper.ingest.sources import Sources
from watchkeeper.model.signal import Logged, Tick
from watchkeeper.patience import catching

_log: Final = telemetry.Log(__name__)
_BODIES = telemetry.counter(
    "watchkeeper_ingest_bodies_total", "Bodies by protocol and outcome.", ("protocol", "outcome")
)
_SAMPLES = telemetry.counter(
    "watchkeeper_ingest_samples_total", "Samples that are durable.", ("protocol",)
)
_ROWS = telemetry.counter(
    "watchkeeper_ingest_rows_total",
    "Lines, spans, changes and alerts that are durable.",
    ("protocol",),
)
_REJECTED = telemetry.counter(
    "watchkeeper_ingest_rejected_items_total",
    "Samples, lines, spans, changes and alerts that were not accepted, by reason.",
    ("protocol", "reason"),
)
_DUPLICATES = telemetry.counter(
    "watchkeeper_ingest_duplicate_samples_total",
    "Samples that were already stored, and accepted without effect.",
    ("protocol",),
)
_GATHERING: Final = 3
"""Turns of the event loop before a group is taken: what has come in at other connections in the
meantime is read, and shares the group's thread and sync. Nobody waits for what is not there."""
_PAUSE_S = 0.05
"""After the log refused a group, so that a full disk is not asked in a tight loop."""
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
    rows: AdmitRowsConfig = msgspec.field(default_factory=AdmitRowsConfig)
    decoding: DecodingConfig = msgspec.field(default_factory=DecodingConfig)


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    answer: asyncio.Future[Accepted]


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], None]
    done: asyncio.Future[int]


Group = list[tuple[_Waiting, Prepared | BadInput | Retryable]]


class Ingest:
    """Accepts bodies. `run` must be running; `close` refuses new ones and finishes those inside."""

    def __init__(
        self,
        config: IngestConfig,
        preparer: Preparer,
        *,
        decoding: Decoding | None = None,
        bus: Bus,
        clock: Clock,
        executor: Executor,
    ) -> None:
        self._config = config
        self._preparer = preparer
        self._decoding = decoding
        self._bus = bus
        self._clock = clock
        self._executor = executor
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._jobs: deque[_Job] = deque()
        self._ticked_ns = 0
        self._closing = False
        self.sources = Sources()
        """Who sends, and how that goes."""
        self.position = 0
        """Of the last durable record; a reader who waits for it reads its own writes."""
        self.refusal: str | None = None
        """Why the log took nothing when it was last asked."""

    async def accept(self, request: Request) -> Accepted:
        """Durable when it returns. Raises BadInput, or Retryable when nothing of it was kept."""
        if self._closing:
            raise Retryable("ingest: this server is stopping", after_s=self._config.retry_after_s)
        size = len(request.body)
        if self._queued_bytes and self._queued_bytes + size > self._config.queue_bytes:
            _BODIES.add(1, request.protocol, "overload")
            overload = Retryable(
                "ingest: too much is waiting for the log (ingest.queue_bytes)",
                after_s=self._config.retry_after_s,
            )
            self.sources.told(request, overload, self._clock.now_ns())
            raise overload
        self._queued_bytes += size
        if self._decoding is not None:
            request = await self._decode(self._decoding, request)
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        with telemetry.span("until it is durable"):
            return await waiting.answer

    async def _decode(self, decoding: Decoding, request: Request) -> Request:
        """What is large and slow to read is read beside the door; meanwhile it waits like all."""
        try:
            with catching() as caught, telemetry.span("decode beside the door"):
                return await decoding.decoded(request, self._clock.now_ns())
        except asyncio.CancelledError:  # whoever sent it did not wait
            self._queued_bytes -= len(request.body)
            raise
        self._queued_bytes -= len(request.body)
        outcome = self._unprepared(caught[0], request)
        _BODIES.add(1, request.protocol, _word(outcome))
        self.sources.told(request, outcome, self._clock.now_ns())
        raise outcome

    async def run(self) -> None:
        """Take group after group until closed; a tick each second while nothing arrives."""
        while not (self._closing and not self._queue):
            if not self._queue and not self._jobs:
                self._arrived.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_tick_s()):
                        await self._arrived.wait()
            for _ in range(_GATHERING):
                await asyncio.sleep(0)
            await self._commit(self._take_group())
            while self._jobs:
                await self._do(self._jobs.popleft())

    async def between_groups(self, work: Callable[[], None]) -> int:
        """Have the ingest thread do `work` when all that it prepared is durable; the position of
        the last durable record then."""
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._arrived.set()
        return await job.done

    async def log(self, record: Logged) -> int:
        """Have a record that came in no body made durable; its position. Raises Retryable."""

        def append() -> None:
            self.position = self._bus.append([record])

        return await self.between_groups(append)

    def close(self) -> None:
        self._closing = True
        self._arrived.set()

    def _until_tick_s(self) -> float:
        return max(0.0, 1.0 - (self._clock.now_ns() - self._ticked_ns) / NS_PER_S)

    def _take_group(self) -> list[_Waiting]:
        waiting: list[_Waiting] = []
        size = 0
        while self._queue and (not waiting or size < self._config.group_bytes):
            one = self._queue.popleft()
            waiting.append(one)
            size += len(one.request.body)
        self._queued_bytes -= size
        _WAITING.set(self._queued_bytes)
        return waiting

    async def _commit(self, waiting: list[_Waiting]) -> None:
        """Have the ingest thread make a group durable, and answer everyone in it."""
        now_ns = self._clock.now_ns()
        ticks = now_ns - self._ticked_ns >= NS_PER_S
        if not waiting and not ticks:
            return
        group, refusal = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._make_durable, waiting, now_ns, ticks
        )
        self.refusal = None if refusal is None else str(refusal)
        for one, prepared in group:
            outcome = prepared if refusal is None else refusal
            accepted = outcome.accepted if isinstance(outcome, Prepared) else outcome
            self.sources.told(one.request, accepted, now_ns)
            _answer(one, outcome)
        if refusal is not None:
            await self._clock.sleep(_PAUSE_S)
        elif ticks:
            self._ticked_ns = now_ns

    def _make_durable(
        self, waiting: list[_Waiting], now_ns: int, ticks: bool
    ) -> tuple[Group, Retryable | None]:
        """On the ingest thread: prepare, append, and take all back if the log refuses."""
        group: Group = [(one, self._prepare(one.request, now_ns)) for one in waiting]
        prepared = [outcome for _, outcome in group if isinstance(outcome, Prepared)]
        series = self._preparer.unlogged()
        records: list[Logged] = [*series, *([Tick(now_ns)] if ticks else [])]
        for one in prepared:
            records += one.records
        with catching() as caught:
            if records:
                self.position = self._bus.append(records)
        if caught:
            self._preparer.take_back(prepared)
            return group, self._refusal(caught[0])
        self._preparer.logged(len(series))
        return group, None

    def _refusal(self, error: Exception) -> Retryable:
        """What everybody in a group is told that the log did not take."""
        if isinstance(error, Retryable):
            return error
        _log.failure("group not made durable", error)
        return Retryable(
            f"ingest: a mistake of this server's kept the group from the log: {error!r}; "
            "the server's log says more",
            after_s=self._config.retry_after_s,
        )

    def _prepare(self, request: Request, now_ns: int) -> Prepared | BadInput | Retryable:
        with catching() as caught:
            return self._preparer.prepare(request, now_ns)
        return self._unprepared(caught[0], request)

    def _unprepared(self, error: Exception, request: Request) -> BadInput | Retryable:
        if isinstance(error, BadInput | Retryable):
            return error
        _log.failure("body not understood", error, protocol=request.protocol)
        return _Mistake(request.protocol, error)

    async def _do(self, job: _Job) -> None:
        with catching() as caught:
            await asyncio.get_running_loop().run_in_executor(self._executor, job.work)
        if job.done.done():
            return
        if caught:
            job.done.set_exception(caught[0])
        else:
            job.done.set_result(self.position)


class _Mistake(BadInput):
    """Ours, not the sender's. Not to be retried all the same: it would be made again, and whatever
    waits behind that body would wait with it."""

    def __init__(self, protocol: str, error: Exception) -> None:
        super().__init__(
            f"{protocol}: a mistake of this server's, not of the body: {type(error).__name__}; "
            "the body was left out, and the server's log says more"
        )


def _answer(waiting: _Waiting, outcome: Prepared | BadInput | Retryable) -> None:
    """Tell the sender, if it is still there, and count."""
    protocol = waiting.request.protocol
    if isinstance(outcome, Prepared):
        _count(protocol, outcome)
        if not waiting.answer.done():
            waiting.answer.set_result(outcome.accepted)
        return
    _BODIES.add(1, protocol, _word(outcome))
    if not waiting.answer.done():
        waiting.answer.set_exception(outcome)


def _word(refusal: BadInput | Retryable) -> str:
    return "retry" if isinstance(refusal, Retryable) else "refused"


def _count(protocol: str, one: Prepared) -> None:
    _BODIES.add(1, protocol, "repeated" if one.accepted.repeated else "accepted")
    if one.admitted is None:
        _ROWS.add(one.accepted.n_accepted, protocol)
    else:
        _SAMPLES.add(one.accepted.n_accepted - one.admitted.n_duplicates, protocol)
        _DUPLICATES.add(one.admitted.n_duplicates, protocol)
    for reject in one.accepted.rejects:
        _REJECTED.add(reject.count, protocol, reject.reason)
