"""Our own traces: what a request waited for, as spans like those that others send us.

A request begins a trace, or goes on with its sender's; within it `span` marks a part. Where no
trace is being taken, a mark costs next to nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Final

from watchkeeper.telemetry.metrics import counter

MAX_WAITING: Final = 5_000
"""Spans that wait to be stored; further ones are dropped and counted."""
SLOW_S: Final = 1.0
"""A request that took longer is kept whether its trace was chosen or not; so is a failed one."""

_DROPPED: Final = counter(
    "watchkeeper_telemetry_dropped_spans_total", "Own spans for which there was no room."
)
_NS_PER_S: Final = 1_000_000_000
_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_SPAN: Final = bytes(8)


@dataclass(slots=True)
class OwnSpan:
    """One part of a request. Grows until it is over."""

    trace: bytes
    span: bytes
    parent: bytes
    name: str
    start_ns: int
    is_root: bool
    duration_ns: int = 0
    error: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class Tracer:
    """Which requests are traced, and spans that wait to be stored."""

    def __init__(self, share: float, now_ns: Callable[[], int], seed: int | None = None) -> None:
        """`share` of the requests that come without a trace of their own."""
        self.share = share
        self.now_ns = now_ns
        self._random = Random(seed)  # noqa: S311 - a choice of what to look at, and no secret
        self._over: deque[OwnSpan] = deque()

    @contextmanager
    def request(self, traceparent: str = "") -> Iterator[OwnSpan]:
        """A request from its beginning to its end; its name and attributes may be told later."""
        trace, parent, chosen = self._begin(traceparent)
        root = OwnSpan(trace, self._id(8), parent, "", self.now_ns(), is_root=True)
        token = _current.set(_Open(self, root) if chosen else None)
        try:
            yield root
        except BaseException as error:
            root.error = root.error or type(error).__name__
            raise
        finally:
            _current.reset(token)
            root.duration_ns = max(0, self.now_ns() - root.start_ns)
            if chosen or root.error or root.duration_ns > SLOW_S * _NS_PER_S:
                self.keep([root])

    def take(self) -> Sequence[OwnSpan]:
        """All that are over, oldest first; they are the caller's now."""
        taken = list(self._over)
        self._over.clear()
        return taken

    def keep(self, spans: Sequence[OwnSpan]) -> None:
        """Have them wait to be taken, as far as there is room."""
        room = max(0, MAX_WAITING - len(self._over))
        self._over.extend(spans[:room])
        if len(spans) > room:
            _DROPPED.add(len(spans) - room)

    def child(self, of: OwnSpan, name: str) -> OwnSpan:
        return OwnSpan(of.trace, self._id(8), of.span, name, self.now_ns(), is_root=False)

    def _begin(self, traceparent: str) -> tuple[bytes, bytes, bool]:
        """(trace, parent, whether to take it)"""
        told = _PARENT.fullmatch(traceparent)
        if told and int(told[1], 16) and int(told[2], 16):
            chosen = bool(int(told[3], 16) & 1)
            return bytes.fromhex(told[1]), bytes.fromhex(told[2]), chosen
        return self._id(16), _NO_SPAN, self._random.random() < self.share

    def _id(self, size: int) -> bytes:
        return self._random.randbytes(size - 1) + bytes([1 + self._random.randrange(255)])


@dataclass(frozen=True, slots=True)
class _Open:
    """The part of a request that is going on in this task."""

    tracer: Tracer
    span: OwnSpan


_current: ContextVar[_Open | None] = ContextVar("own_span", default=None)


@contextmanager
def span(name: str) -> Iterator[None]:
    """A part of the request that this task serves, if that is traced."""
    now = _current.get()
    if now is None:
        yield
        return
    part = now.tracer.child(now.span, name)
    token = _current.set(_Open(now.tracer, part))
    try:
        yield
    except BaseException as error:
        part.error = type(error).__name__
        raise
    finally:
        _current.reset(token)
        part.duration_ns = max(0, now.tracer.now_ns() - part.start_ns)
        now.tracer.keep([part])
