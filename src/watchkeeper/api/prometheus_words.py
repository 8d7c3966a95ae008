"""Prometheus' own words: what it asks by, what it answers with, how it says no."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import numpy as np
from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from watchkeeper.api.problems import status_of
from watchkeeper.api.prometheus_histograms import told_histograms, told_rows
from watchkeeper.api.prometheus_numbers import number, numbers
from watchkeeper.api.times import parse_time
from watchkeeper.errors import BadInput, Permanent, WatchkeeperError
from watchkeeper.lake.details import Exemplar
from watchkeeper.lake.promql.ask import TimedOut
from watchkeeper.lake.promql.parse import parse_duration
from watchkeeper.lake.promql.values import Points, Scalar, Steps, String, Value, Vector

NS_PER_MS: Final = 1_000_000
_FORM_BYTES: Final = 1 << 20
_FORM: Final = "application/x-www-form-urlencoded"
_SECONDS: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_ERROR_TYPES: Final = {
    400: "bad_data", 401: "unauthorized", 403: "forbidden", 404: "not_found", 422: "execution",
    429: "too_many_requests", 503: "unavailable",
}  # fmt: skip


class PrometheusRoute(APIRoute):
    """Answers our errors as Prometheus answers its own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await plain(request)
            except WatchkeeperError as error:
                return refused(error)

        return answered


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's parameters, of the address and of the form together."""

    given: Mapping[str, Sequence[str]]

    def text(self, name: str) -> str:
        """The first one; empty if there is none."""
        return next(iter(self.given.get(name, ())), "")

    def texts(self, name: str) -> Sequence[str]:
        return self.given.get(name, ())

    def time_ms(self, name: str, default_ms: int) -> int:
        text = self.text(name)
        return round(parse_time(text, name) / NS_PER_MS) if text else default_ms

    def duration_ms(self, name: str) -> int:
        """Seconds, or a duration such as 1m30s."""
        text = self.text(name)
        if not _SECONDS.fullmatch(text):
            try:
                return parse_duration(text) // NS_PER_MS
            except ValueError as error:
                raise BadInput(f'invalid parameter "{name}": {error}') from error
        seconds = float(text)
        if abs(seconds) > 9e9:
            raise BadInput(f'invalid parameter "{name}": {text} s is too long')
        return round(seconds * 1000)

    def limit(self) -> int | None:
        """None: all."""
        text = self.text("limit")
        if text and not re.fullmatch(r"\d{1,15}", text):
            raise BadInput(f'invalid parameter "limit": {text} is no whole number')
        return int(text) or None if text else None


async def asked(request: Request) -> Asked:
    """GET has its parameters in the address, POST in a form; both may be."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST" and request.headers.get("content-type", "").startswith(_FORM):
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _FORM_BYTES:
                raise BadInput(f"the form is larger than {_FORM_BYTES} bytes; split the query")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True) + pairs
        except (UnicodeDecodeError, ValueError) as error:
            raise BadInput(f"the form cannot be read: {error}") from error
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    return Asked(given)


def success(data: object, *, is_cut: bool = False) -> Response:
    body: dict[str, object] = {"status": "success", "data": data}
    if is_cut:
        body["warnings"] = ["results truncated due to limit"]
    return Response(msgspec.json.encode(body), media_type="application/json")


Exemplars = tuple[Mapping[str, str], Sequence[Exemplar]]
"""Of one series."""


def exemplars(found: Sequence[Exemplars]) -> Response:
    """By series, each once."""
    by_series = {tuple(sorted(labels.items())): some for labels, some in found}
    return success(
        [
            {
                "seriesLabels": dict(labels),
                "exemplars": [
                    {
                        "labels": json.loads(one.labels),
                        "value": number(one.value),
                        "timestamp": one.time_ns / NS_PER_MS / 1000,
                    }
                    for one in some
                ],
            }
            for labels, some in sorted(by_series.items())
        ]
    )


def refused(error: WatchkeeperError) -> Response:
    status = status_of(error)
    kind = _ERROR_TYPES.get(status, "bad_data" if status < 500 else "internal")
    if isinstance(error, TimedOut):
        kind = "timeout"
    elif isinstance(error, Permanent):
        status, kind = 500, "internal"
    body = {"status": "error", "errorType": kind, "error": str(error)}
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def cut(items: Sequence[Any], limit: int | None) -> tuple[Sequence[Any], bool]:
    """At most `limit` of them, and whether some are missing."""
    return (items, False) if limit is None else (items[:limit], len(items) > limit)


def instant(value: Value, time_ms: int, limit: int | None) -> Response:
    """The answer to /query."""
    time_s = seconds(time_ms)
    match value:
        case Scalar():
            return success({"resultType": "scalar", "result": [time_s, number(value.value[0])]})
        case String():
            return success({"resultType": "string", "result": [time_s, value.text]})
        case Vector():
            return _result("vector", [*_moment(value, time_s)], limit)
        case Points():
            return _result("matrix", _samples(value), limit)


def ranged(value: Value, steps: Steps, limit: int | None) -> Response:
    """The answer to /query_range."""
    times = [seconds(at) for at in steps.time_ms.tolist()]
    if isinstance(value, Scalar):
        value = Vector(({},), value.value[None, :], np.ones((1, steps.n), np.bool_))
    assert isinstance(value, Vector)  # noqa: S101 - others are refused before they are computed
    told = None if value.native is None else told_histograms(value.native)
    found = [
        _with_both(labels, _held(times, value, row), _shapes(times, told, row))
        for row, labels in enumerate(value.labels)
    ]
    return _result("matrix", found, limit)


def _moment(value: Vector, time_s: float) -> Iterator[dict[str, Any]]:
    """Series with the number or the histogram that each has."""
    told = None if value.native is None else told_histograms(value.native)
    texts = numbers(value.value[:, 0])
    for row, labels in enumerate(value.labels):
        if told is not None and (row, 0) in told:
            yield {"metric": labels, "histogram": (time_s, told[row, 0])}
        else:
            yield {"metric": labels, "value": (time_s, texts[row])}


def _with_both(labels: Mapping[str, str], values: Any, shapes: Any) -> dict[str, Any]:
    """A series of a range: of what it has none, it has no list."""
    told: dict[str, Any] = {"metric": labels}
    if values or not shapes:
        told["values"] = values
    if shapes:
        told["histograms"] = shapes
    return told


def _held(times: Sequence[float], value: Vector, row: int) -> list[tuple[float, str]]:
    held = np.flatnonzero(value.held[row])
    texts = numbers(value.value[row, held])
    return [(times[at], text) for at, text in zip(held.tolist(), texts, strict=True)]


def _shapes(
    times: Sequence[float], told: Mapping[tuple[int, int], Any] | None, row: int
) -> list[tuple[float, Any]]:
    if told is None:
        return []
    return [(time_s, told[row, at]) for at, time_s in enumerate(times) if (row, at) in told]


def _samples(points: Points) -> list[dict[str, Any]]:
    """Series of a range vector, those with samples."""
    times = [seconds(at) for at in (points.time_ns // NS_PER_MS).tolist()]
    texts = numbers(points.value)
    edges = points.offset.tolist()
    shapes = _shapes_of(points)
    return [
        _with_both(labels, list(zip(times[a:b], texts[a:b], strict=True)), shapes[at])
        for at, (labels, a, b) in enumerate(zip(points.labels, edges, edges[1:], strict=False))
        if b > a or shapes[at]
    ]


def _shapes_of(points: Points) -> list[list[tuple[float, Any]]]:
    """The histograms of each series."""
    native = points.native
    if native is None:
        return [[]] * len(points)
    times = [seconds(at) for at in (native.time_ns // NS_PER_MS).tolist()]
    told = list(zip(times, told_rows(native.pool, native.row), strict=True))
    edges = native.offset.tolist()
    return [told[a:b] for a, b in pairwise(edges)]


def _result(kind: str, found: Sequence[Any], limit: int | None) -> Response:
    shown, is_cut = cut(found, limit)
    return success({"resultType": kind, "result": shown}, is_cut=is_cut)


def seconds(time_ms: int) -> float:
    """A whole number where it is one, as Prometheus writes it."""
    return time_ms // 1000 if time_ms % 1000 == 0 else time_ms / 1000
