"""The one client for every server: keep-alive HTTP/1.1 on plain sockets, bodies made beforehand."""

from __future__ import annotations

import asyncio
import http.client
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

HOST = "127.0.0.1"
N_CONNECTIONS = 4
MAX_HEAD_BYTES = 64 * 1024
TIMEOUT_S = 60.0


class Refused(Exception):
    """A server answered something else than 2xx."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"answered {status}: {text[:300]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Door:
    """Where bodies of one protocol go in at one server."""

    port: int
    path: str
    headers: Mapping[str, str]

    def request(self, body: bytes) -> bytes:
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {HOST}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


@dataclass(slots=True)
class Sent:
    """What became of a round of bodies."""

    wall_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)


class Connection:
    """One keep-alive connection: a request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> tuple[int, str]:
        """Send, wait for the answer: status and text. Raises OSError when the connection breaks."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port, limit=MAX_HEAD_BYTES)
        reader, writer = self._streams
        try:
            async with asyncio.timeout(TIMEOUT_S):
                writer.write(request)
                await writer.drain()
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = _content_length(head)
                text = (await reader.readexactly(length)).decode("utf-8", "replace")
        except (asyncio.IncompleteReadError, TimeoutError, OSError) as error:
            await self.close()
            raise ConnectionError(f"127.0.0.1:{self._port}: {error}") from error
        if "connection: close" in head:
            await self.close()
        return int(head.split(" ", 2)[1]), text

    async def close(self) -> None:
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            return  # the other side had gone before


def _content_length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name == "content-length":
            return int(value)
        if name == "transfer-encoding":
            raise ConnectionError("a chunked answer, which this client does not read")
    return 0


def shards(bodies: Sequence[bytes], n: int = N_CONNECTIONS) -> list[list[bytes]]:
    """Deal bodies out so that body i of every step meets the same connection: order per series."""
    return [list(bodies[first::n]) for first in range(n)]


def post_all(door: Door, steps: Iterable[Sequence[bytes]]) -> Sent:
    """Send every step's bodies over N_CONNECTIONS, as fast as they are answered."""
    queues: list[list[bytes]] = [[] for _ in range(N_CONNECTIONS)]
    for bodies in steps:
        for queue, shard in zip(queues, shards(bodies), strict=True):
            queue.extend(shard)
    try:
        return asyncio.run(_post_queues(door, queues))
    except ExceptionGroup as group:  # one of them says it
        raise group.exceptions[0] from group


async def _post_queues(door: Door, queues: Sequence[Sequence[bytes]]) -> Sent:
    sent = Sent()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for queue in queues:
            group.create_task(_drain(door, queue, sent.latencies_s))
    sent.wall_s = time.perf_counter() - started
    return sent


async def _drain(door: Door, queue: Iterable[bytes], latencies_s: list[float]) -> None:
    connection = Connection(door.port)
    try:
        for body in queue:
            before = time.perf_counter()
            status, text = await connection.post(door.request(body))
            latencies_s.append(time.perf_counter() - before)
            if not 200 <= status < 300:
                raise Refused(status, text)
    finally:
        await connection.close()


def get(port: int, path: str, query: Mapping[str, str] | None = None) -> bytes:
    """One GET on its own connection."""
    return _ask(port, "GET", path + ("?" + urllib.parse.urlencode(query) if query else ""), None)


def post_form(port: int, path: str, form: Mapping[str, str]) -> bytes:
    """One POST of form fields on its own connection."""
    return _ask(port, "POST", path, urllib.parse.urlencode(form))


def _ask(port: int, method: str, path: str, form: str | None) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=300)
    headers = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request(method, path, form, headers)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise Refused(answer.status, data.decode("utf-8", "replace"))
    return data


def wait_until(condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.05) -> bool:
    """Poll until the condition holds; whether it did in time."""
    deadline = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > deadline:
            return False
        time.sleep(every_s)
    return True
