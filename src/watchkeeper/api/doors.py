"""The hot routes: plain ASGI, one door per protocol, each answering in its protocol's own words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from watchkeeper.api.problems import problem_body, retry_after, status_of
from watchkeeper.errors import BadInput, OverLimit, Retryable, TooLarge, WatchkeeperError
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.ingest.receivers.base import Noun

Headers = Sequence[tuple[bytes, bytes]]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
_JSON: Headers = ((b"content-type", b"application/json"),)
_PROBLEM: Headers = ((b"content-type", b"application/problem+json"),)
_PROTOBUF: Headers = ((b"content-type", b"application/x-protobuf"),)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Headers = ()


class Words(Protocol):
    """How a protocol says what happened to a body."""

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer: ...

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer: ...


class RemoteWriteWords:
    """204, or text. Never 2xx if anything known was not written; 5xx is retried, 4xx is not.

    Senders of 2.0 are told how much was written, whatever the answer.
    """

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        written = _written(headers, accepted)
        if accepted.rejects:
            return Answer(400, sentence(accepted, "samples").encode(), (*_TEXT, *written))
        return Answer(204, headers=written)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        # Prometheus drops what is answered with 429, unless it is told otherwise.
        status = 503 if isinstance(error, OverLimit) else status_of(error)
        written = _written(headers, Accepted(0))
        return Answer(status, str(error).encode(), (*_TEXT, *retry_headers(error), *written))


_REJECTED: Mapping[Noun, tuple[type[Any], str]] = {
    "samples": (ExportMetricsServiceResponse, "rejected_data_points"),
    "lines": (ExportLogsServiceResponse, "rejected_log_records"),
    "spans": (ExportTraceServiceResponse, "rejected_spans"),
}
"""What OTLP answers, and where it says how many items it did not take."""


_RPC_CODES = {401: 16, 403: 7, 429: 8}
"""google.rpc.Code: UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED. Else it is UNAVAILABLE
for what may be retried, INVALID_ARGUMENT for what may not."""


@dataclass(frozen=True, slots=True)
class OtlpWords:
    """200 with a partial success, or google.rpc.Status; in the request's own content type."""

    noun: Noun

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        n_rejected = sum(reject.count for reject in accepted.rejects)
        kind, rejected = _REJECTED[self.noun]
        response = kind()
        if accepted.rejects:
            setattr(response.partial_success, rejected, n_rejected)
            response.partial_success.error_message = sentence(accepted, self.noun)
        if _is_json(headers):
            return Answer(200, MessageToJson(response, indent=None).encode(), _JSON)
        return Answer(200, response.SerializeToString(), _PROTOBUF)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        status = status_of(error)
        code = _RPC_CODES.get(status, 14 if isinstance(error, Retryable) else 3)
        if _is_json(headers):
            body = json.dumps({"code": code, "message": str(error)}).encode()
            return Answer(status, body, (*_JSON, *retry_headers(error)))
        told = Status(code=code, message=str(error)).SerializeToString()
        return Answer(status, told, (*_PROTOBUF, *retry_headers(error)))


@dataclass(frozen=True, slots=True)
class JsonWords:
    """What was taken and what was not, as JSON; 400 only if nothing was."""

    noun: Noun

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        body = {
            "status": "ok" if not accepted.rejects else "partial",
            "accepted": accepted.n_accepted,
            "rejected": [
                {"reason": reject.reason, "count": reject.count, "detail": reject.detail}
                for reject in accepted.rejects
            ],
        }
        if accepted.rejects and not accepted.n_accepted:
            told = sentence(accepted, self.noun)
            body |= {"status": 400, "title": "Nothing was accepted", "detail": told}
            return Answer(400, json.dumps(body).encode(), _PROBLEM)
        return Answer(200, json.dumps(body).encode(), _JSON)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        status = status_of(error)
        body = problem_body(status, str(error), title="The body was not accepted")
        return Answer(status, body, (*_PROBLEM, *retry_headers(error)))


@dataclass(frozen=True, slots=True)
class LokiWords:
    """204, or text. Clients send again after 429 and 5xx, and drop what is answered otherwise."""

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        if accepted.rejects:
            return Answer(400, sentence(accepted, "lines").encode(), _TEXT)
        return Answer(204)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        return Answer(status_of(error), str(error).encode(), (*_TEXT, *retry_headers(error)))


@dataclass(frozen=True, slots=True)
class TracerWords:
    """202 without a body, as Zipkin and Jaeger answer; or text. 400 only if nothing was taken."""

    def accepted(self, accepted: Accepted, headers: Mapping[str, str]) -> Answer:
        if accepted.rejects and not accepted.n_accepted:
            return Answer(400, sentence(accepted, "spans").encode(), _TEXT)
        return Answer(202)

    def refused(self, error: WatchkeeperError, headers: Mapping[str, str]) -> Answer:
        return Answer(status_of(error), str(error).encode(), (*_TEXT, *retry_headers(error)))


@dataclass(frozen=True, slots=True)
class Door:
    """A route that takes telemetry: which receiver decodes it and in whose words it is answered."""

    receiver: str
    words: Words
    says: str
    """One line for the API's reference."""
    methods: tuple[str, ...] = ("POST",)


async def read_body(scope: Scope, receive: Receive, limit: int, within_s: float = 60.0) -> bytes:
    """The request's body; raises TooLarge as soon as it is, and BadInput when it takes too long."""
    try:
        async with asyncio.timeout(within_s):
            return await _whole_body(scope, receive, limit)
    except TimeoutError:
        raise BadInput(
            f"{scope['path']}: the body did not come within {within_s:g} s (server.body_s); "
            "send smaller batches",
            status=408,
        ) from None


async def _whole_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadInput("the sender went away before the body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge(
                f"{scope['path']}: the body is larger than {limit} bytes (server.body_bytes); "
                "send smaller batches"
            )
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_answer(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    if answer.status == 204:
        headers = [*answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def headers_of(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _written(headers: Mapping[str, str], accepted: Accepted) -> Headers:
    """What remote write 2.0 must be answered; without it a sender takes us for one of 1.0."""
    if "io.prometheus.write.v2" not in headers.get("content-type", ""):
        return ()
    counts = (
        (b"samples", accepted.n_accepted + accepted.n_before),
        (b"histograms", accepted.n_histograms),
        (b"exemplars", accepted.n_exemplars),
    )
    return [
        (b"x-prometheus-remote-write-%s-written" % noun, str(count).encode())
        for noun, count in counts
    ]


def retry_headers(error: WatchkeeperError) -> Headers:
    if isinstance(error, Retryable):
        return ((b"retry-after", retry_after(error).encode()),)
    return ()


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def sentence(accepted: Accepted, noun: Noun) -> str:
    parts = [
        f"{reject.count} {noun}: {reject.reason}" + (f" ({reject.detail})" if reject.detail else "")
        for reject in accepted.rejects
    ]
    return f"{accepted.n_accepted} {noun} accepted; not accepted: {'; '.join(parts)}"
