"""The same samples in a real Prometheus and in us, and one question put to both."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import client, native_histograms, peers
from bench.native_histograms import EVERY_MS, HistogramSeries
from bench.peers import Recipe, Server
from watchkeeper.sdk import TimeSeries, remote_write

SCRAPE_MS: Final = 15_000
LENGTH_MS: Final = 2 * 3_600_000
SLICE_MS: Final = 1_200_000
STALE: Final = np.array([0x7FF0000000000002], np.int64).view(np.float64)[0]
Labels = Mapping[str, str]


def prometheus(folder: Path) -> Recipe:
    """One that scrapes nothing and takes what is written to it."""
    folder.mkdir(parents=True)
    port = peers.free_port()
    settings = folder / "prometheus.yml"
    settings.write_text("global: {scrape_interval: 15s}\n")
    command = [
        peers.binary("prometheus", "prometheus"),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={client.HOST}:{port}",
        "--web.enable-remote-write-receiver",
        "--enable-feature=native-histograms",
        "--storage.tsdb.retention.time=10y",
        "--query.max-concurrency=2",
        "--log.level=warn",
    ]
    return Recipe("prometheus", command, port, "/-/ready", {})


def fleet(start_ms: int) -> list[TimeSeries]:
    """Counters with resets and gaps, gauges with all that a float can be, histograms, ends."""
    chance = np.random.default_rng(11)
    return [
        *_counters(chance, start_ms),
        *_gauges(chance, start_ms),
        *_histograms(chance, start_ms),
        *_oddities(chance, start_ms),
    ]


def _times(chance: np.random.Generator, start_ms: int, every_ms: int = SCRAPE_MS) -> Any:
    n = LENGTH_MS // every_ms
    first = start_ms + int(chance.integers(0, every_ms - 50))
    return first + np.arange(n) * every_ms + chance.integers(0, 30, n)


def _counters(chance: np.random.Generator, start_ms: int) -> Iterator[TimeSeries]:
    for instance in ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"):
        for path in ("/", "/cart", "/pay"):
            for code in ("200", "500"):
                times = _times(chance, start_ms)
                value = np.cumsum(chance.poisson(30 if code == "200" else 0.4, len(times)) * 1.0)
                value *= 1 + chance.random() / 8  # no two series are ever equal
                for at in chance.integers(50, len(times) - 50, 2):  # restarts
                    value[at:] -= value[at - 1]
                kept = np.ones(len(times), np.bool_)
                gap = int(chance.integers(60, 300))
                kept[gap : gap + int(chance.integers(2, 60))] = False
                kept &= chance.random(len(times)) > 0.02  # scrapes that failed
                labels = {"job": "api", "instance": instance, "path": path, "code": code}
                yield _series("http_requests_total", labels, times[kept], value[kept])


def _gauges(chance: np.random.Generator, start_ms: int) -> Iterator[TimeSeries]:
    rooms = ["attic", 'a "quoted" one', "back\\slash", "new\nline", "größer/温度", "x" * 200]
    for i, room in enumerate(rooms):
        times = _times(chance, start_ms)
        value = 20 + 5 * np.sin(np.arange(len(times)) / 40 + i) + chance.normal(0, 0.3, len(times))
        value[chance.integers(0, len(times), 6)] = np.nan
        if i % 2:
            value[chance.integers(0, len(times), 3)] = [np.inf, -np.inf, 0.0]
        value[chance.integers(100, 380, 2)] = STALE
        yield _series("temperature", {"room": room, "floor": str(i % 3)}, times, value)
    for i, instance in enumerate(("10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80")):
        times = _times(chance, start_ms)
        yield _series("up", {"job": "api", "instance": instance}, times, 1.0 * (times % 7 > i))
        labels = {"instance": instance, "version": f"1.{i}", "zone": "ab"[i % 2]}
        yield _series("build_info", labels, times, np.ones(len(times)))
        labels = {"job": "api", "instance": instance}
        memory = 1e9 + 1e7 * chance.normal(0, 1, len(times)).cumsum()
        yield _series("memory_bytes", labels, times, np.round(memory))


def _histograms(chance: np.random.Generator, start_ms: int) -> Iterator[TimeSeries]:
    bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"]
    for service in ("shop", "auth", "mail", "empty", "capless"):
        times = _times(chance, start_ms)
        pace = 0.0 if service == "empty" else 20.0
        hits = chance.poisson(pace, (len(bounds), len(times))) * 1.0
        total = np.cumsum(np.cumsum(hits, axis=0), axis=1)
        used = bounds[:-1] if service == "capless" else bounds
        for i, bound in enumerate(used):
            labels = {"service": service, "le": bound, "job": "api"}
            yield _series("latency_seconds_bucket", labels, times, total[i])
        labels = {"service": service, "job": "api"}
        yield _series("latency_seconds_count", labels, times, total[-1])
        yield _series("latency_seconds_sum", labels, times, total[-1] * 0.3)
    times = _times(chance, start_ms)
    labels = {"service": "shop", "le": "many", "job": "api"}
    yield _series("latency_seconds_bucket", labels, times, np.ones(len(times)))


def _oddities(chance: np.random.Generator, start_ms: int) -> Iterator[TimeSeries]:
    times = _times(chance, start_ms, 240_000)
    yield _series("sparse", {"job": "batch"}, times, np.arange(len(times)) % 5 * 1.0)
    times = _times(chance, start_ms, 400_000)
    yield _series("sparser", {"job": "batch"}, times, chance.normal(0, 1, len(times)))
    times = _times(chance, start_ms)
    yield _series("constant", {}, times, np.full(len(times), 42.0))
    yield _series("huge", {"sign": "+"}, times, chance.random(len(times)) * 1e300)
    yield _series("huge", {"sign": "-"}, times, chance.random(len(times)) * -1e300)
    yield _series("tiny", {}, times, chance.random(len(times)) * 1e-300)
    half = len(times) // 2
    ended = np.arange(half) * 1.0
    ended[-1] = STALE
    yield _series("coming_and_going", {"who": "first"}, times[:half], ended)
    yield _series("coming_and_going", {"who": "second"}, times[half:], np.arange(half) * 2.0)
    yield _series("moment_seconds", {}, times, times / 1000.0)
    # Before these its samples were native histograms.
    second_half = times[times > start_ms + LENGTH_MS // 2 + EVERY_MS]
    yield _series("changing", {"job": "odd"}, second_half, np.arange(len(second_half)) * 1.0)
    levels = chance.integers(0, 4, len(times)) * 1.0
    yield _series("level", {"of": "a"}, times, levels)
    yield _series("level", {"of": "b"}, times, levels[::-1].copy())


def _series(name: str, labels: Labels, time_ms: Any, value: Any) -> TimeSeries:
    whole = {"__name__": name, **labels}
    return TimeSeries(whole, np.asarray(time_ms, np.int64), np.asarray(value, np.float64))


def write(
    port: int,
    path: str,
    series: Sequence[TimeSeries],
    histograms: Sequence[HistogramSeries] = (),
) -> None:
    """In slices of time, as no receiver takes what is much older than what it has."""
    start = min(int(one.time_ms[0]) for one in series)
    end = max(int(one.time_ms[-1]) for one in series)
    for begin in range(start, end + 1, SLICE_MS):
        bodies = [remote_write.encode([_between(one, begin, begin + SLICE_MS) for one in series])]
        if histograms:
            bodies.append(native_histograms.encode(histograms, begin, begin + SLICE_MS))
        for body in bodies:
            _post(port, path, body)


def _post(port: int, path: str, body: bytes) -> None:
    request = urllib.request.Request(
        f"http://{client.HOST}:{port}{path}", body, dict(remote_write.HEADERS)
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        if answer.status not in (200, 204):
            raise client.Refused(answer.status, "samples for PromQL")


def _between(one: TimeSeries, begin: int, end: int) -> TimeSeries:
    kept = (one.time_ms >= begin) & (one.time_ms < end)
    return TimeSeries(one.labels, one.time_ms[kept], one.value[kept])


@dataclass(frozen=True, slots=True)
class Pair:
    theirs: Server
    ours: Server
    start_ms: int
    """Of the samples."""

    def both(self, path: str, **asked: Any) -> tuple[Any, Any]:
        """The two answers, by POST."""
        return (
            ask(self.theirs.port, f"/api/v1{path}", asked),
            ask(self.ours.port, f"/prometheus/api/v1{path}", asked),
        )

    def differences(self, path: str, *, is_ordered: bool = False, **asked: Any) -> str:
        """What our answer has that theirs has not, or the reverse; empty if they are the same."""
        theirs, ours = self.both(path, **asked)
        found = difference(theirs, ours, is_ordered=is_ordered)
        return f"{asked}: {found}" if found else ""

    def range_differences(self, query: str, start: float, end: float, step: float) -> str:
        asked = {"query": query, "start": start, "end": end, "step": step}
        found = difference(*self.both("/query_range", **asked), is_ordered=True)
        return f"{asked}: {found}" if found else ""


def ask(port: int, path: str, asked: Mapping[str, Any]) -> Any:
    body = urllib.parse.urlencode(asked, doseq=True).encode()
    request = urllib.request.Request(f"http://{client.HOST}:{port}{path}", body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def difference(theirs: Any, ours: Any, *, is_ordered: bool) -> str:
    if theirs["status"] == "error" or ours["status"] == "error":
        return _error_difference(theirs, ours)
    kind = theirs["data"]["resultType"]
    if kind != ours["data"]["resultType"]:
        return f"theirs is a {kind}, ours a {ours['data']['resultType']}"
    left, right = theirs["data"]["result"], ours["data"]["result"]
    if kind in ("scalar", "string"):
        return "" if _are_same([left], [right]) else f"theirs {left}, ours {right}"
    return _series_difference(left, right, is_ordered=is_ordered)


def _error_difference(theirs: Any, ours: Any) -> str:
    said = theirs.get("error", "an answer"), ours.get("error", "an answer")
    kinds = theirs.get("errorType"), ours.get("errorType")
    return "" if kinds[0] == kinds[1] else f"theirs {kinds[0]}: {said[0]}; ours: {said[1]}"


def _series_difference(left: list[Any], right: list[Any], *, is_ordered: bool) -> str:
    theirs = {_key(one): _points(one) for one in left}
    ours = {_key(one): _points(one) for one in right}
    if set(theirs) != set(ours):
        only = [sorted(set(a) - set(b))[:3] for a, b in ((theirs, ours), (ours, theirs))]
        return f"only theirs: {only[0]}; only ours: {only[1]}"
    for key, points in theirs.items():
        if not _are_same(points, ours[key]):
            return f"{key}: theirs {points[:5]}..., ours {ours[key][:5]}..."
    if is_ordered and list(theirs) != list(ours):
        return f"order: theirs {list(theirs)[:4]}, ours {list(ours)[:4]}"
    return ""


def _key(series: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(series["metric"].items()))


def _points(series: Any) -> list[Any]:
    """Of both kinds."""
    one = [series[name] for name in ("value", "histogram") if name in series]
    return [*one, *series.get("values", ()), *series.get("histograms", ())]


def _are_same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(map(_is_same_point, left, right))


def _is_same_point(left: Any, right: Any) -> bool:
    if abs(left[0] - right[0]) > 1e-6:
        return False
    if isinstance(left[1], dict) and isinstance(right[1], dict):
        return _is_same_histogram(left[1], right[1])
    return _is_same_number(left[1], right[1])


def _is_same_histogram(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Counts, sums, and buckets: which bounds belong to them, both bounds, count."""
    if set(left) != set(right):
        return False
    theirs, ours = left.get("buckets", ()), right.get("buckets", ())
    return (
        _is_same_number(left["count"], right["count"])
        and _is_same_number(left["sum"], right["sum"])
        and len(theirs) == len(ours)
        and all(all(map(_is_same_number, *pair)) for pair in zip(theirs, ours, strict=True))
    )


def _is_same_number(left: Any, right: Any) -> bool:
    try:
        a, b = float(left), float(right)
    except (TypeError, ValueError):
        return bool(left == right)
    return (a != a and b != b) or math.isclose(a, b, rel_tol=1e-9, abs_tol=0)
