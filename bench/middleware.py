"""What the middleware costs a Flask application: the same one bare and observed, taking turns.

Both are processes of their own, served by waitress over HTTP with connections that are kept. Turns
are short and alternate, so that whatever else the machine does falls on both. Counted is the CPU
time of the whole process, with the thread that encodes and sends, whenever it does; spans, metrics
and log lines go to a door that takes everything.
The handler answers a few values as JSON and nothing else, so a real one's share is smaller.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from bench.peers import Unmeasurable
from bench.report import print_table, progress
from bench.suite import Measured, Options

TARGETS: Final[Mapping[str, tuple[str, float]]] = {"overhead": ("<=", 0.05)}
PATHS: Final = ("/health", "/inventory/4711", "/inventory/12", "/payment/9000001")
TURN: Final = 100
"""Requests of one turn."""
SETTLE_S: Final = 1.3
"""Longer than the middleware gathers before it sends."""


@dataclass(slots=True)
class Contender:
    name: str
    connection: HTTPConnection
    cost_us: list[float] = field(default_factory=list)
    """CPU a request, round by round."""
    began_ns: int = 0

    def ask(self, n: int) -> None:
        for number in range(n):
            self._get(PATHS[number % len(PATHS)])

    def begin(self) -> None:
        self.began_ns = self._cpu_ns()

    def end(self, n: int) -> None:
        """A round of so many requests is over, with what was put off in it."""
        self.cost_us.append((self._cpu_ns() - self.began_ns) / n / 1e3)

    def _cpu_ns(self) -> int:
        return int(self._get("/cpu"))

    def _get(self, path: str) -> bytes:
        self.connection.request("GET", path)
        with self.connection.getresponse() as response:
            body = response.read()
        if response.status != 200:
            raise Unmeasurable(f"{self.name}: {path} answered {response.status}")
        return body


class Door(BaseHTTPRequestHandler):
    """Takes every body, and counts them."""

    protocol_version = "HTTP/1.1"
    bodies: Final[list[int]] = []

    def do_POST(self) -> None:
        self.bodies.append(len(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def run(options: Options) -> Measured:
    n_turns, n_rounds = (3, 2) if options.quick else (30, 10)
    Door.bodies.clear()
    with ExitStack() as stack:
        door = stack.enter_context(_door())
        both = [stack.enter_context(served(*one)) for one in (("bare", "-"), ("observed", door))]
        for one in both:
            one.ask(10 * TURN)
        for number in range(n_rounds):
            progress(f"round {number + 1} of {n_rounds}")
            _round(both if number % 2 else both[::-1], n_turns)
    bare, observed = both
    if not Door.bodies:
        raise Unmeasurable("the observed application sent nothing")
    return figures(bare.cost_us, observed.cost_us), [
        f"medians of {n_rounds} rounds of {n_turns} turns of {TURN} requests; CPU of the process",
        f"{len(Door.bodies)} bodies were taken, {sum(Door.bodies):,} bytes",
    ]


def _round(contenders: Sequence[Contender], n_turns: int) -> None:
    for one in contenders:
        one.begin()
    for _ in range(n_turns):
        for one in contenders:
            one.ask(TURN)
    time.sleep(SETTLE_S)
    for one in contenders:
        one.end(n_turns * TURN)


def figures(bare_us: Sequence[float], observed_us: Sequence[float]) -> dict[str, float]:
    """The share of throughput that is lost where CPU is what limits it: the median of rounds."""
    shares = [1 - bare / observed for bare, observed in zip(bare_us, observed_us, strict=True)]
    bare, observed = statistics.median(bare_us), statistics.median(observed_us)
    rows = [
        (name, f"{statistics.median(us):.1f}", f"{min(us):.1f}..{max(us):.1f}")
        for name, us in (("bare", bare_us), ("observed", observed_us))
    ]
    print_table(("application", "CPU us/request", "rounds"), rows)
    return {
        "overhead": statistics.median(shares),
        "overhead_us": observed - bare,
        "bare_us": bare,
        "observed_us": observed,
    }


@contextmanager
def served(name: str, door: str) -> Iterator[Contender]:
    """The application in a process of its own, which ends with the block."""
    command = [sys.executable, "-m", "bench.middleware_app", door]
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        command, cwd=root, env={**os.environ}, stdout=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline().strip() if process.stdout else ""
        if not said:
            raise Unmeasurable(f"{name}: did not start; are flask and waitress installed?")
        connection = HTTPConnection("127.0.0.1", int(said), timeout=30)
        try:
            yield Contender(name, connection)
        finally:
            connection.close()
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


@contextmanager
def _door() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
