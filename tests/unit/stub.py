"""A small HTTP server for tests of commands: answers by a table, remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: Any = b""
    """Bytes as they are; anything else as JSON."""
    headers: dict[str, str] = field(default_factory=dict)


Route = Reply | Callable[[Asked], Reply]


class Stub:
    """`routes` are path -> a reply, a list of replies to be given in turn, or a function."""

    def __init__(self, routes: dict[str, Route | list[Reply]], port: int) -> None:
        self.routes = routes
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[Asked] = []

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        route = self.routes.get(asked.path)
        if route is None:
            return Reply(404, {"detail": f"no {asked.path}"})
        if isinstance(route, list):
            return route.pop(0) if route else Reply(404, {"detail": "no more"})
        return route if isinstance(route, Reply) else route(asked)


@contextmanager
def serving(routes: dict[str, Route | list[Reply]]) -> Iterator[Stub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    stub = server.stub = Stub(routes, server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else each answer waits for an ACK

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        query = parts.query
        if self.headers.get("content-type", "").startswith("application/x-www-form"):
            query = body.decode()
        params = {name: values[-1] for name, values in parse_qs(query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, params, headers, body)
        reply = self.server.stub.answer(asked)  # type: ignore[attr-defined]
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        kind = "text/plain" if isinstance(reply.body, bytes) else "application/json"
        self.send_response(reply.status)
        for name, value in {"content-type": kind, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = _serve  # noqa: N815 - the names that http.server calls
    do_POST = _serve  # noqa: N815
    do_PUT = _serve  # noqa: N815
    do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests' own output is enough."""
