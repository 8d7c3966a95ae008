"""What was sent is read back through each server's own API, in the same terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench import client
from bench.fleet import F64, I64, METRICS
from bench.peers import Server

Points = tuple[I64, F64]
"""Times in ms and values, in order of time."""
VISIBLE_S = 60.0
"""VictoriaMetrics shows new samples after a few seconds, new series sometimes only after thirty."""
EVERYTHING = '{__name__=~".+"}'


class Different(Exception):
    """A server does not give back what was sent to it: its figures mean nothing."""


def selector(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def points(server: Server, labels: Mapping[str, str], start_ms: int, end_ms: int) -> Points:
    """Samples of one series, both ends included."""
    wanted = selector(labels)
    if server.name == "victoria-metrics":
        return _exported(server, wanted, start_ms, end_ms)
    if server.name == "prometheus":
        return _ranged(server, wanted, start_ms, end_ms)
    series = ours(server, wanted, start_ms, end_ms)
    if len(series) > 1:
        raise Different(f"{server.name}: {wanted} matches {len(series)} series")
    return columns(series[0]["points"]) if series else columns([])


def count(server: Server, start_ms: int, end_ms: int) -> int:
    """Samples of all series, both ends included."""
    if server.name in ("victoria-metrics", "prometheus"):
        return sum(_count_of_metric(server, name, start_ms, end_ms) for name in METRICS)
    series = ours(server, EVERYTHING, start_ms, end_ms, step="1h", over_time="count", across="sum")
    return sum(int(value) for one in series for _, value in one["points"])


def ours(
    server: Server, wanted: str, start_ms: int, end_ms: int, **more: str
) -> list[dict[str, Any]]:
    """Series of our own query API: `labels` and `points`; both ends included."""
    asked = {
        "query": wanted,
        "start": _seconds(start_ms),
        "end": _seconds(end_ms + 1),
        "limit": "5000000",
        **more,
    }
    answer = json.loads(client.get(server.port, "/api/v1/metrics/query", asked))
    series: list[dict[str, Any]] = answer["series"]
    return series


def check_series(server: Server, labels: Mapping[str, str], sent: Points) -> None:
    """Raise Different unless the series holds exactly the samples sent."""

    def is_there() -> bool:
        times, values = points(server, labels, int(sent[0][0]), int(sent[0][-1]))
        return np.array_equal(times, sent[0]) and np.array_equal(values, sent[1])

    if not client.wait_until(is_there, timeout_s=VISIBLE_S, every_s=0.5):
        times, _ = points(server, labels, int(sent[0][0]), int(sent[0][-1]))
        raise Different(
            f"{server.name}: {selector(labels)}: {len(sent[0])} samples were sent, "
            f"{len(times)} came back, or with other values"
        )


def check_count(server: Server, start_ms: int, end_ms: int, sent: int) -> None:
    """Raise Different unless exactly so many samples lie between the two times."""
    found = count(server, start_ms, end_ms)
    if found != sent:
        raise Different(f"{server.name}: {sent} samples were sent, {found} are there")


def _count_of_metric(server: Server, metric: str, start_ms: int, end_ms: int) -> int:
    """One metric at a time: a count has no name, and series of two metrics would be one."""
    span_ms = _span_ms(start_ms, end_ms)
    asked = {
        "query": f'sum(count_over_time({{__name__="{metric}"}}[{span_ms}ms]))',
        "time": _seconds(end_ms),
        "nocache": "1",
    }
    answer = json.loads(client.post_form(server.port, "/api/v1/query", asked))
    return sum(int(float(row["value"][1])) for row in answer["data"]["result"])


def _exported(server: Server, wanted: str, start_ms: int, end_ms: int) -> Points:
    asked = {"match[]": wanted, "start": _seconds(start_ms), "end": _seconds(end_ms)}
    found: list[tuple[float, Any]] = []
    for line in client.get(server.port, "/api/v1/export", asked).splitlines():
        row = json.loads(line)
        times_s = (time_ms / 1000 for time_ms in row["timestamps"])
        found += zip(times_s, row["values"], strict=True)
    return columns(sorted(found))


def _ranged(server: Server, wanted: str, start_ms: int, end_ms: int) -> Points:
    query = f"{wanted}[{_span_ms(start_ms, end_ms)}ms]"
    asked = {"query": query, "time": _seconds(end_ms)}
    answer = json.loads(client.post_form(server.port, "/api/v1/query", asked))
    return columns([row for one in answer["data"]["result"] for row in one["values"]])


def _span_ms(start_ms: int, end_ms: int) -> int:
    """Of a range that ends at `end_ms` and holds both ends, also where the left end is left out.

    What lies one millisecond before the start is no sample of ours.
    """
    return end_ms - start_ms + 1


def columns(rows: list[Any]) -> Points:
    times = np.array([round(float(time_s) * 1000) for time_s, _ in rows], np.int64)
    return times, np.array([float(value) for _, value in rows], np.float64)


def _seconds(time_ms: int) -> str:
    return f"{time_ms // 1000}.{time_ms % 1000:03d}"
