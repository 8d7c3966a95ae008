"""Pieces of work below another one: parts of a request, and calls of other services."""

from __future__ import annotations

from watchkeeper.sdk.middleware.ids import new_bits
from watchkeeper.sdk.middleware.shapes import CLIENT, of_call, refusal
from watchkeeper.sdk.middleware.work import CURRENT, Work, leave, ticks_ns


class Below(Work):
    """From `begin_below` until `over` it is the one that is being done."""

    __slots__ = ("outer",)

    outer: Work

    def begin_below(self, outer: Work, kind: int, name: str) -> None:
        """By the clock of the one above, so that both fit together whatever the machine's does."""
        own = outer.ids
        self.outer = outer
        self.ids = own[:16] + new_bits(64).to_bytes(8, "big")
        self.parent, self.sampled, self.state = own[16:], outer.sampled, outer.state
        self.is_plain = self.sampled and not self.state
        self.finish, self.kind, self.name = outer.finish, kind, name
        self.attributes = self.events = self.failure = None
        self.duration_ns = 0
        self.began = began = ticks_ns()
        self.start_ns = outer.start_ns + began - outer.began
        CURRENT.set(self)

    def over(self, error: BaseException | None = None) -> None:
        self.duration_ns = ticks_ns() - self.began
        leave(self, self.outer)
        if isinstance(error, Exception):
            self.fail(error)
        self.finish(self)


class Call(Below):
    """A call of another service by HTTP. All of most is told by whom they ask, and the answer."""

    __slots__ = ("host", "port", "status")

    host: str
    port: int | None
    status: int
    """0 while nothing was answered."""

    def begin_call(self, outer: Work, method: str, host: str, port: int | None) -> None:
        self.host, self.port, self.status = host, port, 0
        self.begin_below(outer, CLIENT, method)

    def over(self, error: BaseException | None = None) -> None:
        duration_ns = ticks_ns() - self.began
        leave(self, self.outer)
        asked = self.name, self.host, self.port, self.status
        if self.is_plain and error is None:
            self.finish((asked, self.ids, self.parent, self.start_ns, duration_ns))
            return
        self.duration_ns = duration_ns
        if isinstance(error, Exception):
            self.fail(error)
        self.attributes = {**of_call(*asked), **(self.attributes or {})}
        self.failure = self.failure or refusal(self.status)
        self.finish(self)
