"""A client of Watchkeeper's API: what it writes is durable, what it reads has types.

    with Client("http://127.0.0.1:8100") as watchkeeper:
        watchkeeper.send([Sample("queue_length", 7, time_s, {"service": "shop"})])
        for anomaly in watchkeeper.anomalies(status="open"):
            print(anomaly.metric, anomaly.value, anomaly.expected)

Requests are sent again, within bounds, where the server or the network says "not now"; the server
knows a body that it has already taken, so nothing is written twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from watchkeeper.errors import Retryable
from watchkeeper.sdk import calls, explained, ruling_calls
from watchkeeper.sdk import incidents as incident_calls
from watchkeeper.sdk.address import ApiKey, address, trusted
from watchkeeper.sdk.answers import (
    Anomaly,
    AnomalyPage,
    Change,
    Health,
    QueriedSeries,
    Source,
    Written,
)
from watchkeeper.sdk.calls import Call, Time
from watchkeeper.sdk.events import EventLines
from watchkeeper.sdk.explained import Causes, TopologyGraph, TopologySaid
from watchkeeper.sdk.found import AnomalyTraces, LinePage, TemplateList, Trace, TraceSummary
from watchkeeper.sdk.incidents import Incident, IncidentPage, IncidentTimeline
from watchkeeper.sdk.paged import Noisy, Objectives
from watchkeeper.sdk.retry import Outcome, Retry, settled, unreachable
from watchkeeper.sdk.rows import ChangeNote, LogLine
from watchkeeper.sdk.ruled import DetectionSettings, MaintenanceWindow, Verdict
from watchkeeper.sdk.series import Sample, TimeSeries, series_of
from watchkeeper.sdk.spans import Span

T = TypeVar("T")

TENANT_HEADER = "x-scope-orgid"
STREAM = "/api/v1/anomalies/stream"
ENDED = httpx.ReadError("the server ended the stream")
STREAM_TIMEOUT = httpx.Timeout(10.0, read=60.0)
"""Silence is normal on a stream, but the server sends a comment every quarter of a minute."""


class Client:
    """Blocking; for threads, scripts and the command line. Close it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        tenant: str | None = None,
        api_key: str | None = None,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, in_url = address(url)
        self._retry = retry or Retry()
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.url,
            auth=in_url if api_key is None else ApiKey(api_key),
            headers={TENANT_HEADER: tenant} if tenant else None,
            timeout=self._retry.timeout_s,
            verify=trusted(self.url),
            transport=transport,
        )

    def write(self, series: Sequence[TimeSeries]) -> Written:
        """Send columns of samples; durable when it returns."""
        return self.call(calls.write(series))

    def send(self, samples: Iterable[Sample]) -> Written:
        """Send single samples; durable when it returns."""
        return self.write(series_of(samples))

    def write_json(self, body: bytes) -> Written:
        """Send `{"metrics": [...]}` as it is."""
        return self.call(calls.write_json(body))

    def write_spans(self, spans: Sequence[Span]) -> Written:
        """Send spans; durable when it returns."""
        return self.call(calls.write_spans(spans))

    def write_logs(self, lines: Sequence[LogLine]) -> Written:
        """Send lines of logs; durable when it returns."""
        return self.call(calls.write_logs(lines))

    def write_changes(self, changes: Sequence[ChangeNote]) -> Written:
        """Tell what was changed; durable when it returns."""
        return self.call(calls.write_changes(changes))

    def write_deployment(
        self,
        service: str,
        version: str,
        *,
        at: datetime | float | str,
        status: str = "success",
        actor: str = "",
        **details: str,
    ) -> Written:
        """Tell that a version of a service was deployed; durable when it returns."""
        note = ChangeNote(
            service=service,
            version=version,
            timestamp=at,
            status=status,
            actor=actor,
            details=details,
        )
        return self.write_changes([note])

    def query(
        self,
        selector: str,
        *,
        start: Time | None = None,
        end: Time | None = None,
        step: str | None = None,
        **fold: str | None,
    ) -> tuple[QueriedSeries, ...]:
        """Samples of the selected series; `fold` takes over_time, across, by and limit."""
        asked = calls.query(selector, start=start, end=end, step=step, **fold)
        return self.call(asked)

    def promql(self, expression: str, *, at: Time | None = None) -> tuple[QueriedSeries, ...]:
        """What a PromQL expression is worth now, or at a moment. A number is a series, too."""
        return self.call(calls.promql(expression, at=at))

    def promql_range(
        self, expression: str, *, start: Time, end: Time, step: str | float
    ) -> tuple[QueriedSeries, ...]:
        """What a PromQL expression is worth at every step, both ends included."""
        return self.call(calls.promql_range(expression, start=start, end=end, step=step))

    def anomalies(
        self, *, limit: int | None = None, **chosen: str | Time | None
    ) -> Iterator[Anomaly]:
        """Newest first, page after page; `chosen` takes status, service, detector, since, until."""
        left = limit
        cursor: str | None = None
        while left is None or left > 0:
            page = self.anomaly_page(
                limit=1000 if left is None else min(1000, left), cursor=cursor, **chosen
            )
            yield from page.items
            cursor = page.cursor
            if cursor is None:
                return
            left = None if left is None else left - len(page.items)

    def anomaly_page(
        self, *, limit: int = 100, cursor: str | None = None, **chosen: str | Time | None
    ) -> AnomalyPage:
        return self.call(calls.anomalies(limit=str(limit), cursor=cursor, **chosen))

    def anomaly(self, identity: str) -> Anomaly:
        return self.call(calls.anomaly(identity))

    def anomaly_traces(self, identity: str, *, limit: int = 5) -> AnomalyTraces:
        """Traces of its time that failed, so many, and the slowest."""
        return self.call(calls.anomaly_traces(identity, limit))

    def logs(
        self, *, limit: int = 100, cursor: str | None = None, **chosen: str | Time | None
    ) -> LinePage:
        """A page of log lines, newest first; `chosen` takes text, contains, query, level, template,
        trace_id, start and end."""
        return self.call(calls.logs(limit=str(limit), cursor=cursor, **chosen))

    def log_templates(
        self, *, limit: int = 1000, service: str | None = None, text: str | None = None
    ) -> TemplateList:
        """What lines have in common, of a service and with a part of the text; the most frequent
        first."""
        return self.call(calls.log_templates(limit=str(limit), service=service, text=text))

    def traces(self, *, limit: int = 20, **chosen: str | Time | None) -> tuple[TraceSummary, ...]:
        """Traces that have such a span, newest first; `chosen` takes service, name, min_duration,
        max_duration, status, query, start and end."""
        return self.call(calls.traces(limit=str(limit), **chosen))

    def trace(self, identity: str) -> Trace:
        return self.call(calls.trace(identity))

    def detection(self, version: int | None = None) -> DetectionSettings:
        """The settings of detection that are in force, or those of a version."""
        return self.call(ruling_calls.detection(version))

    def detection_versions(self) -> tuple[DetectionSettings, ...]:
        """Newest first, without their documents."""
        return self.call(ruling_calls.detection_versions())

    def set_detection(
        self,
        document: Mapping[str, Any] | str,
        *,
        expected: int | None = None,
        dry_run: bool = False,
    ) -> DetectionSettings:
        """Set the whole document; a text is YAML. With `expected`, only if that version is in
        force."""
        asked = ruling_calls.set_detection(document, expected=expected, dry_run=dry_run)
        return self.call(asked)

    def restore_detection(self, version: int, *, expected: int | None = None) -> DetectionSettings:
        """Set again what was in force then; 0 is the configuration file."""
        return self.call(ruling_calls.restore_detection(version, expected=expected))

    def noisy(self, *, at_least: int = 3, limit: int = 100) -> Noisy:
        """Services of which pages were held back in a week, and series with so many anomalies."""
        return self.call(ruling_calls.noisy(at_least, limit))

    def slos(self) -> Objectives:
        """Objectives of services; those with the least budget left first."""
        return self.call(ruling_calls.slos())

    def verdicts(self, anomaly: str) -> tuple[Verdict, ...]:
        """What is said of an anomaly, and what that changes."""
        return self.call(ruling_calls.verdicts(anomaly))

    def give_verdict(self, anomaly: str, verdict: str, *, comment: str = "") -> Verdict:
        """Say that it was `real`, `not_useful` or `expected`."""
        return self.call(ruling_calls.give_verdict(anomaly, verdict, comment))

    def withdraw_verdict(self, anomaly: str) -> Verdict:
        """Take back what this principal said of it."""
        return self.call(ruling_calls.withdraw_verdict(anomaly))

    def maintenance(self, *, over: bool = False) -> tuple[MaintenanceWindow, ...]:
        """Windows that are not over, or all."""
        return self.call(ruling_calls.maintenance(over=over))

    def add_maintenance(
        self,
        match: Mapping[str, str],
        duration: str,
        *,
        reason: str = "maintenance",
        start: str | None = None,
    ) -> MaintenanceWindow:
        """From now on, if no start is given."""
        return self.call(ruling_calls.add_maintenance(match, duration, reason, start))

    def end_maintenance(self, identity: str) -> MaintenanceWindow:
        """It is over now."""
        return self.call(ruling_calls.end_maintenance(identity))

    def causes(
        self, services: Sequence[str] = (), *, at: Time | None = None, until: Time | None = None
    ) -> Causes:
        """Why something is the matter with these services, or with any, since a time."""
        return self.call(explained.causes(services, at=at, until=until))

    def topology(
        self, service: str | None = None, *, hops: int = 1, at: Time | None = None
    ) -> TopologyGraph:
        """Who depends on whom, or what is around a service; now, or as it was."""
        return self.call(explained.topology(service, hops=hops, at=at))

    def topology_said(self, version: int | None = None) -> TopologySaid:
        """What people say of the topology, or said in a version."""
        return self.call(explained.topology_said(version))

    def set_topology(
        self,
        document: Mapping[str, Any] | str,
        *,
        expected: int | None = None,
        dry_run: bool = False,
    ) -> TopologySaid:
        """Set all that people say; a text is YAML. With `expected`, only if that version is in
        force."""
        asked = explained.set_topology(document, expected=expected, dry_run=dry_run)
        return self.call(asked)

    def incidents(self, **asked: Any) -> IncidentPage:
        """A page, newest first, by what the API takes: status, service, urgency, rule, assignee,
        text, since, until, facets, limit, cursor."""
        return self.call(incident_calls.incidents(asked))

    def incident(self, identity: str) -> Incident:
        """One with its alerts, each with why it joined."""
        return self.call(incident_calls.incident(identity))

    def incident_timeline(
        self, identity: str, *, limit: int = 100, cursor: str | None = None
    ) -> IncidentTimeline:
        """What happened to it, newest first."""
        return self.call(incident_calls.timeline(identity, limit, cursor))

    def handle_incident(self, identity: str, verb: str, **said: Any) -> Incident:
        """Do something about it: `acknowledge`, `resolve` ...; `said` as the API takes it:
        comment, expected, assignee, duration, until, into, alerts, at."""
        return self.call(incident_calls.handle(identity, verb, said))

    def sources(self) -> tuple[Source, ...]:
        """Who sends, and how that goes; who was heard of last comes first."""
        return self.call(calls.sources())

    def health(self) -> Health:
        """Asked once: whoever asks for health wants to know it as it is."""
        return self.call(calls.health(), retry=Retry(attempts=1))

    def own_metrics(self) -> Mapping[str, float]:
        """What the server counts of itself: `name{labels}` and its value."""
        return self.call(calls.own_metrics())

    def follow(self, after: str | None = None) -> Iterator[Change]:
        """Every change of an anomaly from now on, or behind a position, for ever.

        A broken connection is taken up again where it broke, or with a reset where no event had
        come yet; after `attempts` failures in a row the last one is raised.
        """
        lines = EventLines(after)
        failures = 0
        while True:
            cause: httpx.TransportError = ENDED
            try:
                for change in self._events(lines):
                    failures = 0
                    yield change
            except httpx.TransportError as error:
                cause = error
            except Retryable as refused:
                cause = httpx.ReadError(str(refused))
            failures += 1
            wait_s = self._retry.wait_s(failures, cause)
            if wait_s is None:
                raise unreachable(self.url, cause)
            self._sleep(wait_s)
            if lines.last_id is None:  # nothing says what was missed meanwhile
                yield Change(None)

    def call(self, call: Call[T], *, retry: Retry | None = None) -> T:
        """Send a request until it is answered for good."""
        policy = retry or self._retry
        attempt = 0
        while True:
            attempt += 1
            result = settled(call, policy, attempt, self._try(call), url=self.url)
            if isinstance(result, httpx.Response):
                return call.read(result)
            self._sleep(result)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _try(self, call: Call[T]) -> Outcome:
        try:
            return self._http.request(
                call.method,
                call.path,
                params=dict(call.params),
                content=call.content,
                headers=dict(call.headers),
            )
        except httpx.TransportError as error:
            return error

    def _events(self, lines: EventLines) -> Iterator[Change]:
        headers = {"accept": "text/event-stream"}
        if lines.last_id is not None:
            headers["last-event-id"] = lines.last_id
        lines.cut()
        with self._http.stream("GET", STREAM, headers=headers, timeout=STREAM_TIMEOUT) as response:
            if not response.is_success:
                response.read()
                raise calls.refusal(response)
            for line in response.iter_lines():
                change = calls.fed(lines, line, response)
                if change is not None:
                    yield change
