"""A piece of work that is being done, and which one that is just now."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from watchkeeper.clock import wall_ns
from watchkeeper.sdk.middleware.ids import TRACEPARENT, TRACESTATE, Parent, new_bits, written
from watchkeeper.sdk.middleware.shapes import Plain
from watchkeeper.sdk.rows import Label

Headers = TypeVar("Headers", bound=MutableMapping[str, str])

STACK_CHARACTERS: Final = 16_384
"""A stack is cut in its middle: how it began and where it broke matter most."""
EVENTS: Final = 32
"""More events of one piece of work are not kept."""

ticks_ns: Final = time.perf_counter_ns


class Work:
    """What becomes a span. Times are taken as it begins and ends.

    It has no constructor, which would cost as much again as all that it does: `begin` it.
    """

    __slots__ = (
        "attributes", "began", "duration_ns", "events", "failure", "finish", "ids", "is_plain",
        "kind", "name", "parent", "sampled", "start_ns", "state",
    )  # fmt: skip

    attributes: dict[str, Label] | None
    events: list[tuple[int, str, dict[str, Label]]] | None
    failure: str | None
    """What went wrong; None while nothing did."""
    ids: bytes
    """Its trace's, and then its own."""
    is_plain: bool
    """It says nothing but what all of its shape say, besides its ids and times."""

    def begin(self, finish: Finish, parent: Parent | None, kind: int, name: str = "") -> None:
        if parent is None:
            self.ids = new_bits(192).to_bytes(24, "big")
            self.parent, self.sampled, self.state = b"", True, ""
            self.is_plain = True
        else:
            trace, self.parent, self.sampled, self.state = parent
            self.ids = trace + new_bits(64).to_bytes(8, "big")
            self.is_plain = self.sampled and not self.state
        self.finish = finish
        self.kind = kind
        self.name = name
        self.attributes = self.events = self.failure = None
        self.duration_ns = 0
        self.start_ns = wall_ns()
        self.began = ticks_ns()

    @property
    def trace_id(self) -> str:
        return self.ids[:16].hex()

    @property
    def span_id(self) -> str:
        return self.ids[16:].hex()

    @property
    def outcome(self) -> tuple[str, str, int] | None:
        """Of a request: method, route and status."""
        return None

    @property
    def duration_s(self) -> float:
        return self.duration_ns / 1e9

    @property
    def traceparent(self) -> str:
        """What is said of it to whom it calls."""
        return written(self.ids, sampled=self.sampled)

    def set(self, name: str, value: Label) -> None:
        """Say something of this piece of work alone."""
        self.is_plain = False
        if self.attributes is None:
            self.attributes = {}
        self.attributes[name] = value

    def add_event(self, name: str, **attributes: Label) -> None:
        """Something happened just now."""
        self.is_plain = False
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
        self.is_plain = False
        self.add_event("exception", **exception(error, named, message))


Finish = Callable[[Work | Plain], None]
"""Takes what is over."""
CURRENT: Final[ContextVar[Work | None]] = ContextVar("watchkeeper_work", default=None)


def current() -> Work | None:
    """The piece of work that is being done here, if any."""
    return CURRENT.get()


def leave(work: Work, outer: Work | None) -> None:
    """It is over, and so is what was begun below it. Where something else is being done nothing
    changes: an answer that nobody read to its end is closed by whoever collects the garbage."""
    at = CURRENT.get()
    while at is not work:
        if at is None:
            return
        at = getattr(at, "outer", None)
    CURRENT.set(outer)


def inject(headers: Headers) -> Headers:
    """Add what names the trace to the headers of a call that is about to be made."""
    work = CURRENT.get()
    if work is not None:
        name_in(headers, work)
    return headers


def name_in(headers: MutableMapping[str, str], work: Work) -> None:
    headers[TRACEPARENT] = work.traceparent
    if work.state:
        headers[TRACESTATE] = work.state


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
