"""Applications under observation, and what they tell, read back by OpenTelemetry's own messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchkeeper.sdk.middleware import Recorder, Settings

PARENT = "00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01"


@dataclass
class Outlet:
    """Keeps every body."""

    came: list[tuple[str, bytes]] = field(default_factory=list)
    dropped: int = 0
    closed: bool = False

    def put(self, path: str, body: bytes) -> None:
        self.came.append((path, body))

    def send(self, *, now: bool = False) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True

    def abandon(self) -> None:
        self.came.clear()


@dataclass
class Observed:
    """A recorder, and what came of it."""

    recorder: Recorder
    outlet: Outlet

    def spans(self) -> list[Any]:
        return list(self._items("/v1/traces", ExportTraceServiceRequest))

    def span(self) -> Any:
        (one,) = self.spans()
        return one

    def lines(self) -> list[Any]:
        return list(self._items("/v1/logs", ExportLogsServiceRequest))

    def metrics(self) -> dict[str, Any]:
        """As they were told last."""
        return {one.name: one for one in self._items("/v1/metrics", ExportMetricsServiceRequest)}

    def resource(self) -> dict[str, Any]:
        self.recorder.flush()
        message = ExportTraceServiceRequest()
        message.ParseFromString(next(body for path, body in self.outlet.came if "trace" in path))
        return said(message.resource_spans[0].resource.attributes)

    def _items(self, path: str, kind: Any) -> Iterator[Any]:
        self.recorder.flush()
        for came, body in self.outlet.came:
            if came == path:
                message = kind()
                message.ParseFromString(body)
                (_, (groups,)) = message.ListFields()[0]
                (_, (scope,)) = groups.ListFields()[1]
                (_, items) = scope.ListFields()[0]
                yield from items


@contextmanager
def observed(**settings: Any) -> Iterator[Observed]:
    """A recorder that sends when it is asked to."""
    given = {"flush_s": 3600.0, "metrics_s": 3600.0, "log_level": None, **settings}
    outlet = Outlet()
    with Recorder(Settings("checkout", **given), outlet) as recorder:
        yield Observed(recorder, outlet)


def said(attributes: Iterable[Any]) -> dict[str, Any]:
    """Attributes as their plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@dataclass
class Answered:
    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def trace_id(self) -> str:
        return dict(self.headers)["x-trace-id"]


def ask(app: Any, path: str = "/", method: str = "GET", **headers: str) -> Answered:
    """A request to a WSGI application, as a server makes it."""
    answer = Answered()
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    environ |= {"SERVER_NAME": "shop", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}

    def begin(status: str, told: Sequence[tuple[str, str]], exc_info: object = None) -> None:
        answer.status, answer.headers = status, list(told)

    body = app(environ, begin)
    try:
        answer.body = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer
