"""What requests have in common, and what calls have: operation and outcome, encoded once. Requests
are counted, with their durations.

Bounded: what comes after the first routes, or after too many shapes in all, is counted as `other`;
calls after too many are encoded one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from watchkeeper.sdk.middleware import otlp
from watchkeeper.sdk.rows import Label

BOUNDS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""OpenTelemetry's, and two below for answers from memory."""
BOUNDS_NS: Final = tuple(round(bound * 1e9) for bound in BOUNDS_S)
PACKED_BOUNDS: Final = otlp.doubles(BOUNDS_S)
METHODS: Final = frozenset(
    {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"}
)
STRANGE: Final = "_OTHER"
OTHER: Final = "other"
ROUTES: Final = 100
SHAPES: Final = 2_000
INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3

Outcome = tuple[str, str, int]
"""A request's method, route and status."""
Asked = tuple[str, str, int | None, int]
"""A call's method, host, port and status."""
Plain = tuple[Outcome | Asked, bytes, bytes, int, int]
"""A request or a call; its ids of trace and span, its parent's, its start and its duration."""


class Form:
    """Spans that differ in ids and times alone."""

    __slots__ = ("child", "root", "tail")

    def __init__(self, tail: bytes) -> None:
        self.tail = tail
        own = otlp.SPAN_ID_BYTES
        self.root = otlp.span_form(own, len(tail))
        """Of a span without a parent, ..."""
        self.child = otlp.span_form(own + len(otlp.PARENT) + own, len(tail))
        """... and of one with a parent."""


class Shape(Form):
    """Requests of one method, route and status."""

    __slots__ = ("counts", "failed", "name", "said", "total_ns")

    def __init__(self, name: str, said: Mapping[str, Label], *, failed: bool) -> None:
        super().__init__(otlp.span_tail(name, SERVER, said, None, failed=failed))
        self.name = name
        self.said = said
        self.failed = failed
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.total_ns = 0

    def count(self, duration_ns: int) -> None:
        self.counts[bisect_left(BOUNDS_NS, duration_ns)] += 1
        self.total_ns += duration_ns

    def point(self, times: tuple[int, int]) -> bytes:
        """All its durations so far."""
        labels = otlp.attributes(9, self.said)
        return otlp.histogram_point(labels, times, self.total_ns / 1e9, self.counts, PACKED_BOUNDS)


UNNAMED: Final = Shape("", {}, failed=False)
"""Of work that is no request: such a span is encoded by itself."""


class Shapes:
    """Every shape that was met."""

    def __init__(self) -> None:
        self.known: dict[Outcome, Shape] = {}
        self.calls: dict[Asked, Form] = {}
        self._routes: set[str] = set()

    def of(self, method: str, route: str, status: int) -> Shape:
        return self.known.get((method, route, status)) or self._met(method, route, status)

    def of_call(self, asked: Asked) -> Form:
        form = self.calls.get(asked) or _form(asked)
        if len(self.calls) < SHAPES:
            self.calls[asked] = form
        return form

    def all(self) -> Iterable[Shape]:
        """Each once; they may become more meanwhile."""
        return tuple({id(shape): shape for shape in list(self.known.values())}.values())

    def _met(self, method: str, route: str, status: int) -> Shape:
        known_method = method if method in METHODS else STRANGE
        known_route = self._bounded(route)
        if len(self.known) >= SHAPES:
            known_method, known_route, status = STRANGE, OTHER, status // 100 * 100
        key = known_method, known_route, status
        shape = self.known.get(key)
        return shape or self.known.setdefault(key, _shape(*key))

    def _bounded(self, route: str) -> str:
        if route in self._routes or not route:
            return route
        if len(self._routes) >= ROUTES:
            return OTHER
        self._routes.add(route)
        return route


def of_call(method: str, host: str, port: int | None, status: int) -> dict[str, Label]:
    """What is said of a call, by OpenTelemetry's names."""
    said: dict[str, Label] = {"http.request.method": method, "server.address": host}
    if port is not None:
        said["server.port"] = port
    if status:
        said["http.response.status_code"] = status
    if status >= 400:
        said["error.type"] = str(status)
    return said


def refusal(status: int) -> str | None:
    """What the other service refuses is a failure of the call."""
    return f"status {status}" if status >= 400 else None


def _form(asked: Asked) -> Form:
    method, *_, status = asked
    failure = refusal(status)
    failed = failure is not None
    return Form(otlp.span_tail(method, CLIENT, of_call(*asked), failure, failed=failed))


def _shape(method: str, route: str, status: int) -> Shape:
    said: dict[str, Label] = {"http.request.method": method, "http.response.status_code": status}
    if route:
        said["http.route"] = route
    if status >= 500:
        said["error.type"] = str(status)
    shown = "HTTP" if method == STRANGE else method
    name = f"{shown} {route}" if route else shown
    return Shape(name, said, failed=status >= 500)
