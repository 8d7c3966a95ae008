"""Bodies on their way to a server: kept within a bound, tried again, the oldest dropped first.

By `http.client`, not by httpx: that logs every request, and an application's log is not ours.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from watchkeeper.sdk.calls import AGAIN

_log: Final = logging.getLogger(__name__)
FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0


class Answer(Enum):
    TAKEN = "taken"
    AGAIN = "again"
    REFUSED = "refused"


class Sender:
    """Used by one thread at a time."""

    def __init__(
        self, url: str, headers: dict[str, str], timeout_s: float, pending_bytes: int
    ) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._headers = headers
        self._timeout_s = timeout_s
        self._limit = pending_bytes
        self._pending: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._connection: HTTPConnection | None = None
        self._failures = 0
        self._not_before = 0.0
        self.dropped = 0
        """Bodies that were too many, or that the server would not have."""

    def put(self, path: str, body: bytes) -> None:
        self._pending.append((path, body))
        self._size += len(body)
        while self._size > self._limit:
            self._forget()
            self.dropped += 1

    def send(self, *, now: bool = False) -> None:
        """All that waits, or until something has to wait longer; `now` does not mind that."""
        if not now and time.monotonic() < self._not_before:
            return
        while self._pending:
            answer = self._post(*self._pending[0])
            if answer is Answer.AGAIN:
                self._wait()
                return
            self._failures = 0
            self.dropped += answer is Answer.REFUSED
            self._forget()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abandon(self) -> None:
        """A child process does not speak by its parent's connection, nor for it."""
        self._connection = None
        self._pending.clear()
        self._size = self._failures = 0

    def _forget(self) -> None:
        self._size -= len(self._pending.popleft()[1])

    def _wait(self) -> None:
        self._not_before = time.monotonic() + min(LONGEST_S, FIRST_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)

    def _post(self, path: str, body: bytes) -> Answer:
        """A connection that was kept may have been closed meanwhile: that alone is tried twice."""
        was_kept = self._connection is not None
        try:
            status, said = self._ask(path, body)
        except (OSError, HTTPException) as error:
            self.close()
            if was_kept:
                return self._post(path, body)
            if self._failures == 0:
                _log.warning("cannot send telemetry to %s: %s", self._host, error)
            return Answer.AGAIN
        if status in AGAIN:
            return Answer.AGAIN
        if status >= 300:
            _log.warning("telemetry was refused: %s %s: %s", path, status, said[:300])
            return Answer.REFUSED
        return Answer.TAKEN

    def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = self._connection
        if connection is None:
            kind = HTTPSConnection if self._tls else HTTPConnection
            connection = kind(self._host, self._port, timeout=self._timeout_s)
            self._connection = connection
        connection.request("POST", f"{self._path}{path}", body, self._headers)
        with connection.getresponse() as response:
            return response.status, response.read()
