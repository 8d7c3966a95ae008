"""What a running server tells in the course of a run: anomalies, failing spans, what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from watchkeeper.errors import Retryable
from watchkeeper.evaluate.records import Found, Usage
from watchkeeper.sdk import Anomaly, Client, FoundSpan

PAGE: Final = "page"
CPU: Final = "watchkeeper_telemetry_cpu_seconds_total"
MEMORY: Final = "watchkeeper_telemetry_resident_bytes"
_LOOK_S: Final = 1.0
_USAGE_S: Final = 10.0
_BACK_S: Final = 120.0
"""What ended within so long is still asked for, should answers have stayed away."""
_TRACES: Final = 20
_FIRST_S: Final = 0.5
_FARTHEST: Final = 1e9
"""In parts of what was expected; JSON has no infinity."""


class Pace(Protocol):
    """Time as it passes, or as a test lets it pass."""

    def now_s(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Watch:
    """Remembers when each anomaly could first be read, and first as a page."""

    def __init__(self, client: Client, pace: Pace, tell: Callable[[str], None]) -> None:
        self._client = client
        self._pace = pace
        self._tell = tell
        self._looked_s = self._used_s = 0.0
        self.found: dict[str, Found] = {}
        self.usage: list[Usage] = []
        self.unheard = 0

    @property
    def url(self) -> str:
        return self._client.url

    def look(self) -> None:
        """Ask, unless it was just asked. A server that does not answer is asked again later."""
        now_s = self._pace.now_s()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        try:
            for anomaly in self._client.anomalies(since=now_s - _BACK_S):
                self._keep(anomaly)
            if now_s - self._used_s >= _USAGE_S:
                self._used_s = now_s
                self._measure()
        except Retryable:
            self.unheard += 1

    def failing_spans(self, low_s: float, high_s: float) -> list[FoundSpan]:
        """Spans of the first traces that failed within a time."""
        length_s = _FIRST_S
        while True:
            end_s = min(low_s + length_s, high_s)
            found = self._client.traces(status="error", start=low_s, end=end_s, limit=_TRACES)
            if found or end_s >= high_s:
                break
            length_s *= 2
        return [span for one in found for span in self._client.trace(one.trace_id).spans]

    def _keep(self, anomaly: Anomaly) -> None:
        now_s = self._pace.now_s()
        before = self.found.get(anomaly.id)
        paged_s = None if before is None else before.paged_s
        if anomaly.severity == PAGE and paged_s is None:
            paged_s = now_s
            self._tell(f"page of {anomaly.service or anomaly.metric}: {anomaly.explanation}")
        self.found[anomaly.id] = Found(
            id=anomaly.id,
            service=anomaly.service,
            metric=anomaly.metric or anomaly.labels.get("symptom", ""),
            detector=anomaly.detector,
            severity=anomaly.severity,
            started_s=anomaly.started_at.timestamp(),
            seen_s=now_s if before is None else before.seen_s,
            paged_s=paged_s,
            p_value=anomaly.p_value,
            deviation=deviation(anomaly),
            explanation=anomaly.explanation,
        )

    def _measure(self) -> None:
        told = self._client.own_metrics()
        if CPU in told and MEMORY in told:
            self.usage.append(Usage(self._pace.now_s(), told[CPU], told[MEMORY]))


def deviation(anomaly: Anomaly) -> float:
    """How far from the middle of what was expected, in parts of that."""
    if anomaly.value is None or anomaly.residual is None:
        return 0.0
    middle = abs(anomaly.value - anomaly.residual)
    off = abs(anomaly.residual)
    return min(_FARTHEST, off / middle) if middle else (_FARTHEST if off else 0.0)
