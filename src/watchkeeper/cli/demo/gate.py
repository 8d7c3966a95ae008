"""A door before a server: what comes is kept until history is in, then all of it passes, in order.

Who looks at it through `kept` sees the first seconds of whatever begins to tell of itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

_HOST: Final = "127.0.0.1"
_MOST_BYTES: Final = 256 << 20
"""Kept at most; minutes of a small shop."""
_TIMEOUT_S: Final = 30.0
_AT_ONCE: Final = 8
_LOOK_S: Final = 0.1
_BETWEEN: Final = frozenset({"host", "connection", "content-length", "transfer-encoding"})
"""Headers between two neighbours, which do not pass."""
Sender = tuple[str, int]


class Body(NamedTuple):
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    content: bytes


class Answer(NamedTuple):
    status: int
    content: bytes = b""
    media: str = ""


_KEPT: Final = Answer(200)
_FULL: Final = Answer(503, b"the demo has no room for more before its server is ready\n")


class Gate:
    """Leaving the `with` closes it."""

    def __init__(self, server_url: str) -> None:
        self._behind = urlsplit(server_url).netloc
        self._lock = threading.Lock()
        self._waiting: dict[Sender, deque[Body]] = {}
        self._kept: list[Body] = []
        self._size = 0
        self._is_open = False
        self._thread: threading.Thread | None = None
        self._door = _Door((_HOST, 0), _Handler)
        self._door.gate = self
        self.url = f"http://{_HOST}:{self._door.server_port}"

    def start(self) -> None:
        """Until then whoever comes waits at the door."""
        self._thread = threading.Thread(
            target=self._door.serve_forever, args=(_LOOK_S,), daemon=True
        )
        self._thread.start()

    @property
    def kept(self) -> list[Body]:
        """All that came before it was opened, in the order of coming."""
        with self._lock:
            return list(self._kept)

    def open(self, without: Callable[[Body], bool] = lambda _body: False) -> None:
        """Let pass what waits, each sender's in its order, and from then on everything. Of what
        waits, some may be left out."""
        with self._lock:
            self._is_open = True
            self._kept.clear()
            senders = list(self._waiting)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(partial(self._drain, without), senders))

    def take(self, sender: Sender, body: Body) -> Answer:
        """Keep it, or pass it on."""
        with self._lock:
            waiting = self._waiting.get(sender)
            if not self._is_open or waiting is not None:
                if self._size + len(body.content) > _MOST_BYTES:
                    return _FULL
                self._size += len(body.content)
                self._waiting.setdefault(sender, deque()).append(body)
                if not self._is_open:
                    self._kept.append(body)
                return _KEPT
        return self._pass(body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._door.shutdown()
        self._door.server_close()

    def _drain(self, without: Callable[[Body], bool], sender: Sender) -> None:
        while True:
            with self._lock:
                waiting = self._waiting[sender]
                if not waiting:
                    del self._waiting[sender]
                    return
                body = waiting.popleft()
                self._size -= len(body.content)
            if not without(body):
                self._pass(body)

    def _pass(self, body: Body) -> Answer:
        connection = HTTPConnection(self._behind, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", body.path, body.content, dict(body.headers))
            said = connection.getresponse()
            return Answer(said.status, said.read(), said.headers.get("content-type", ""))
        except (OSError, HTTPException) as error:
            return Answer(503, f"the demo's server cannot be reached: {error}\n".encode())
        finally:
            connection.close()


class _Door(ThreadingHTTPServer):
    daemon_threads = True
    gate: Gate

    def handle_error(self, *_: object) -> None:
        """Who is stopped does not wait for an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Door

    def do_POST(self) -> None:
        """Telemetry is posted, all of it."""
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _BETWEEN
        }
        answer = self.server.gate.take(self.client_address[:2], Body(self.path, headers, content))
        self.send_response(answer.status)
        if answer.media:
            self.send_header("content-type", answer.media)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *given: Any) -> None:
        """Nobody reads it."""
