"""A request and its answer, as hooks see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from watchkeeper.sdk.middleware.recorder import Recorder
from watchkeeper.sdk.middleware.work import Work, ticks_ns

App = TypeVar("App")

CLOSED: Final = 499
"""Who asked went away before there was an answer; nginx's word for it."""


class Exchange(Work):
    """One request. `route` and `status` are known after it, `duration_s` too."""

    __slots__ = ("method", "path", "route", "source", "status")

    method: str
    path: str
    route: str
    source: Mapping[str, Any]
    """WSGI's environ, or ASGI's scope."""
    status: int

    @property
    def outcome(self) -> tuple[str, str, int]:
        return self.method, self.route, self.status

    def broke(self, error: BaseException) -> None:
        """The application raised instead of answering, or amid its answer."""
        if isinstance(error, Exception):
            self.fail(error)
        elif not self.status:
            self.status = CLOSED


NOTHING: Final[Mapping[str, Any]] = {}
"""What a request was made of is not kept until it is told: it may be large."""

Hook = Callable[[Exchange], object]


class Hooks(NamedTuple):
    """Called with every request; what they raise is counted, and told once."""

    before: Sequence[Hook] = ()
    after: Sequence[Hook] = ()


class Wrapped(Generic[App]):
    """An application, what records it, and what is called before and after its requests."""

    def __init__(self, app: App, recorder: Recorder, hooks: Hooks = Hooks()) -> None:  # noqa: B008
        self.app = app
        self.recorder = recorder
        self._before, self._after = hooks
        self._finish = recorder.finish
        self._header = recorder.settings.trace_header.lower()

    def _done(self, exchange: Exchange) -> None:
        """Its status and route are told."""
        exchange.duration_ns = duration_ns = ticks_ns() - exchange.began
        recorder = self.recorder
        if self._after:
            recorder.run(self._after, exchange)
        if not exchange.is_plain:
            exchange.source = NOTHING
            recorder.finish(exchange)
            return
        if len(recorder.waiting) >= recorder.room:
            recorder.make_room()
        outcome = exchange.method, exchange.route, exchange.status
        recorder.waiting.append(
            (outcome, exchange.ids, exchange.parent, exchange.start_ns, duration_ns)
        )
