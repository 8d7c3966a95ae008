"""Requests and how their answers are read, without doing any I/O: both clients share this."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from watchkeeper.errors import BadInput, Permanent, Retryable, TooLarge
from watchkeeper.sdk import reading, remote_write, spans
from watchkeeper.sdk.answers import (
    Anomaly,
    AnomalyPage,
    Change,
    Health,
    Problem,
    QueriedSeries,
    Rejected,
    Source,
    SourceList,
    Written,
)
from watchkeeper.sdk.events import EventLines
from watchkeeper.sdk.found import (
    AnomalyTraces,
    LinePage,
    TemplateList,
    Trace,
    TraceList,
    TraceSummary,
)
from watchkeeper.sdk.reading import UNREADABLE
from watchkeeper.sdk.rows import ChangeNote, LogLine
from watchkeeper.sdk.series import TimeSeries, count
from watchkeeper.sdk.spans import Span

T = TypeVar("T")
Time = str | float | datetime
Parameters = Mapping[str, str]

AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers after which the same request may be sent again."""

_SENTENCE: Final = re.compile(r"(\d+) (?:samples|spans) accepted; not accepted: (.*)", re.DOTALL)
_REJECT: Final = re.compile(r"(\d+) (?:samples|spans): (\w+)(?: \(((?:[^()]|\([^()]*\))*)\))?")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and what to make of a successful answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Parameters = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    also: frozenset[int] = frozenset()
    """Statuses besides 2xx that `read` understands."""


class _AnsweredSeries(msgspec.Struct):
    labels: Mapping[str, str]
    points: list[tuple[float, float | str]]
    """What JSON cannot say is text: NaN, +Inf, -Inf."""


class _PartialSuccess(msgspec.Struct, rename="camel"):
    error_message: str = ""


class _Exported(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess = msgspec.field(default_factory=_PartialSuccess)


class _Answered(msgspec.Struct):
    series: list[_AnsweredSeries]


class _Values(msgspec.Struct):
    resultType: Literal["scalar", "string", "vector", "matrix"]  # noqa: N815 - Prometheus' word
    result: list[Any]


class _Computed(msgspec.Struct):
    data: _Values


def write(series: Sequence[TimeSeries]) -> Call[Written]:
    """Samples by remote write. What a part of them met is told, not raised."""
    total = count(series)

    def read(response: httpx.Response) -> Written:
        if response.is_success:
            return Written(total)
        return _in_part(response, response.text)

    return Call(
        "POST",
        "/api/v1/write",
        read,
        content=remote_write.encode(series),
        headers=remote_write.HEADERS,
        also=frozenset({400}),
    )


def write_json(body: bytes) -> Call[Written]:
    """Samples as `{"metrics": [{name, labels, value, timestamp, type}]}`."""
    return _write("/api/v1/metrics/write", body)


def write_spans(given: Sequence[Span]) -> Call[Written]:
    """Spans by OTLP. What some of them met is told, not raised."""
    total = len(given)

    def read(response: httpx.Response) -> Written:
        told = decoded(response, _Exported).partial_success.error_message
        return _in_part(response, told) if told else Written(total)

    return Call(
        "POST",
        "/v1/traces",
        read,
        content=spans.encode(given),
        headers={"content-type": "application/json"},
    )


def write_logs(lines: Sequence[LogLine]) -> Call[Written]:
    """Lines of logs. What some of them met is told, not raised."""
    return _write("/api/v1/logs/write", msgspec.json.encode(lines))


def write_changes(changes: Sequence[ChangeNote]) -> Call[Written]:
    """What was changed. What some of them met is told, not raised."""
    return _write("/api/v1/changes", msgspec.json.encode(changes))


def _in_part(response: httpx.Response, sentence: str) -> Written:
    """What was taken and what was not, from the sentence that says so."""
    match = _SENTENCE.fullmatch(sentence)
    if match is None:
        raise refusal(response)
    rejected = tuple(
        Rejected(reason, int(number), detail)
        for number, reason, detail in _REJECT.findall(match[2])
    )
    return Written(int(match[1]), rejected)


def _write(path: str, body: bytes) -> Call[Written]:
    def read(response: httpx.Response) -> Written:
        try:
            return reading.read(response.content, Written)
        except UNREADABLE:
            raise refusal(response) from None

    return Call(
        "POST",
        path,
        read,
        content=body,
        headers={"content-type": "application/json"},
        also=frozenset({400}),
    )


def query(selector: str, **asked: str | Time | None) -> Call[tuple[QueriedSeries, ...]]:
    """Samples of the selected series; `asked` are the route's parameters."""
    params = {name: time_text(value) for name, value in asked.items() if value is not None}

    def read(response: httpx.Response) -> tuple[QueriedSeries, ...]:
        try:
            return tuple(
                QueriedSeries(one.labels, tuple((at_s, float(value)) for at_s, value in one.points))
                for one in decoded(response, _Answered).series
            )
        except ValueError as error:
            raise _foreign(response, error) from error

    return Call("GET", "/api/v1/metrics/query", read, {"query": selector, **params})


def promql(expression: str, *, at: Time | None = None) -> Call[tuple[QueriedSeries, ...]]:
    """An expression at one moment; of a range vector, all its samples."""
    return _promql("query", {"query": expression, "time": at})


def promql_range(
    expression: str, *, start: Time, end: Time, step: Time
) -> Call[tuple[QueriedSeries, ...]]:
    """An expression at every step from the start to the end, both included."""
    asked = {"query": expression, "start": start, "end": end, "step": step}
    return _promql("query_range", asked)


def _promql(route: str, asked: Mapping[str, Time | None]) -> Call[tuple[QueriedSeries, ...]]:
    """By a form, for an expression may be longer than an address."""
    form = {name: time_text(value) for name, value in asked.items() if value is not None}

    def read(response: httpx.Response) -> tuple[QueriedSeries, ...]:
        data = decoded(response, _Computed).data
        try:
            return _series_of(data)
        except (ValueError, TypeError, KeyError) as error:
            raise _foreign(response, error) from error

    return Call(
        "POST",
        f"/prometheus/api/v1/{route}",
        read,
        content=urlencode(form).encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )


def _series_of(data: _Values) -> tuple[QueriedSeries, ...]:
    """A scalar is a series without labels; a text is worth no number."""
    if data.resultType == "string":
        raise BadInput("promql: a text has no values; ask for a number or for series")
    if data.resultType == "scalar":
        return (QueriedSeries({}, (_point(data.result),)),)
    if any("histogram" in one or "histograms" in one for one in data.result):
        raise BadInput(
            "promql: the answer has native histograms, which are no numbers; ask for "
            "histogram_quantile(0.95, ...), histogram_count(...) or another number about them"
        )
    return tuple(
        QueriedSeries(
            one["metric"],
            tuple(map(_point, [one["value"]] if "value" in one else one["values"])),
        )
        for one in data.result
    )


def _point(told: Any) -> tuple[float, float]:
    at_s, value = told
    return float(at_s), float(value)


def anomalies(**asked: str | Time | None) -> Call[AnomalyPage]:
    """A page of anomalies, newest first."""
    params = {name: time_text(value) for name, value in asked.items() if value is not None}
    return Call("GET", "/api/v1/anomalies", lambda r: decoded(r, AnomalyPage), params)


def anomaly(identity: str) -> Call[Anomaly]:
    path = f"/api/v1/anomalies/{quote(identity, safe='')}"  # what is no id leads nowhere else
    return Call("GET", path, lambda r: decoded(r, Anomaly))


def anomaly_traces(identity: str, limit: int) -> Call[AnomalyTraces]:
    path = f"/api/v1/anomalies/{quote(identity, safe='')}/traces"
    return Call("GET", path, lambda r: decoded(r, AnomalyTraces), {"limit": str(limit)})


def logs(**asked: str | Time | None) -> Call[LinePage]:
    """A page of log lines, newest first."""
    params = {name: time_text(value) for name, value in asked.items() if value is not None}
    return Call("GET", "/api/v1/logs/search", lambda r: decoded(r, LinePage), params)


def log_templates(**asked: str | Time | None) -> Call[TemplateList]:
    """Templates of log lines, the most frequent first."""
    params = {name: time_text(value) for name, value in asked.items() if value is not None}
    return Call("GET", "/api/v1/logs/templates", lambda r: decoded(r, TemplateList), params)


def traces(**asked: str | Time | None) -> Call[tuple[TraceSummary, ...]]:
    """Traces with such a span, newest first."""
    params = {name: time_text(value) for name, value in asked.items() if value is not None}
    return Call("GET", "/api/v1/traces", lambda r: decoded(r, TraceList).items, params)


def trace(identity: str) -> Call[Trace]:
    path = f"/api/v1/traces/{quote(identity, safe='')}"
    return Call("GET", path, lambda r: decoded(r, Trace))


def sources() -> Call[tuple[Source, ...]]:
    """Who sends, who was heard of last first."""
    return Call("GET", "/api/v1/sources", lambda r: decoded(r, SourceList).items)


def health() -> Call[Health]:
    """Also when it is not well: then the answer says what is wrong."""
    also = frozenset({503})
    return Call("GET", "/health", lambda r: decoded(r, Health), also=also)


def own_metrics() -> Call[Mapping[str, float]]:
    """What the server says of itself, in Prometheus' text."""

    def read(response: httpx.Response) -> Mapping[str, float]:
        samples = (line.rpartition(" ") for line in response.text.splitlines())
        try:
            return {name: float(value) for name, _, value in samples if name and name[0] != "#"}
        except ValueError as error:
            raise _foreign(response, error) from error

    return Call("GET", "/metrics", read)


def fed(lines: EventLines, line: str, response: httpx.Response) -> Change | None:
    """The change that a line of the stream completes, if it does."""
    try:
        return lines.feed(line)
    except UNREADABLE as error:
        raise _foreign(response, error) from error


def refusal(response: httpx.Response) -> BadInput | Retryable | Permanent:
    """An unsuccessful answer as our error, with the server's own words."""
    status = response.status_code
    said = _said(response) or f"the server answered {status}"
    if status in AGAIN:
        return Retryable(said, after_s=retry_after_s(response) or 1.0)
    if status == 413:
        return TooLarge(said)
    if 400 <= status < 500 and status not in (404, 409):
        return BadInput(said, status=status)
    if status == 404 and not _is_problem(response):
        return Permanent(f"{response.url}: there is no Watchkeeper (404); check --url")
    return Permanent(said)


def retry_after_s(response: httpx.Response) -> float | None:
    """What the server asks to wait; None if it does not say so in seconds."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _is_problem(response: httpx.Response) -> bool:
    return "json" in str(response.headers.get("content-type", ""))


def _said(response: httpx.Response) -> str:
    if not _is_problem(response):
        return response.text.strip()[:1000]
    try:
        problem = reading.read(response.content, Problem)
    except UNREADABLE:
        return response.text.strip()[:1000]
    return problem.detail or problem.title or problem.message or problem.error


def decoded(response: httpx.Response, kind: type[T]) -> T:
    """An answer's body. Raises Permanent where it is nobody's of ours."""
    try:
        return reading.read(response.content, kind)
    except UNREADABLE as error:
        raise _foreign(response, error) from error


def _foreign(response: httpx.Response, error: Exception) -> Permanent:
    """Somebody else than Watchkeeper answered."""
    return Permanent(f"{response.url}: the answer is not Watchkeeper's ({error}); check --url")


def time_text(value: str | Time) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) else repr(value)
