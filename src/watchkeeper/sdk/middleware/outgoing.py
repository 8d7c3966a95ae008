"""Calls to others, and other parts of a request, as spans of its trace."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from watchkeeper.errors import Permanent
from watchkeeper.sdk.middleware.work import CLIENT, CURRENT, INTERNAL, Work, inject
from watchkeeper.sdk.rows import Label

_KINDS: Final = {"internal": INTERNAL, "client": CLIENT}
Undo = Callable[[], None]


class Part:
    """A part of the request that is served here, as long as its block lasts. Not a generator, which
    would cost more than what it tells."""

    __slots__ = ("_attributes", "_kind", "_name", "_outer", "_work")

    def __init__(self, name: str, kind: int, attributes: dict[str, Label]) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._work: Work | None = None

    def __enter__(self) -> Work | None:
        outer = CURRENT.get()
        if outer is None:
            return None
        self._outer = outer
        self._work = work = outer.part(self._kind, self._name, self._attributes)
        CURRENT.set(work)
        return work

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        work = self._work
        if work is not None:
            if isinstance(error, Exception):
                work.fail(error)
            CURRENT.set(self._outer)
            work.stop()
            work.finish(work)


def span(
    name: str, *, kind: Literal["internal", "client"] = "internal", **attributes: Label
) -> Part:
    """A part of the request that is served here; outside of any there is nothing to be a part of,
    and None.

    Attributes' names have dots, so write them as `**{"db.system.name": "sqlite"}`.
    """
    return Part(name, _KINDS[kind], attributes)


def calling(method: str, host: str, port: int | None = None) -> Part:
    """A call of another service by HTTP; `inject` names it in the headers that are sent."""
    given: dict[str, Label] = {"http.request.method": method, "server.address": host}
    if port is not None:
        given["server.port"] = port
    return Part(method, CLIENT, given)


def answered(work: Work | None, status: int) -> None:
    """What the other service said; its refusals are failures of the call."""
    if work is not None:
        work.set("http.response.status_code", status)
        if status >= 400:
            work.set("error.type", str(status))
            work.failure = f"status {status}"


def trace_calls(*modules: ModuleType) -> Undo:
    """Let every request by `httpx` or `requests` be a span, and carry the trace.

    Give the modules: `trace_calls(httpx)`. What is returned takes it back.
    """
    undoes: list[Undo] = []
    for module in modules:
        match module.__name__:
            case "httpx":
                undoes.append(_replaced(module.Client, "send", _sending))
                undoes.append(_replaced(module.AsyncClient, "send", _awaiting))
            case "requests":
                undoes.append(_replaced(module.Session, "send", _preparing))
            case name:
                raise Permanent(f"cannot trace calls by '{name}'; known: httpx, requests")

    def undo() -> None:
        for one in reversed(undoes):
            one()

    return undo


def _replaced(owner: Any, name: str, around: Callable[[Any], Any]) -> Undo:
    before = getattr(owner, name)
    if getattr(before, "traces_calls", False):
        return lambda: None
    instead = around(before)
    instead.traces_calls = True
    setattr(owner, name, instead)

    def undo() -> None:
        if getattr(owner, name) is instead:
            setattr(owner, name, before)

    return undo


def _sending(send: Any) -> Any:
    def traced(self: Any, request: Any, **given: Any) -> Any:
        if CURRENT.get() is None:
            return send(self, request, **given)
        with calling(request.method, request.url.host, request.url.port) as work:
            inject(request.headers)
            response = send(self, request, **given)
            answered(work, response.status_code)
            return response

    return traced


def _awaiting(send: Any) -> Any:
    async def traced(self: Any, request: Any, **given: Any) -> Any:
        if CURRENT.get() is None:
            return await send(self, request, **given)
        with calling(request.method, request.url.host, request.url.port) as work:
            inject(request.headers)
            response = await send(self, request, **given)
            answered(work, response.status_code)
            return response

    return traced


def _preparing(send: Any) -> Any:
    def traced(self: Any, request: Any, **given: Any) -> Any:
        if CURRENT.get() is None:
            return send(self, request, **given)
        parts = urlsplit(request.url)
        with calling(request.method, parts.hostname or "", parts.port) as work:
            inject(request.headers)
            response = send(self, request, **given)
            answered(work, response.status_code)
            return response

    return traced
