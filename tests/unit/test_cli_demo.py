"""The demo: its door, the level it measures, the past it makes up, what it says, whether true."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from shop.load import rate
from tests.serving import ALL, NOTHING, Known
from tests.unit.stub import Asked, Reply, serving
from watchkeeper import cli
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.watchers.base import Seen
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.cli import demo
from watchkeeper.cli.demo import past, shop
from watchkeeper.cli.demo.bodies import are_before, points_of
from watchkeeper.cli.demo.gate import Body, Gate
from watchkeeper.cli.demo.level import Gauge, Levels, Point, Requests, levels
from watchkeeper.cli.demo.past import full
from watchkeeper.cli.demo.remains import remains
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Output
from watchkeeper.cli.server import Server
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import ConfigError
from watchkeeper.evaluate.scenarios import Scenario, Truth
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.sdk import Client, Sample, remote_write, series_of
from watchkeeper.sdk.middleware import otlp

NOON_S = 1_767_614_400.0
BOUNDS = ("0.01", "0.1", "+Inf")
METRIC = "http_server_request_duration_seconds"
OF = {"__name__": METRIC, "service": "payment", "http_response_status_code": "200"}


def requests(per_s: float = 3.0, shares: Sequence[float] = (0.7, 0.3, 0.0)) -> Requests:
    return Requests(OF, BOUNDS, per_s, tuple(shares))


def week(*found: Requests | Gauge, days: float = 2.0) -> past.Past:
    told = Levels(
        tuple(one for one in found if isinstance(one, Requests)),
        tuple(one for one in found if isinstance(one, Gauge)),
        NOON_S,
    )
    return past.before(told, end_s=NOON_S, days=days, seed=1)


def column(made: past.Past, name: str, **labels: str) -> Any:
    (found,) = [
        value
        for own, value in made.series
        if own["__name__"] == name and labels.items() <= own.items()
    ]
    return found


# The door


def post(url: str, path: str, *contents: bytes) -> list[int]:
    """By one connection, as a sender does."""
    connection = HTTPConnection(urlsplit(url).netloc)
    answers = []
    for content in contents:
        connection.request("POST", path, content, {"content-type": "x", "x-scope-orgid": "t"})
        with connection.getresponse() as response:
            response.read()
            answers.append(response.status)
    connection.close()
    return answers


def test_what_comes_too_early_is_kept_and_passes_in_order_once_the_door_is_open() -> None:
    with serving({"/v1/metrics": Reply(207, b"ok")}) as stub, Gate(stub.url) as gate:
        gate.start()
        early = post(gate.url, "/v1/metrics", b"1", b"2")
        kept, asked_before = gate.kept, list(stub.asked)

        gate.open()
        late = post(gate.url, "/v1/metrics", b"3")

    assert (early, late) == ([200, 200], [207])
    assert [one.content for one in kept] == [b"1", b"2"]
    assert asked_before == []
    assert [one.body for one in stub.asked] == [b"1", b"2", b"3"]
    assert {one.headers["x-scope-orgid"] for one in stub.asked} == {"t"}
    assert gate.kept == []


def test_whoever_posts_while_the_door_opens_is_behind_what_he_said_before() -> None:
    came, go_on = threading.Event(), threading.Event()

    def slow(_: Asked) -> Reply:
        came.set()
        go_on.wait(10)
        return Reply(200)

    sender = ("127.0.0.1", 7)
    with serving({"/a": slow}) as stub, Gate(stub.url) as gate:
        gate.take(sender, Body("/a", {}, b"1"))
        opening = threading.Thread(target=gate.open)
        opening.start()
        came.wait(10)
        gate.take(sender, Body("/a", {}, b"2"))
        go_on.set()
        opening.join()

    assert [one.body for one in stub.asked] == [b"1", b"2"]


def test_a_server_that_is_away_is_no_mistake_of_the_sender() -> None:
    with Gate("http://127.0.0.1:9") as gate:
        gate.open()

        answer = gate.take(("127.0.0.1", 7), Body("/v1/metrics", {}, b""))

    assert answer.status == 503


# The level


def told(second: int, *counts: float, labels: Mapping[str, str] = OF) -> Iterator[Point]:
    for bound, count in zip(BOUNDS, counts, strict=True):
        named = {**labels, "__name__": f"{METRIC}_bucket", "le": bound}
        yield Point(named, NOON_S + second, count)
    yield Point({**labels, "__name__": f"{METRIC}_count"}, NOON_S + second, counts[-1])


def test_the_level_is_what_came_behind_the_first_seconds() -> None:
    points = [*told(0, 0, 5, 50), *told(2, 0, 10, 60), *told(12, 14, 30, 80)]

    found = levels(points, 2.0)

    assert found is not None
    (one,) = found.requests
    assert (one.labels, one.bounds) == (OF, BOUNDS)
    assert one.per_s == pytest.approx(2.0)
    assert one.shares == pytest.approx((0.7, 0.3, 0.0))
    assert (found.services, found.n_series, found.began_s) == (("payment",), 5, NOON_S + 2)


def test_of_what_waits_at_the_gate_some_is_left_out() -> None:
    with serving({"/v1/metrics": Reply(200)}) as stub, Gate(stub.url) as gate:
        for content in (b"1", b"2", b"3"):
            gate.take(("127.0.0.1", 7), Body("/v1/metrics", {}, content))

        gate.open(lambda body: body.content < b"3")
        gate.take(("127.0.0.1", 7), Body("/v1/metrics", {}, b"0"))

    assert [one.body for one in stub.asked] == [b"3", b"0"]


def test_who_begins_later_began_at_zero_and_of_gauges_mean_and_scatter_count() -> None:
    late = {**OF, "http_response_status_code": "404"}
    gauge = {"__name__": "process_thread_count", "service": "payment"}
    points = [*told(0, 0, 0, 0), *told(12, 20, 20, 20, labels=late)]
    points += [Point(gauge, NOON_S + second, value) for second, value in ((1, 99), (4, 8), (6, 10))]

    found = levels(points, 2.0)

    assert found is not None
    assert [one.per_s for one in found.requests] == [0.0, 2.0]
    assert found.requests[0].shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found.gauges == (Gauge(gauge, 9.0, 1.0),)
    assert levels([], 2.0) is None


def test_levels_are_read_from_what_senders_really_send() -> None:
    resource = otlp.attributes(1, {"service.name": "payment"})
    labels = otlp.attributes(9, {"http.response.status_code": 200})
    times = (round(NOON_S) * NS_PER_S, (round(NOON_S) + 1) * NS_PER_S)
    point = otlp.histogram_point(labels, times, 0.1, (3, 1, 0), otlp.doubles((0.01, 0.1)))
    histogram = otlp.histogram("http.server.request.duration", "s", [point])
    body = otlp.request(resource, [otlp.framed(histogram)])
    gauge = series_of([Sample("process_thread_count", 7, NOON_S, {"service": "payment"})])
    bodies = [
        Body("/v1/metrics", {"Content-Type": "application/x-protobuf"}, body),
        Body("/v1/traces", {}, b"none of ours"),
        Body("/api/v1/write", remote_write.HEADERS, remote_write.encode(gauge)),
    ]

    found = list(points_of(bodies))

    buckets = {one.labels["le"]: one.value for one in found if "le" in one.labels}
    assert buckets == {"0.01": 3.0, "0.1": 4.0, "+Inf": 4.0}
    assert {one.labels["service"] for one in found} == {"payment"}
    assert found[-1] == Point(
        {"__name__": "process_thread_count", "service": "payment"}, NOON_S, 7.0
    )
    assert [are_before(NOON_S + 1)(body) for body in bodies] == [False, False, True]
    assert [are_before(NOON_S + 2)(body) for body in bodies] == [True, False, True]


# The past


def test_the_hours_of_the_past_are_those_of_the_shops_buyers() -> None:
    shares = np.linspace(0, 0.99, 12)

    ours = [float(full(NOON_S + share * past.DAY_S)) for share in shares]

    noon = NOON_S % past.DAY_S / past.DAY_S
    assert ours == pytest.approx([rate(1.0, (noon + share) % 1.0) for share in shares])


def test_the_past_is_days_of_it_at_its_level_up_to_the_first_second() -> None:
    made = week(requests(3.0), Gauge({"__name__": "process_thread_count"}, 9.0, 1.0))

    count = column(made, f"{METRIC}_count")
    last_hour = count[-1] - count[np.searchsorted(made.time_ms, (NOON_S - 3600) * 1000)]
    assert last_hour / 3600 == pytest.approx(3.0, rel=0.1)
    assert made.time_ms[0] == (NOON_S - 2 * past.DAY_S) * 1000
    assert 0 < NOON_S * 1000 - made.time_ms[-1] <= 1000
    assert (np.diff(made.time_ms) > 0).all()
    assert np.mean(column(made, "process_thread_count")) == pytest.approx(9.0, rel=0.1)


def test_buckets_of_the_past_grow_hold_each_other_and_are_as_slow_as_was_seen() -> None:
    made = week(requests(3.0))

    up_to = [column(made, f"{METRIC}_bucket", le=bound) for bound in BOUNDS]
    total, each = column(made, f"{METRIC}_sum"), np.array([one[-1] for one in up_to])
    assert all((np.diff(one) >= 0).all() for one in (*up_to, total))
    assert all((low <= high).all() for low, high in pairwise(up_to))
    assert each / each[-1] == pytest.approx([0.7, 0.99, 1.0], abs=0.12)
    assert (up_to[-1] == column(made, f"{METRIC}_count")).all()


def test_the_past_can_be_repeated_and_is_told_whole_in_order() -> None:
    made, again = week(requests(), days=0.1), week(requests(), days=0.1)

    windows = list(made.windows(100))

    assert all(
        (one == two).all() for (_, one), (_, two) in zip(made.series, again.series, strict=True)
    )
    assert sum(len(one) for window in windows for one in window) == made.n_samples
    times = [int(time_ms) for window in windows for time_ms in window[0].time_ms]
    assert times == made.time_ms.tolist()


@pytest.mark.parametrize(("days", "paged"), [(0.15, {"errors"}), (0.01, set())])
def test_who_was_taught_by_hours_of_the_past_pages_live_errors(
    days: float, paged: set[str]
) -> None:
    well = {**OF, "__name__": f"{METRIC}_count"}
    made, seconds = week(requests(2.0), days=days), np.arange(120)
    watcher = Symptoms(catalog=Known([well, {**well, "http_response_status_code": "500"}]))
    live_ms = round(NOON_S * 1000) + 1000 * seconds
    failed = 3.0 * np.maximum(0, seconds - 30)
    time_ms = np.concatenate([made.time_ms, live_ms, live_ms])
    value = np.concatenate([column(made, f"{METRIC}_count"), 2.0 * seconds, failed])
    slot = np.zeros(len(value), np.int32)
    slot[-len(failed) :] = 1
    order = np.argsort(time_ms, kind="stable")
    points = Points(slot[order], time_ms[order] * 1_000_000, value[order])

    watcher.see(Seen(DEFAULT_TENANT, points, NOTHING, []))
    said = watcher.tick(round(NOON_S + 300) * NS_PER_S, ALL)

    told = [one for one in said if one.severity is Severity.PAGE]
    assert {one.labels["symptom"] for one in told} == paged


# What is left


def test_processes_groups_namespaces_and_wires_that_are_left_are_named(tmp_path: Path) -> None:
    proc, groups, names, wires = (tmp_path / one for one in ("proc", "groups", "names", "wires"))
    for pid, said in ((7, "/tmp/demo-x/shop"), (8, "/tmp/other")):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cmdline").write_text(f"python\0{said}/plan.json\0")
    (proc / "9").mkdir()  # it ended meanwhile
    group = groups / "cpu" / "watchkeeper-breaks-cpu-quota-41"
    namespace, wire = names / "watchkeeper-breaks-lost-41", wires / "wk41"
    for one in (group, namespace, wire, groups / "watchkeeper-breaks-cpu-quota-42", wires / "wk4"):
        one.mkdir(parents=True)
    where = (proc, (groups, names), wires)

    found = remains(Path("/tmp/demo-x"), [41], *where)

    assert found == ["process 7", str(group), str(namespace), str(wire)]
    assert remains(Path("/tmp/demo-y"), [], *where) == []


# The command


def listed(folder: Path) -> Path:
    (folder / "shop").mkdir()
    (folder / "shop" / "scenarios.yaml").write_text("scenarios: [{name: calm, fault_free: true}]")
    return folder


def test_the_shop_is_found_here_in_a_checkout_or_where_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkout = shop.found(None)
    root = listed(tmp_path)

    assert (checkout / "shop" / "__main__.py").exists()
    assert shop.found(None) == shop.found(root) == shop.found(root / "shop") == root
    assert [one.name for one in shop.listed(root)] == ["calm"]


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (["--shop", "elsewhere"], "no shop in elsewhere; it is a part of the repository"),
        (["--scenario", "brokn"], "--scenario: no scenario 'brokn'; known: "),
    ],
)
def test_what_is_asked_wrongly_is_told_before_anything_starts(
    argv: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--yes", *argv]) == Exit.USAGE
    assert fault in capsys.readouterr().err


def test_what_the_shop_needs_and_is_not_installed_is_named() -> None:
    shop.check(["json"])
    with pytest.raises(ConfigError, match=r"the shop needs no_flask; install the extra: pip"):
        shop.check(["json", "no_flask"])


@pytest.mark.parametrize(
    ("services", "options"),
    [
        (("payment",), {"database": "sqlite", "cache": "memory"}),
        (("postgresql", "inventory"), {"cache": "memory"}),
        (("redis",), {"database": "sqlite"}),
    ],
)
def test_servers_of_the_shop_are_left_out_unless_they_are_broken(
    services: tuple[str, ...], options: Mapping[str, str]
) -> None:
    assert shop.lightest(Scenario(name="x", truth=Truth(services, ""))) == options


@pytest.mark.parametrize(("said", "goes_on"), [("", True), ("Y", True), ("n", False), ("?", False)])
def test_whoever_sits_at_a_terminal_is_asked_once(
    said: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda: said)

    assert demo.agreed(Output(as_json=False)) is goes_on
    assert "Go on?" in capsys.readouterr().err


def test_nobody_is_asked_where_nobody_sits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    assert demo.agreed(Output(as_json=False))


def test_a_stopped_server_can_be_stopped_again(tmp_path: Path) -> None:
    with serving({"/health": Reply(200, {"status": "ok"})}) as stub:
        server = Server(tmp_path)
        with Client(stub.url) as client:
            server.wait_until_well(client)
        server.stop()
        server.stop()
