"""Calls to others, and other parts of a request, as spans of its trace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from watchkeeper.errors import Permanent
from watchkeeper.sdk.middleware.below import Below, Call
from watchkeeper.sdk.middleware.ids import TRACEPARENT, written
from watchkeeper.sdk.middleware.shapes import CLIENT, INTERNAL, refusal
from watchkeeper.sdk.middleware.work import CURRENT, Work, inject, name_in
from watchkeeper.sdk.rows import Label

_KINDS: Final = {"internal": INTERNAL, "client": CLIENT}
_KEY: Final = TRACEPARENT.encode()
Undo = Callable[[], None]
Namer = Callable[[Any, Work], None]
"""Lets whoever is called know of it, by the headers that are sent."""


class Part:
    """A part of the request that is served here, as long as its block lasts. Not a generator, which
    would cost more than what it tells."""

    __slots__ = ("_attributes", "_kind", "_name", "_work")

    def __init__(self, name: str, kind: int, attributes: dict[str, Label]) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._work: Below | None = None

    def __enter__(self) -> Work | None:
        outer = CURRENT.get()
        self._work = None if outer is None else self._begun(outer)
        return self._work

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._work is not None:
            self._work.over(error)

    def _begun(self, outer: Work) -> Below:
        part = Below()
        part.begin_below(outer, self._kind, self._name)
        part.attributes, part.is_plain = self._attributes, False
        return part


class Calling(Part):
    """A call of another service, likewise."""

    __slots__ = ("_host", "_port")

    def __init__(self, method: str, host: str, port: int | None) -> None:
        super().__init__(method, CLIENT, {})
        self._host = host
        self._port = port

    def _begun(self, outer: Work) -> Below:
        call = Call()
        call.begin_call(outer, self._name, self._host, self._port)
        return call


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
    return Calling(method, host, port)


def answered(work: Work | None, status: int) -> None:
    """What the other service said; its refusals are failures of the call."""
    if isinstance(work, Call):
        work.status = status
    elif work is not None:
        work.set("http.response.status_code", status)
        if status >= 400:
            work.set("error.type", str(status))
            work.failure = refusal(status)


def trace_calls(*modules: ModuleType) -> Undo:
    """Let every request by `httpx` or `requests` be a span, and carry the trace.

    Give the modules: `trace_calls(httpx)`. What is returned takes it back.
    """
    undoes: list[Undo] = []
    for module in modules:
        match module.__name__:
            case "httpx":
                name = _namer(module.Headers)
                for owner, around in (module.Client, _sending), (module.AsyncClient, _awaiting):
                    undoes.append(_replaced(owner, "send", partial(around, name=name)))
            case "requests":
                undoes.append(_replaced(module.Session, "send", _preparing))
            case other:
                raise Permanent(f"cannot trace calls by '{other}'; known: httpx, requests")

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


def _sending(send: Any, name: Namer) -> Any:
    def traced(self: Any, request: Any, **given: Any) -> Any:
        outer = CURRENT.get()
        if outer is None:
            return send(self, request, **given)
        call = _begun_by_httpx(outer, request, name)
        try:
            response = send(self, request, **given)
        except BaseException as error:
            call.over(error)
            raise
        call.status = response.status_code
        call.over()
        return response

    return traced


def _awaiting(send: Any, name: Namer) -> Any:
    async def traced(self: Any, request: Any, **given: Any) -> Any:
        outer = CURRENT.get()
        if outer is None:
            return await send(self, request, **given)
        call = _begun_by_httpx(outer, request, name)
        try:
            response = await send(self, request, **given)
        except BaseException as error:
            call.over(error)
            raise
        call.status = response.status_code
        call.over()
        return response

    return traced


def _begun_by_httpx(outer: Work, request: Any, name: Namer) -> Call:
    url = request.url
    call = Call()
    call.begin_call(outer, request.method, url.host, url.port)
    name(request.headers, call)
    return call


def _namer(headers: Any) -> Namer:
    """To set a header by its name costs httpx four times as much as to add it to what it holds,
    which is no promise of its, so that it is looked at first."""
    is_known = getattr(headers({"A": "b"}), "_list", None) == [(b"A", b"a", b"b")]
    return _add_name if is_known else name_in


def _add_name(headers: Any, call: Work) -> None:
    listed = headers._list  # noqa: SLF001
    for one in listed:
        if one[1] == _KEY:
            name_in(headers, call)
            return
    if call.state:
        name_in(headers, call)
        return
    listed.append((_KEY, _KEY, written(call.ids, sampled=call.sampled).encode()))


def _preparing(send: Any) -> Any:
    def traced(self: Any, request: Any, **given: Any) -> Any:
        if CURRENT.get() is None:
            return send(self, request, **given)
        url = urlsplit(request.url)
        with calling(request.method, url.hostname or "", url.port) as work:
            inject(request.headers)
            response = send(self, request, **given)
            answered(work, response.status_code)
            return response

    return traced
