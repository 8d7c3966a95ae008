"""What was sent is read back in each server's own words; what differs is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest

from bench import aftermath, client, fleet, readback
from bench.aftermath import Found
from bench.peers import Server
from bench.readback import Different
from tests.unit.stub import Asked, Reply, Stub, serving

T_MS = 1_767_607_200_123
LABELS = {"__name__": "up", "pod": 'a"b'}
SENT = (
    np.array([T_MS, T_MS + 15_000, T_MS + 30_001], np.int64),
    np.array([1.5, -2.0, 1e17], np.float64),
)


class Named:
    """As much of a server as reading needs."""

    def __init__(self, name: str, stub: Stub) -> None:
        self.name = name
        self.port = int(stub.url.rpartition(":")[2])


def server(name: str, stub: Stub) -> Server:
    return cast(Server, Named(name, stub))


def rows(sent: readback.Points = SENT) -> list[tuple[int, float]]:
    return list(zip(sent[0].tolist(), sent[1].tolist(), strict=True))


def as_victoria(asked: Asked) -> Reply:
    """An export: a line of JSON for each block of a series, in any order of blocks."""
    blocks = [rows()[1:], rows()[:1]]
    lines = [
        json.dumps({"timestamps": [t for t, _ in block], "values": [v for _, v in block]})
        for block in blocks
    ]
    return Reply(200, "\n".join(lines).encode())


def as_prometheus(asked: Asked) -> Reply:
    """A range: seconds as a number, values as text."""
    values = [[time_ms / 1000, repr(value)] for time_ms, value in rows()]
    return Reply(200, {"data": {"result": [{"metric": LABELS, "values": values}]}})


def as_ours(asked: Asked) -> Reply:
    points = [[time_ms / 1000, value] for time_ms, value in rows()]
    return Reply(200, {"series": [{"labels": LABELS, "points": points}]})


WAYS: dict[str, tuple[str, Callable[[Asked], Reply]]] = {
    "victoria-metrics": ("/api/v1/export", as_victoria),
    "prometheus": ("/api/v1/query", as_prometheus),
    "watchkeeper": ("/api/v1/metrics/query", as_ours),
}
EVERY = pytest.mark.parametrize("name", sorted(WAYS))


@EVERY
def test_every_server_gives_the_same_points_in_order_of_time(name: str) -> None:
    path, way = WAYS[name]
    with serving({path: way}) as stub:
        times, values = readback.points(server(name, stub), LABELS, T_MS, T_MS + 30_001)

    assert times.tolist() == SENT[0].tolist()
    assert values.tolist() == SENT[1].tolist()


@EVERY
def test_every_server_is_asked_for_both_ends(name: str) -> None:
    """A range that left out its first or last sample would count it as lost."""
    path, way = WAYS[name]
    first_ms, last_ms = T_MS, T_MS + 30_001
    with serving({path: way}) as stub:
        readback.points(server(name, stub), LABELS, first_ms, last_ms)
        asked = stub.asked[-1].params

    if name == "prometheus":  # (time - range, time]: the left end is not in it
        assert asked["time"] == "1767607230.124"
        assert asked["query"].endswith(f"[{last_ms - first_ms + 1}ms]")
    else:
        assert asked["start"] == "1767607200.123"
        assert asked["end"] == ("1767607230.124" if name[0] == "v" else "1767607230.125")


@EVERY
def test_every_server_is_asked_for_the_labels_quoted(name: str) -> None:
    path, way = WAYS[name]
    with serving({path: way}) as stub:
        readback.points(server(name, stub), LABELS, T_MS, T_MS)
        told = " ".join(stub.asked[-1].params.values())

    assert '{__name__="up",pod="a\\"b"}' in told


def test_a_series_that_is_not_there_has_no_points() -> None:
    with serving({"/api/v1/metrics/query": Reply(200, {"series": []})}) as stub:
        times, values = readback.points(server("watchkeeper", stub), LABELS, 0, 1)

    assert (len(times), len(values)) == (0, 0)
    assert [times.dtype.name, values.dtype.name] == ["int64", "float64"]


def test_labels_that_fit_two_series_are_a_mistake_of_the_bench() -> None:
    two: dict[str, Any] = {"series": [{"labels": {}, "points": []}] * 2}
    with (
        serving({"/api/v1/metrics/query": Reply(200, two)}) as stub,
        pytest.raises(Different, match="matches 2 series"),
    ):
        readback.points(server("watchkeeper", stub), LABELS, 0, 1)


@EVERY
def test_a_series_that_came_back_whole_passes(name: str) -> None:
    path, way = WAYS[name]
    with serving({path: way}) as stub:
        readback.check_series(server(name, stub), LABELS, SENT)

        assert len(stub.asked) == 1


@pytest.mark.parametrize(("name", "n_times"), [("prometheus", 2), ("victoria-metrics", 2)])
def test_all_metrics_are_counted_one_by_one_elsewhere(name: str, n_times: int) -> None:
    def count(asked: Asked) -> Reply:
        is_known = any(f'"{name}"' in asked.params["query"] for name in fleet.METRICS[:n_times])
        result = [{"value": [0, "21"]}] if is_known else []
        return Reply(200, {"data": {"result": result}})

    with serving({"/api/v1/query": count}) as stub:
        n = readback.count(server(name, stub), T_MS, T_MS + 1000)

        assert n == 21 * n_times
        assert len(stub.asked) == len(fleet.METRICS)


def test_ours_are_counted_in_one_question() -> None:
    hours = {"series": [{"labels": {}, "points": [[0.0, 40.0], [3600.0, 2.0]]}]}
    with serving({"/api/v1/metrics/query": Reply(200, hours)}) as stub:
        one = server("watchkeeper", stub)

        assert readback.count(one, T_MS, T_MS + 1000) == 42
        readback.check_count(one, T_MS, T_MS + 1000, 42)
        with pytest.raises(Different, match="41 samples were sent, 42 are there"):
            readback.check_count(one, T_MS, T_MS + 1000, 41)


def test_a_server_that_refuses_says_so() -> None:
    with (
        serving({"/api/v1/metrics/query": Reply(422, b"no such range")}) as stub,
        pytest.raises(client.Refused, match="422: no such range"),
    ):
        readback.points(server("watchkeeper", stub), LABELS, 0, 1)


# What is found after a fight.

POD_TIMES = np.full((fleet.SERIES_PER_POD, 2), T_MS) + np.array([0, 15_000])
POD_VALUES = np.arange(2.0 * fleet.SERIES_PER_POD).reshape(-1, 2)


def pod(change: Callable[[list[dict[str, Any]]], None] = lambda _: None) -> Reply:
    """The series of the first pod as they were sent, or with a change."""
    series = [
        {
            "labels": fleet.labels(number),
            "points": [
                [time_ms / 1000, value]
                for time_ms, value in zip(POD_TIMES[number], POD_VALUES[number], strict=True)
            ],
        }
        for number in reversed(range(fleet.SERIES_PER_POD))
    ]
    change(series)
    return Reply(200, json.loads(json.dumps({"series": series}, default=float)))


def stranger(series: list[dict[str, Any]]) -> None:
    series.append({"labels": {"__name__": "new"}, "points": [[1.0, 1.0], [2.0, 1.0]]})


def loses_a_series(series: list[dict[str, Any]]) -> None:
    del series[3]


def loses_a_sample(series: list[dict[str, Any]]) -> None:
    del series[3]["points"][0]


def repeats_a_sample(series: list[dict[str, Any]]) -> None:
    series[5]["points"].append(series[5]["points"][0])


def changes_a_value(series: list[dict[str, Any]]) -> None:
    series[5]["points"][1][1] += 0.5


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda _: None, Found(0, 0)),
        (loses_a_series, Found(2, 0)),
        (loses_a_sample, Found(1, 0)),
        (repeats_a_sample, Found(0, 1)),
        (changes_a_value, Found(1, 1)),
        (stranger, Found(0, 2)),
    ],
)
def test_a_pod_is_compared_series_by_series(
    change: Callable[[list[dict[str, Any]]], None], found: Found
) -> None:
    with serving({"/api/v1/metrics/query": pod(change)}) as stub:
        one = server("watchkeeper", stub)

        assert aftermath.compare_pod(one, 0, POD_TIMES, POD_VALUES) == found
        assert fleet.place(0).pod in stub.asked[0].params["query"]


def test_what_was_found_of_several_pods_adds_up() -> None:
    assert Found(1, 2) + Found(30, 40) == Found(31, 42)


def pages(*parts: Sequence[dict[str, Any]]) -> list[Reply]:
    cursors = [f"c{n}" for n in range(1, len(parts))]
    return [
        Reply(200, {"items": list(part), "cursor": cursor})
        for part, cursor in zip(parts, [*cursors, None], strict=True)
    ]


def test_anomalies_are_read_page_by_page_and_without_their_positions() -> None:
    first = {"id": "a", "tier": "T1", "value": 1.0, "position": 7}
    second = {"id": "b", "tier": "T2", "value": 2.0, "position": 9}
    with serving({"/api/v1/anomalies": pages([first], [], [second])}) as stub:
        found = aftermath.anomalies(server("watchkeeper", stub))

        assert found == {
            "a": {"id": "a", "tier": "T1", "value": 1.0},
            "b": {"id": "b", "tier": "T2", "value": 2.0},
        }
        assert [asked.params.get("cursor") for asked in stub.asked] == [None, "c1", "c2"]


@pytest.mark.parametrize("tier", ["T3", "symptom"])
def test_what_is_decided_on_ticks_is_not_compared(tier: str) -> None:
    with serving({"/api/v1/anomalies": pages([{"id": "a", "tier": tier}])}) as stub:
        assert aftermath.anomalies(server("watchkeeper", stub)) == {}


def test_a_log_that_was_cut_differently_makes_no_difference() -> None:
    one = [{"id": "a", "tier": "T1", "value": 1.0, "position": 7}]
    other = [{"id": "a", "tier": "T1", "value": 1.0, "position": 8}]
    found = []
    for items in (one, other):
        with serving({"/api/v1/anomalies": pages(items)}) as stub:
            found.append(aftermath.anomalies(server("watchkeeper", stub)))

    assert aftermath.differences(*found) == 0
