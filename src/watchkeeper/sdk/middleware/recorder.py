"""What a process did, gathered while it does it, and sent by a thread beside it.

A request never waits: it appends to a bounded queue, from which the oldest fall, counted.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, Self, TypeVar

from watchkeeper.clock import wall_ns
from watchkeeper.patience import catching
from watchkeeper.sdk.middleware import otlp, spans
from watchkeeper.sdk.middleware.lines import Line, LineTap, encoded_line
from watchkeeper.sdk.middleware.sender import Sender
from watchkeeper.sdk.middleware.settings import Settings
from watchkeeper.sdk.middleware.shapes import Plain, Shapes
from watchkeeper.sdk.middleware.work import Work

T = TypeVar("T")

DURATIONS: Final = "http.server.request.duration"
DROPPED: Final = "watchkeeper.middleware.dropped"
HOOK_FAILURES: Final = "watchkeeper.middleware.hook.failures"
ITEMS: Final = 4_000
"""Spans, or lines, of one body at most."""
_log: Final = logging.getLogger(__name__)


class Outlet(Protocol):
    """Where bodies go. Called by one thread at a time."""

    dropped: int
    """Bodies that will never arrive."""

    def put(self, path: str, body: bytes) -> None: ...

    def send(self, *, now: bool = False) -> None:
        """What waits, as far as it goes without waiting; `now` tries in any case."""
        ...

    def close(self) -> None: ...

    def abandon(self) -> None:
        """In a child process: forget what waits, and the connection."""
        ...


class Recorder:
    """Of one process and service. Its thread starts with the first thing there is to tell."""

    def __init__(self, settings: Settings, outlet: Outlet | None = None) -> None:
        self.settings = settings
        self.hook_failures = 0
        self.dropped_spans = 0
        self.dropped_lines = 0
        self.waiting: Final[deque[Work | Plain]] = deque(maxlen=settings.queue)
        self._lines: deque[Line] = deque(maxlen=settings.queue)
        self._tap = LineTap(self._keep, settings.log_level)
        self._sender: Outlet = outlet or Sender(
            settings.url, settings.headers(), settings.timeout_s, settings.pending_bytes
        )
        self._begin()
        atexit.register(self.close)
        itself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forked(itself()))

    def finish(self, work: Work | Plain) -> None:
        """It is done, and is to be told of. Encoded later and by the thousand, which costs a
        fraction of what it would amid a request, where nothing of it is at hand."""
        if len(self.waiting) >= self.room:
            self.make_room()
        self.waiting.append(work)

    def make_room(self) -> None:
        """There is none before the thread runs that sends; later the oldest falls off."""
        if len(self.waiting) == self.waiting.maxlen:
            with self._counting:
                self.dropped_spans += 1
        if self._thread is None:
            self._start()
        self.room = self.settings.queue

    def run(self, hooks: Iterable[Callable[[T], object]], subject: T) -> None:
        """Hooks may fail; the request they belong to does not."""
        for hook in hooks:
            with catching() as caught:
                hook(subject)
            if caught:
                self.hook_failures += 1
                if self.hook_failures == 1:
                    _log.warning("a hook failed, and may again", exc_info=caught[0])

    def flush(self) -> None:
        """Send all there is, metrics included, and try once to reach the server."""
        with self._sending:
            self._next_metrics = 0.0
            self._gather()
            self._sender.send(now=True)

    def close(self) -> None:
        """Send what is left. Safe to call twice; what is finished later is not sent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._tap.close()
        if self._thread is not None:
            self._thread.join(self.settings.timeout_s)
        self.flush()
        self._sender.close()
        atexit.unregister(self.close)

    def begin_again(self) -> None:
        """In a child process: it tells of itself alone, under its own id."""
        self._lines.clear()
        self._sender.abandon()
        self.hook_failures = self.dropped_spans = self.dropped_lines = 0
        self._sender.dropped = 0
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        self.shapes = Shapes()
        self.waiting.clear()
        self.room = 0
        self._resource = self.settings.resource()
        self._began_ns = wall_ns()
        self._next_metrics = time.monotonic() + self.settings.metrics_s
        self._counting: threading.Lock = threading.Lock()
        self._sending: threading.Lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def _keep(self, line: Line) -> None:
        if len(self._lines) == self._lines.maxlen:
            with self._counting:
                self.dropped_lines += 1
        self._lines.append(line)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._counting:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(
                    target=self._send_on, name="watchkeeper-middleware", daemon=True
                )
                self._thread.start()

    def _send_on(self) -> None:
        while not self._closed.wait(self.settings.flush_s):
            with catching() as caught, self._sending:
                self._gather()
                self._sender.send()
            if caught:
                _log.warning("telemetry was not sent", exc_info=caught[0])

    def _gather(self) -> None:
        """Everything that came, as bodies."""
        for done in _drained(self.waiting):
            self._put("/v1/traces", spans.encoded(done, self.shapes))
        for lines in _drained(self._lines):
            self._put("/v1/logs", [encoded_line(line) for line in lines])
        if time.monotonic() >= self._next_metrics:
            self._next_metrics = time.monotonic() + self.settings.metrics_s
            self._put("/v1/metrics", list(self._metrics()))

    def _put(self, path: str, items: list[bytes]) -> None:
        if items:
            self._sender.put(path, otlp.request(self._resource, items))

    def _metrics(self) -> Iterator[bytes]:
        times = self._began_ns, wall_ns()
        points = [shape.point(times) for shape in self.shapes.all() if any(shape.counts)]
        if points:
            yield otlp.framed(otlp.histogram(DURATIONS, "s", points))
        lost = {
            "spans": self.dropped_spans,
            "lines": self.dropped_lines,
            "bodies": self._sender.dropped,
        }
        dropped = [otlp.counter_point({"what": what}, times, n) for what, n in lost.items() if n]
        if dropped:
            yield otlp.framed(otlp.counter(DROPPED, "{item}", dropped))
        if self.hook_failures:
            failures = otlp.counter_point({}, times, self.hook_failures)
            yield otlp.framed(otlp.counter(HOOK_FAILURES, "{failure}", [failures]))


def _drained(queue: deque[T]) -> Iterator[list[T]]:
    """What waits now, body by body. Others may append meanwhile, and the oldest may fall off, but
    only one thread at a time takes."""
    waiting = len(queue)
    for begun in range(0, waiting, ITEMS):
        yield [queue.popleft() for _ in range(min(ITEMS, waiting - begun))]


def _forked(recorder: Recorder | None) -> None:
    if recorder is not None:
        recorder.begin_again()
