"""What the middleware costs Flask applications: the same ones bare and observed, taking turns.

`overhead` is that of the shop's service `checkout`, as the shop starts it: a buyer pays, which asks
five other services by httpx, each call a span of its own; all five are played by one door, whose
time does not count. Beside it stand handlers that answer a few values as JSON, and one that does
nothing, which is as bad as it gets: what a request costs is all that it does.

Both of a pair are processes of their own, served by waitress over HTTP with connections that are
kept. Turns are short and alternate, so that whatever else the machine does falls on both. Counted
is the CPU time of the whole process, with the thread that encodes and sends, whenever it does;
spans, metrics and log lines go to a door that takes everything.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from bench.peers import Unmeasurable
from bench.report import print_table, progress
from bench.suite import Measured, Options
from shop.plan import Plan, answers, free_ports, write

TARGETS: Final[Mapping[str, tuple[str, float]]] = {"overhead": ("<=", 0.05)}
ASKED: Final = ("cart", "inventory", "payment", "shipping", "notification")
"""Whom `checkout` asks."""
SAID: Final[Mapping[str, Any]] = {
    "cart": {"user": 7, "items": [7, 49]},
    "inventory": {"item": 7},
    "payment": {"paid": True, "user": 7, "cents": 1000},
    "shipping": {"parcel": "P7"},
    "notification": {"told": 7},
}
GATEWAY: Final = {"traceparent": "00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01"}
"""`checkout` is asked by another service that is observed."""
SETTLE_S: Final = 1.3
"""Longer than the middleware gathers before it sends."""
START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class View:
    """What is asked of both of a pair."""

    name: str
    method: str
    paths: Sequence[str]
    turn: int
    """Requests of one turn: about as long everywhere."""
    headers: Mapping[str, str] = field(default_factory=dict)


CHECKOUT: Final = View("checkout", "POST", ("/checkout/7",), 15, GATEWAY)
VALUES: Final = ("/health", "/inventory/4711", "/inventory/12", "/payment/9000001")
VIEWS: Final = (
    CHECKOUT,
    View("json", "GET", VALUES, 100),
    View("nothing", "GET", ("/nothing",), 100),
)


@dataclass(slots=True)
class Contender:
    """An application in a process of its own."""

    name: str
    pid: int
    connection: HTTPConnection
    cost_us: list[float] = field(default_factory=list)
    """CPU a request, round by round."""
    began_ns: int = 0

    def ask(self, view: View, n: int) -> None:
        for number in range(n):
            self._ask(view, view.paths[number % len(view.paths)])

    def begin(self) -> None:
        self.began_ns = cpu_ns(self.pid)

    def end(self, n: int) -> None:
        """A round of so many requests is over, with what was put off in it."""
        self.cost_us.append((cpu_ns(self.pid) - self.began_ns) / n / 1e3)

    def _ask(self, view: View, path: str) -> None:
        self.connection.request(view.method, path, headers=dict(view.headers))
        with self.connection.getresponse() as response:
            response.read()
        if response.status != 200:
            raise Unmeasurable(f"{self.name}: {path} answered {response.status}")


class Door(BaseHTTPRequestHandler):
    """Takes every body, and counts them; answers as the services of the shop do."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """An answer leaves in one piece; in two the second waits for the first one's receipt."""
    bodies: Final[list[int]] = []

    def do_GET(self) -> None:
        self._answer(json.dumps(SAID[self.path.split("/")[1]]).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/v1/"):
            self.bodies.append(len(body))
            self._answer(b"")
        else:
            self.do_GET()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def run(options: Options) -> Measured:
    n_turns, n_rounds = (3, 2) if options.quick else (30, 10)
    Door.bodies.clear()
    found: dict[str, float] = {}
    with ExitStack() as stack:
        port = stack.enter_context(_door())
        for view in VIEWS:
            with ExitStack() as pair:
                both = [pair.enter_context(served(view, port, is_seen=k > 0)) for k in range(2)]
                _rounds(view, both, n_turns, n_rounds)
            suffix = "" if view is CHECKOUT else f"_{view.name}"
            costs = (one.cost_us for one in both)
            found |= {f"{name}{suffix}": it for name, it in figures(view.name, *costs).items()}
    if not Door.bodies:
        raise Unmeasurable("the observed applications sent nothing")
    return found, [
        f"medians of {n_rounds} rounds of {n_turns} turns; CPU of the process",
        f"{len(Door.bodies)} bodies were taken, {sum(Door.bodies):,} bytes",
    ]


def _rounds(view: View, both: Sequence[Contender], n_turns: int, n_rounds: int) -> None:
    for one in both:
        one.ask(view, 10 * view.turn)
    for number in range(n_rounds):
        progress(f"{view.name}: round {number + 1} of {n_rounds}")
        for one in both:
            one.begin()
        for turn in range(n_turns):
            for one in both if (number + turn) % 2 else both[::-1]:
                one.ask(view, view.turn)
        time.sleep(SETTLE_S)
        for one in both:
            one.end(n_turns * view.turn)


def figures(name: str, bare_us: Sequence[float], observed_us: Sequence[float]) -> dict[str, float]:
    """The share of throughput that is lost where CPU is what limits it: the median of rounds."""
    shares = [1 - bare / observed for bare, observed in zip(bare_us, observed_us, strict=True)]
    bare, observed = statistics.median(bare_us), statistics.median(observed_us)
    rows = [
        (which, f"{statistics.median(us):.1f}", f"{min(us):.1f}..{max(us):.1f}")
        for which, us in (("bare", bare_us), ("observed", observed_us))
    ]
    print_table((name, "CPU us/request", "rounds"), rows)
    return {
        "overhead": statistics.median(shares),
        "overhead_us": observed - bare,
        "bare_us": bare,
        "observed_us": observed,
    }


def cpu_ns(pid: int) -> int:
    """What a process has used, all its threads together: its own clock, as the kernel keeps it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


@contextmanager
def served(view: View, door: int, *, is_seen: bool) -> Iterator[Contender]:
    """The application in a process of its own, which ends with the block."""
    name = f"{view.name}, {'observed' if is_seen else 'bare'}"
    address = f"http://127.0.0.1:{door}" if is_seen else ""
    port = free_ports(("it",))["it"]
    with tempfile.TemporaryDirectory() as folder:
        command = ["bench.middleware_app", str(port), address]
        if view is CHECKOUT:
            ports = {**dict.fromkeys(ASKED, door), view.name: port}
            plan = Path(folder) / "plan.json"
            write(Plan(folder=folder, ports=ports, watchkeeper=address), plan)
            command = ["shop.serve", view.name, str(plan)]
        process = subprocess.Popen([sys.executable, "-m", *command], cwd=Path(__file__).parents[1])
        try:
            _await(name, port, process)
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                yield Contender(name, process.pid, connection)
            finally:
                connection.close()
        finally:
            process.terminate()
            process.wait(30)


def _await(name: str, port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while not answers(port):
        if process.poll() is not None or time.monotonic() > until:
            raise Unmeasurable(f"{name}: did not start; are flask and waitress installed?")
        time.sleep(0.05)


@contextmanager
def _door() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
