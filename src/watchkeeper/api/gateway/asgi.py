"""The gateway as ASGI: in front of all there is, and on every answer what each one has."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from watchkeeper import telemetry
from watchkeeper.api.door_table import door_at
from watchkeeper.api.doors import (
    Answer,
    Headers,
    Receive,
    Scope,
    Send,
    headers_of,
    read_body,
    send_answer,
)
from watchkeeper.api.gateway.admission import ADMITTED, CREDENTIALS, PROXIED, Asked, Gate
from watchkeeper.api.gateway.table import Needs, table
from watchkeeper.api.problems import problem_body, retry_after, status_of
from watchkeeper.api.prometheus_words import refused
from watchkeeper.api.services import ServerConfig
from watchkeeper.clock import Clock
from watchkeeper.errors import BadInput, Retryable, WatchkeeperError
from watchkeeper.model.part import EVERY, Part
from watchkeeper.model.principal import Principal

_Mutable = list[tuple[bytes, bytes]]
Inner = Callable[[Scope, Receive, Send], Awaitable[None]]

_log: Final = telemetry.Log(__name__)
_REFUSED: Final = telemetry.counter(
    "watchkeeper_api_refused_requests_total",
    "Requests that the gateway let no further, by the status that they were answered with.",
    ("status",),
)
_SANE: Final = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
"""A request's id that is taken over as it is: it comes into logs and answers."""
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SECURE: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_CHALLENGE: Final = (b"www-authenticate", b'Basic realm="watchkeeper", charset="UTF-8"')
_PROBLEM: Final = (b"content-type", b"application/problem+json")


class Gateway:
    """Nothing comes past it, and what is not in the table is not served."""

    def __init__(
        self,
        config: ServerConfig,
        gate: Gate,
        clock: Clock,
        inner: Inner,
        parts: Collection[Part] = EVERY,
    ) -> None:
        """What belongs to none of these parts is not served."""
        self.gate = gate
        self._config = config
        self._clock = clock
        self._inner = inner
        self._table = table(parts)
        self._elsewhere = "" if set(parts) == set(EVERY) else f" (this one is {', '.join(parts)})"
        self._origins = frozenset(origin.encode() for origin in config.cors_origins)
        self._wanted = frozenset({
            *CREDENTIALS, *PROXIED, b"host", b"origin", b"content-length", b"x-request-id",
            b"access-control-request-method", config.tenant_header.lower().encode("latin-1"),
        })  # fmt: skip
        self._mark = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _hang_up(receive, send)
            return
        wanted = self._wanted
        headers = {name: text for name, text in scope["headers"] if name in wanted}
        request_id = self._request_id(headers)
        telemetry.request_id.set(request_id)
        always = [(b"x-request-id", request_id.encode()), *_SECURE]
        if self._origins:
            always += self._cors(headers)

        async def answer(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with(message.get("headers", ()), always)}
            await send(message)

        if self._is_preflight(scope, headers):
            await send_answer(answer, _PREFLIGHT)
            return
        try:
            receive = await self._let_in(scope, headers, receive)
        except WatchkeeperError as error:
            refusal = self._refusal(scope, error)
            _REFUSED.add(1, str(refusal.status))
            _log.debug("refused", path=scope["path"], status=refusal.status, why=error)
            await send_answer(answer, refusal)
            return
        await self._inner(scope, receive, answer)

    async def _let_in(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Receive:
        """Decide, write the decision into the scope, and bound the body that may still come."""
        path, method = scope["path"], scope["method"]
        needs = self._table.of(path) or {}
        peer = scope.get("client")
        length = headers.get(b"content-length", b"")
        asked = Asked(
            headers,
            peer=peer[0] if peer and scope["http_version"] != "1.0" else None,
            needs=needs.get(method),
            is_open=method in needs and needs[method] is None,
            n_bytes=int(length) if length.isdigit() and len(length) < 19 else 0,
        )
        now_ns = self._clock.now_ns()
        admitted = await self.gate.admit(asked, now_ns)
        if method not in needs:
            raise _nowhere(path, method, needs, self._elsewhere)
        scope[ADMITTED] = admitted  # type: ignore[index]  # ASGI's scope is there to be added to
        if method not in _WITH_BODY:
            return receive
        if door_at(path, method) is None:
            limit, within_s = self._config.body_bytes, self._config.body_s
            return _again(await read_body(scope, receive, limit, within_s))
        if not length and admitted.principal.limits.bytes_per_s is not None:
            return self._counted(receive, admitted.principal)
        return receive

    def _counted(self, receive: Receive, principal: Principal) -> Receive:
        """A body that did not tell its size is counted as it comes."""

        async def counting() -> Mapping[str, Any]:
            message = await receive()
            self.gate.used(principal, len(message.get("body", b"")), self._clock.now_ns())
            return message

        return counting

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id")
        if given is not None and _SANE.fullmatch(given):
            return given.decode("ascii")
        return f"{self._mark}-{next(self._numbers):x}"

    def _cors(self, headers: Mapping[bytes, bytes]) -> Headers:
        origin = headers.get(b"origin", b"")
        if origin not in self._origins:
            return ((b"vary", b"origin"),)
        return (
            (b"vary", b"origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"x-request-id, retry-after"),
        )

    def _is_preflight(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        return (
            scope["method"] == "OPTIONS"
            and b"access-control-request-method" in headers
            and headers.get(b"origin") in self._origins
        )

    @staticmethod
    def _refusal(scope: Scope, error: WatchkeeperError) -> Answer:
        """In the words of the protocol that is spoken here; else as a problem."""
        found = door_at(scope["path"], scope["method"])
        status = status_of(error)
        if found is not None:
            answer = found[0].words.refused(error, headers_of(scope))
        else:
            body, more = _told(scope["path"], status, error)
            if isinstance(error, Retryable):
                more.append((b"retry-after", retry_after(error).encode()))
            if isinstance(error, _WrongMethod):
                more.append((b"allow", error.allow.encode()))
            answer = Answer(status, body, more)
        if status == 401:
            return Answer(answer.status, answer.body, (*answer.headers, _CHALLENGE))
        return answer


def _told(path: str, status: int, error: WatchkeeperError) -> tuple[bytes, _Mutable]:
    """As Prometheus says it under its path; else as a problem."""
    if path.startswith("/prometheus/"):
        return bytes(refused(error).body), [(b"content-type", b"application/json")]
    return problem_body(status, str(error)), [_PROBLEM]


class _WrongMethod(BadInput):
    def __init__(self, path: str, method: str, allow: str) -> None:
        super().__init__(f"{path}: use {allow}, not {method}", status=405)
        self.allow = allow


_PREFLIGHT: Final = Answer(
    200,
    b"",
    (
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (
            b"access-control-allow-headers",
            b"authorization, content-type, last-event-id, x-api-key, x-request-id, x-scope-orgid",
        ),
        (b"access-control-max-age", b"600"),
    ),
)


def _nowhere(path: str, method: str, needs: Needs, elsewhere: str) -> BadInput:
    if needs:
        return _WrongMethod(path, method, ", ".join(sorted(needs)))
    if elsewhere:
        elsewhere = f" here; ask the process whose part it is{elsewhere}"
    return BadInput(
        f"there is nothing at {path}{elsewhere}; GET /openapi.json lists all there is", status=404
    )


def _with(given: Headers, always: Headers) -> list[tuple[bytes, bytes]]:
    """An answer's own headers, and those of every answer that it does not set itself."""
    names = {name for name, _ in given}
    return [*given, *(pair for pair in always if pair[0] not in names)]


def _again(body: bytes) -> Receive:
    """Hands out a body that was read."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Mapping[str, Any]:
        return left.pop() if left else {"type": "http.disconnect"}

    return receive


async def _hang_up(receive: Receive, send: Send) -> None:
    """No web sockets here."""
    if (await receive())["type"] == "websocket.connect":
        await send({"type": "websocket.close", "code": 1003})
