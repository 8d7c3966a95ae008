"""A piece of work that is being done, and which one that is just now."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from watchkeeper.clock import wall_ns
from watchkeeper.sdk.middleware import ids, otlp
from watchkeeper.sdk.middleware.shapes import UNNAMED, Shape
from watchkeeper.sdk.rows import Label

Headers = TypeVar("Headers", bound=MutableMapping[str, str])

INTERNAL: Final = 1
CLIENT: Final = 3
STACK_CHARACTERS: Final = 16_384
"""A stack is cut in its middle: how it began and where it broke matter most."""
EVENTS: Final = 32
"""More events of one piece of work are not kept."""

ticks_ns: Final = time.perf_counter_ns


class Work:
    """What becomes a span. Times are taken as it begins and ends."""

    __slots__ = (
        "attributes", "began", "duration_ns", "events", "failure", "finish", "kind", "name",
        "outcome", "parent", "sampled", "shape", "span", "start_ns", "state", "trace",
    )  # fmt: skip

    def __init__(
        self, finish: Callable[[Work], None], parent: ids.Parent | None, kind: int, name: str = ""
    ) -> None:
        if parent is None:
            fresh = ids.new_bits(192).to_bytes(24, "big")
            self.trace, self.span = fresh[:16], fresh[16:]
            self.parent, self.sampled, self.state = b"", True, ""
        else:
            self.trace, self.parent, self.sampled, self.state = parent
            self.span = ids.new_bits(64).to_bytes(8, "big")
        self.finish = finish
        self.kind = kind
        self.name = name
        self.outcome: tuple[str, str, int] | None = None
        """Of a request: method, route and status."""
        self.shape: Shape = UNNAMED
        self.attributes: dict[str, Label] | None = None
        self.events: list[tuple[int, str, dict[str, Label]]] | None = None
        self.failure: str | None = None
        """What went wrong; None while nothing did."""
        self.duration_ns = 0
        self.start_ns = wall_ns()
        self.began = ticks_ns()

    @property
    def trace_id(self) -> str:
        return self.trace.hex()

    @property
    def span_id(self) -> str:
        return self.span.hex()

    @property
    def duration_s(self) -> float:
        return self.duration_ns / 1e9

    @property
    def traceparent(self) -> str:
        """What is said of it to whom it calls."""
        return ids.written(self.trace, self.span, sampled=self.sampled)

    def set(self, name: str, value: Label) -> None:
        """Say something of this piece of work alone."""
        if self.attributes is None:
            self.attributes = {}
        self.attributes[name] = value

    def add_event(self, name: str, **attributes: Label) -> None:
        """Something happened just now."""
        if self.events is None:
            self.events = []
        if len(self.events) < EVENTS:
            self.events.append((wall_ns(), name, attributes))

    def fail(self, error: BaseException) -> None:
        """It went wrong, and this is why; the same error is told once."""
        kind = type(error)
        named = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
        message = said(error)
        failure = f"{named}: {message}" if message else named
        if failure == self.failure:
            return
        self.failure = failure
        self.add_event("exception", **exception(error, named, message))

    def stop(self) -> None:
        self.duration_ns = ticks_ns() - self.began


def encoded(work: Work) -> bytes:
    """A span as an item of a body."""
    start_ns = work.start_ns
    head = otlp.span_head(
        otlp.TRACE, work.trace, otlp.SPAN, work.span,
        otlp.START, start_ns, otlp.END, start_ns + work.duration_ns,
    )  # fmt: skip
    shape = work.shape
    is_plain = not (work.failure or work.attributes or work.events or work.state)
    if is_plain and shape is not UNNAMED and not work.parent:
        return shape.root + head + shape.tail
    of_parent = otlp.parent(work.parent) if work.parent else b""
    if is_plain and shape is not UNNAMED:
        return shape.child + head + shape.tail + of_parent
    given = {**shape.said, **(work.attributes or {})}
    failed = shape.failed or work.failure is not None
    tail = otlp.span_tail(shape.name or work.name, work.kind, given, work.failure, failed=failed)
    state = otlp.text(3, work.state) if work.state else b""
    events = b"".join(otlp.event(*one) for one in work.events or ())
    return otlp.framed(head + tail + of_parent + state + events)


CURRENT: Final[ContextVar[Work | None]] = ContextVar("watchkeeper_work", default=None)


def current() -> Work | None:
    """The piece of work that is being done here, if any."""
    return CURRENT.get()


def inject(headers: Headers) -> Headers:
    """Add what names the trace to the headers of a call that is about to be made."""
    work = CURRENT.get()
    if work is not None:
        headers[ids.TRACEPARENT] = work.traceparent
        if work.state:
            headers[ids.TRACESTATE] = work.state
    return headers


def exception(error: BaseException, named: str, message: str) -> dict[str, Any]:
    """An error by OpenTelemetry's names."""
    return {
        "exception.type": named,
        "exception.message": message,
        "exception.stacktrace": stack(error),
    }


def said(error: BaseException) -> str:
    """An error's own words; there are errors that fail at that too."""
    try:
        return str(error)[:1024]
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError):
        return "(says nothing)"


def stack(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError):
        text = "".join(traceback.format_tb(error.__traceback__))
    if len(text) <= STACK_CHARACTERS:
        return text
    half = STACK_CHARACTERS // 2
    return f"{text[:half]}\n...\n{text[-half:]}"


def _full_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
