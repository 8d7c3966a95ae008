"""Bodies of log lines and of spans, as OpenTelemetry's collector sends them: protobuf, gzip.

One body is made by protobuf's own library. Each further one is a copy of its bytes in which times
and ids, all of fixed size, are written over: so ten million lines are made in a minute, and no two
bodies are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cramjam
import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from bench.fleet import I64

LOGS_PATH: Final = "/v1/logs"
TRACES_PATH: Final = "/v1/traces"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "gzip",
    "User-Agent": "watchkeeper-bench",
}
ROWS_PER_BODY: Final = 1000
SERVICES: Final = 50
RARE: Final = "quarantined"
"""A word that one line in RARE_EVERY has."""
RARE_EVERY: Final = 500_000
SPANS_PER_TRACE: Final = 10

_MARK_TIME: Final = 0x1122334455667788
_MARK_END: Final = 0x1122334455667799
_MARK_ID: Final = b"0f1e2d3c4b5a6978"
"""Sixteen hex digits in a line."""
_MARK_TRACE: Final = bytes(range(0x80, 0x90))
_MARK_SPAN: Final = bytes(range(0x90, 0x98))
_MARK_PARENT: Final = bytes(range(0xA0, 0xA8))
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)

_SAID: Final = (
    "GET /api/cart/items 200 in 12ms for session {id} from 10.2.0.17 user_agent=mobile-ios/4.2",
    "POST /api/checkout 201 in 148ms order={id} items=3 total=89.90 currency=EUR method=card",
    "connection to payments-db reset by peer, retrying attempt=2 request={id} backoff_ms=250",
    "cache miss for key product:{id} region=eu-west-1, loading from catalog in 31ms",
    "published event order.created id={id} partition=7 topic=orders bytes=1184",
    "user session {id} expired after 1800s of inactivity, removing 4 entries from the store",
    "slow query on inventory (412ms): select stock where sku in (...) trace={id}",
    "timeout while calling recommendation service for request {id}: deadline of 500ms exceeded",
)
_LEVELS: Final = (9, 9, 13, 5, 9, 9, 13, 17)


@dataclass(frozen=True, slots=True)
class Pattern:
    """The bytes of a body, and where in it times and ids stand."""

    plain: Any
    places: Mapping[bytes, I64] = field(repr=False)
    """Mark -> where each of its occurrences begins."""

    def filled(self, written: Mapping[bytes, Any]) -> bytes:
        """A body with other bytes in the place of marks: for each mark (n, its size)."""
        body = self.plain.copy()
        for mark, what in written.items():
            at = self.places[mark]
            body[at[:, None] + np.arange(len(mark))] = what
        return bytes(cramjam.gzip.compress(body, level=1))


def pattern(body: bytes, marks: Sequence[bytes]) -> Pattern:
    places = {}
    for mark in marks:
        found, at = [], body.find(mark)
        while at >= 0:
            found.append(at)
            at = body.find(mark, at + len(mark))
        places[mark] = np.array(found, np.int64)
    return Pattern(np.frombuffer(body, np.uint8).copy(), places)


class Lines:
    """Bodies of log lines."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._patterns = [_line_pattern(service) for service in range(SERVICES)]
        self._rare = [_line_pattern(service, rare=True) for service in range(SERVICES)]
        self._number = 0

    def body(self, first_ns: int, step_ns: int) -> bytes:
        """The next body: a service's lines, `step_ns` apart."""
        bodies_per_rare = RARE_EVERY // ROWS_PER_BODY
        kind = self._rare if self._number % bodies_per_rare == 0 else self._patterns
        chosen = kind[self._number % SERVICES]
        self._number += 1
        times = first_ns + step_ns * np.arange(ROWS_PER_BODY)
        return chosen.filled(
            {_little(_MARK_TIME): _bytes(times), _MARK_ID: self._ids(ROWS_PER_BODY)}
        )

    def _ids(self, n: int) -> Any:
        return _HEX[self._chance.integers(0, 16, (n, len(_MARK_ID)))]


class Spans:
    """Bodies of spans: whole traces, each over the same five services."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._pattern = _span_pattern()
        self.newest_trace = ""
        """The first trace of the newest body, in hex."""

    def body(self, first_ns: int, step_ns: int) -> bytes:
        """The next body; spans start `step_ns` apart and last up to a tenth of a second."""
        n = ROWS_PER_BODY
        start = first_ns + step_ns * np.arange(n)
        end = start + self._chance.integers(1_000_000, 100_000_000, n)
        trace = self._chance.integers(1, 255, (n // SPANS_PER_TRACE, 16), np.uint8)
        span = self._chance.integers(1, 255, (n, 8), np.uint8)
        parents = np.arange(n) // SPANS_PER_TRACE * SPANS_PER_TRACE
        roots = np.arange(n) % SPANS_PER_TRACE == 0
        self.newest_trace = trace[0].tobytes().hex()
        return self._pattern.filled(
            {
                _little(_MARK_TIME): _bytes(start),
                _little(_MARK_END): _bytes(end),
                _MARK_TRACE: np.repeat(trace, SPANS_PER_TRACE, axis=0),
                _MARK_SPAN: span,
                _MARK_PARENT: span[parents[~roots]],
            }
        )


def _line_pattern(service: int, *, rare: bool = False) -> Pattern:
    request = ExportLogsServiceRequest()
    lines = request.resource_logs.add()
    lines.resource.attributes.extend(_resource(service))
    scope = lines.scope_logs.add()
    scope.scope.name = "app"
    for row in range(ROWS_PER_BODY):
        said = _SAID[row % len(_SAID)].replace("{id}", _MARK_ID.decode())
        line = scope.log_records.add(
            time_unix_nano=_MARK_TIME, severity_number=_LEVELS[row % len(_LEVELS)]
        )
        line.body.string_value = f"{said} {RARE}" if rare and row == 0 else said
        line.attributes.extend([_said("thread", f"worker-{row % 8}"), _said("logger", "shop.api")])
    return pattern(request.SerializeToString(), [_little(_MARK_TIME), _MARK_ID])


def _span_pattern() -> Pattern:
    request = ExportTraceServiceRequest()
    scopes = []
    for service in range(5):
        spans = request.resource_spans.add()
        spans.resource.attributes.extend(_resource(service))
        scopes.append(spans.scope_spans.add())
    per_service = SPANS_PER_TRACE // len(scopes)
    # Rows are filled in the order of the bytes, so each service has whole traces of its own share.
    for row in range(ROWS_PER_BODY):
        scope = scopes[row * len(scopes) // ROWS_PER_BODY]
        span = scope.spans.add(
            trace_id=_MARK_TRACE,
            span_id=_MARK_SPAN,
            parent_span_id=b"" if row % SPANS_PER_TRACE == 0 else _MARK_PARENT,
            name=f"GET /api/{row % per_service}",
            kind=2 + row % 2,
            start_time_unix_nano=_MARK_TIME,
            end_time_unix_nano=_MARK_END,
        )
        span.attributes.extend(
            [
                _said("http.request.method", "GET"),
                _said("url.path", f"/api/{row % 20}/items"),
                _said("server.address", f"10.0.0.{row % 250}"),
                _said("http.response.status_code", "200"),
                _said("user_agent.original", "shop-app/1.2"),
                _said("network.protocol.version", "1.1"),
                _said("thread.name", f"worker-{row % 8}"),
                _said("customer.tier", "gold"),
            ]
        )
    marks = [_little(_MARK_TIME), _little(_MARK_END), _MARK_TRACE, _MARK_SPAN, _MARK_PARENT]
    return pattern(request.SerializeToString(), marks)


def _resource(service: int) -> list[KeyValue]:
    return [
        _said("service.name", f"service-{service}"),
        _said("deployment.environment.name", "production"),
        _said("k8s.pod.name", f"service-{service}-7f9c4d-x2k8q"),
        _said("host.name", f"node-{service % 10}"),
    ]


def _said(key: str, value: str) -> KeyValue:
    pair = KeyValue(key=key)
    pair.value.string_value = value
    return pair


def _little(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _bytes(numbers: I64) -> Any:
    return np.ascontiguousarray(numbers, "<i8").view(np.uint8).reshape(-1, 8)
