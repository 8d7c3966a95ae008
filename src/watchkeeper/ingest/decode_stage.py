"""Decoding beside the door: large bodies of text become columns in processes of their own.

So they cost metric writes no more than the copying of what comes back. A process is started when
the first such body comes.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import replace
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from watchkeeper import plugins, telemetry
from watchkeeper.errors import Retryable
from watchkeeper.ingest.prepare import Request
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.model.signal import Wire

_log: Final = telemetry.Log(__name__)
_DECODED: Final = telemetry.counter(
    "watchkeeper_ingest_decoded_beside_total", "Bodies decoded beside the door.", ("protocol",)
)


class DecodingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bodies are decoded in processes of their own, and in how many."""

    processes: Annotated[
        int, Meta(ge=0, le=64, description="At most so many; 0 decodes all at the door.")
    ] = 1
    from_bytes: Annotated[
        int, Meta(ge=0, description="Bodies of logs and spans at least so large, as sent.")
    ] = 16 << 10


class Chosen(Protocol):
    """A receiver and its settings, as configuration chose it."""

    @property
    def use(self) -> str: ...

    @property
    def settings(self) -> Any: ...


class Decoding:
    """A bounded pool of processes. Closing is safe twice and without use."""

    def __init__(self, config: DecodingConfig, chosen: Mapping[str, Chosen]) -> None:
        """`chosen` has the receivers whose bodies may be decoded here."""
        self._config = config
        self._chosen = chosen
        self._pool: ProcessPoolExecutor | None = None

    async def decoded(self, request: Request, now_ns: int) -> Request:
        """The request with what is in it, where that is to be found out here. Raises BadInput, or
        Retryable if a process died."""
        chosen = self._chosen.get(request.protocol)
        if not self._config.processes or chosen is None:
            return request
        if len(request.body) < self._config.from_bytes:
            return request
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._config.processes, multiprocessing.get_context("forkserver")
            )
        pool = self._pool
        try:
            wire = await asyncio.get_running_loop().run_in_executor(
                pool, _decode, chosen.use, chosen.settings, request.body, request.headers, now_ns
            )
        except BrokenExecutor as error:
            if self._pool is pool:  # whoever notices first
                self._pool = None
                pool.shutdown(wait=False)
            _log.warning("a decoding process died", protocol=request.protocol)
            raise Retryable("ingest: a decoding process died over this body") from error
        _DECODED.add(1, request.protocol)
        return replace(request, decoded=wire)

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _decode(name: str, settings: Any, body: bytes, headers: Mapping[str, str], now_ns: int) -> Wire:
    """In a process of its own."""
    return _receiver(name, settings).decode(body, headers, now_ns=now_ns)


@functools.cache
def _receiver(name: str, settings: Any) -> Receiver:
    receiver: Receiver = plugins.load("receiver", name)(settings)
    return receiver
