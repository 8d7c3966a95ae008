"""A few connections, each used by one thread at a time, replaced when they break."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from psycopg.pq import TransactionStatus

from watchkeeper.errors import ConfigError, Permanent, Retryable
from watchkeeper.store.postgres.server import Connection, Server

T = TypeVar("T")
Job = Callable[[Connection], T]


class Line:
    """One connection, made when it is first needed and again when it is gone."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: Connection | None = None
        self._is_cut = False
        # Between the thread that works and the one that loses patience: a socket's number may
        # belong to somebody else as soon as it is closed.
        self._lock = threading.Lock()

    def use(self, job: Job[T]) -> T:
        """What the job gives. A connection that turns out to have died since it was last used is
        replaced, and the job done again: all of them may be repeated."""
        was_kept = self._connection is not None
        self._is_cut = False
        try:
            return self._attempt(job)
        except Retryable:
            if not was_kept or self._connection is not None or self._is_cut:
                raise
        return self._attempt(job)

    def cut(self) -> None:
        """From another thread: whoever waits for the server gets an error at once."""
        with self._lock:
            self._is_cut = True
            if self._connection is None or self._connection.closed:
                return
            with suppress(OSError), socket.socket(fileno=self._connection.fileno()) as twin:
                try:
                    twin.shutdown(socket.SHUT_RDWR)
                finally:
                    twin.detach()

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _attempt(self, job: Job[T]) -> T:
        with self._server.translated():
            connection = self._open()
            try:
                return job(connection)
            finally:
                if (
                    connection.closed
                    or connection.info.transaction_status != TransactionStatus.IDLE
                ):
                    self.close()

    def _open(self) -> Connection:
        if self._connection is not None:
            return self._connection
        try:
            connection = self._server.connect()
        except ConfigError as error:  # a running process does not end for it
            raise Retryable(str(error), after_s=5.0) from None
        with self._lock:
            self._connection = connection
        return connection


class Lines:
    """Whoever asks gets a line that is idle. Work goes on if who asked for it is cancelled."""

    def __init__(self, server: Server, n_lines: int, *, name: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lines = [Line(server) for _ in range(n_lines)]
        self._idle: asyncio.Queue[Line] = asyncio.Queue()
        for line in self._lines:
            self._idle.put_nowait(line)
        self._threads = ThreadPoolExecutor(n_lines, thread_name_prefix=name)
        self._is_closed = False

    async def run(self, job: Job[T]) -> T:
        line = await self._idle.get()
        if self._is_closed:
            self._idle.put_nowait(line)
            raise Permanent("store: is closed; nothing can be read or saved any more")
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, line.use, job)
        alarm = loop.call_later(self._timeout_s, line.cut)

        def finish(done: asyncio.Future[T]) -> None:
            alarm.cancel()
            self._idle.put_nowait(line)
            done.exception()  # seen, also if nobody waits any more

        future.add_done_callback(finish)
        await asyncio.wait([future])
        return future.result()

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._threads.shutdown)
        for line in self._lines:
            line.close()
