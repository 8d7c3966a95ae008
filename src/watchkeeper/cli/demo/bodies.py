"""What telemetry says, read as the server reads it; so this imports what the server does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from watchkeeper.cli.demo.gate import Body
from watchkeeper.cli.demo.level import Point
from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.ingest.receivers.remote_write import RemoteWrite

_RECEIVERS: Final[Mapping[str, type[OtlpMetrics] | type[RemoteWrite]]] = {
    "/v1/metrics": OtlpMetrics,
    "/api/v1/write": RemoteWrite,
}


def points_of(bodies: Iterable[Body]) -> Iterator[Point]:
    """The samples of metrics among these bodies."""
    receivers: dict[str, OtlpMetrics | RemoteWrite] = {
        path: make() for path, make in _RECEIVERS.items()
    }
    for body in bodies:
        receiver = receivers.get(body.path)
        if receiver is not None:
            headers = {name.lower(): value for name, value in body.headers.items()}
            for labels, time_ns, value in samples_of(
                receiver.decode(body.content, headers, now_ns=0)
            ):
                yield Point(labels, time_ns / NS_PER_S, value)


def are_before(time_s: float) -> Callable[[Body], bool]:
    """Whether a body has samples, and all of them are of before that time."""

    def told_before(body: Body) -> bool:
        times = [one.time_s for one in points_of([body])]
        return bool(times) and max(times) < time_s

    return told_before
