"""OTLP over gRPC: a call becomes a request to the HTTP application, its answer a gRPC status.

So the same gateway lets it in, the same receiver reads it, and an answer means the same in both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from watchkeeper.api.doors import Receive, Scope, Send
from watchkeeper.api.services import ServerConfig
from watchkeeper.errors import ConfigError

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SERVICE: Final = "/opentelemetry.proto.collector"
PATHS: Final[Mapping[str, str]] = {
    f"{_SERVICE}.metrics.v1.MetricsService/Export": "/v1/metrics",
    f"{_SERVICE}.logs.v1.LogsService/Export": "/v1/logs",
    f"{_SERVICE}.trace.v1.TraceService/Export": "/v1/traces",
}
"""The door behind each method."""
_CODES: Final[Mapping[int, grpc.StatusCode]] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.UNAVAILABLE,
}
"""What an HTTP status is here; RESOURCE_EXHAUSTED is final unless RetryInfo comes with it."""
_NOT_HEADERS: Final = frozenset({"content-type", "content-length", "content-encoding"})


@asynccontextmanager
async def serving(application: Application, config: ServerConfig) -> AsyncIterator[int]:
    """Listen until left; the port. Leaving lets open calls end."""
    host, port = config.host, config.grpc_port
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", config.body_bytes),
            ("grpc.so_reuseport", 0),  # or two servers would share a port without a word
        )
    )
    server.add_generic_rpc_handlers((_Exports(application),))
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(where)
    except RuntimeError as error:
        raise ConfigError(
            f"server: cannot listen on {where} for gRPC; stop what listens there, or choose "
            "another server.grpc_port (0 takes a free one)"
        ) from error
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(config.stop_s)


class _Exports(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc says nothing of its types
    """Hands on the bytes of a call: what they mean is the receiver's to say."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def service(self, handler_call_details: Any) -> Any:
        path = PATHS.get(handler_call_details.method)
        if path is None:
            return None
        return grpc.unary_unary_rpc_method_handler(partial(self._export, path))

    async def _export(self, path: str, body: bytes, context: Any) -> bytes:
        scope = _scope(path, body, context.peer(), context.invocation_metadata() or ())
        answer = _Answer()
        await self._application(scope, _body(body), answer)
        if answer.status == 200:
            return answer.body
        status = _told(answer)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        code = _CODES.get(answer.status, grpc.StatusCode.INTERNAL)
        await context.abort(code, status.message)
        raise AssertionError("abort never returns")


class _Answer:
    """Where the application sends its answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message.get("headers", ()))
        else:
            self.body += message.get("body", b"")


def _scope(path: str, body: bytes, peer: str, metadata: Any) -> dict[str, Any]:
    """As ASGI describes a request; metadata are its headers."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in metadata
        if isinstance(value, str) and name not in _NOT_HEADERS
    ]
    headers.append((b"content-type", b"application/x-protobuf"))
    headers.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http",
        "http_version": "2",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": _client(peer),
    }


def _client(peer: str) -> tuple[str, int] | None:
    """`ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`; None for what has no address."""
    kind, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdigit():
        return None
    return host.strip("[]"), int(port)


def _body(body: bytes) -> Receive:
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Mapping[str, Any]:
        return left.pop() if left else {"type": "http.disconnect"}

    return receive


def _told(answer: _Answer) -> Status:
    """The answer as google.rpc.Status, with RetryInfo where it says when to come back."""
    try:
        status = Status.FromString(answer.body)
    except DecodeError:
        status = Status(message=answer.body.decode(errors="replace"))
    status.code = _CODES.get(answer.status, grpc.StatusCode.INTERNAL).value[0]
    after = answer.headers.get(b"retry-after")
    if after is not None:
        info = RetryInfo()
        info.retry_delay.seconds = int(after)
        detail = AnyMessage()
        detail.Pack(info)
        status.details.append(detail)
    return status
