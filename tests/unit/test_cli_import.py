"""Importing history: in order of time, everything once, resumed where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np
import pytest

from tests.unit.stub import Asked, Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.history import History, TooMuch
from watchkeeper.cli.import_ import bodies, windows
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.sdk import Retry, TimeSeries, remote_write
from watchkeeper.sdk.series import count

SCRAPE_S = 30


def matrix(rows: list[tuple[dict[str, str], list[tuple[float, str]]]]) -> dict[str, Any]:
    result = [{"metric": metric, "values": values} for metric, values in rows]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class Source:
    """A Prometheus with two series that go on for ever, scraped every half minute."""

    def __init__(self, *, most: int = 10**9, closed: bool = False) -> None:
        self._most = most
        self._closed = closed
        self.asked: list[tuple[float, float]] = []

    def instant(self, asked: Asked) -> Reply:
        end = float(asked.params["time"])
        length = float(asked.params["query"].rpartition("[")[2].removesuffix("ms]")) / 1000
        return self._answer(end - length, end, SCRAPE_S)

    def range(self, asked: Asked) -> Reply:
        step = float(asked.params["step"])
        return self._answer(float(asked.params["start"]) - step, float(asked.params["end"]), step)

    def _answer(self, start: float, end: float, step: float) -> Reply:
        self.asked.append((start, end))
        times = np.arange(np.floor(start / step) * step, end + 1e-6, step)
        inside = times >= start - 1e-6 if self._closed else times > start + 1e-6
        values = [(float(t), str(t % 3600)) for t in times[inside]]
        if 2 * len(values) > self._most:
            error = "query processing would load too many samples into memory"
            return Reply(422, {"status": "error", "errorType": "execution", "error": error})
        return Reply(200, matrix([({"__name__": n, "job": "j"}, values) for n in ("a", "b")]))

    def series(self, _asked: Asked) -> Reply:
        return Reply(200, {"status": "success", "data": [{"__name__": "a"}, {"__name__": "b"}]})

    def routes(self) -> dict[str, Any]:
        return {
            "/api/v1/query": self.instant,
            "/api/v1/query_range": self.range,
            "/api/v1/series": self.series,
        }


class Target:
    """A server that remembers the times it was sent, in the order in which they came."""

    def __init__(self, *, refuses_after: int = 10**9) -> None:
        self.left = refuses_after
        self.windows: list[list[int]] = []

    def write(self, asked: Asked) -> Reply:
        if not self.left:
            return Reply(400, b"the body is malformed")
        self.left -= 1
        wire = RemoteWrite().decode(asked.body, remote_write.HEADERS, now_ns=0)
        self.windows.append((wire.time_ns // 10**9).tolist())
        return Reply(204)

    @property
    def times(self) -> list[int]:
        return sorted(time for window in self.windows for time in window)


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def source() -> Iterator[Stub]:
    with serving(Source().routes()) as stub:
        yield stub


def imported(source: Stub, target: Stub, *more: str) -> int:
    return cli.main(["import", "--from", source.url, "--url", target.url, "--days", "0.5", *more])


def test_history_comes_whole_and_in_order_of_time(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target()
    with serving({"/api/v1/write": target.write}) as server:
        status = imported(source, server)

    assert status == 0
    n = round(0.5 * 86400 / SCRAPE_S)
    assert len(target.times) in (2 * n, 2 * n + 2)
    assert set(np.diff(target.times[::2])) == {SCRAPE_S}
    firsts = [min(window) for window in target.windows]
    lasts = [max(window) for window in target.windows]
    assert all(last < first for last, first in zip(lasts, firsts[1:], strict=False))
    assert "2 series of 12h from http://127.0.0.1" in capsys.readouterr().err
    assert not Path("watchkeeper-import.json").exists()


def test_a_stopped_import_goes_on_where_it_stopped(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target(refuses_after=3)
    with serving({"/api/v1/write": target.write}) as server:
        assert imported(source, server) == Exit.REFUSED
        assert "the same command goes on from watchkeeper-import.json" in capsys.readouterr().err

        target.left = 10**9
        assert imported(source, server) == 0

    assert "going on at" in capsys.readouterr().err
    assert set(np.diff(target.times[::2])) == {SCRAPE_S}
    assert len(target.times) == 2 * len(set(target.times))


def test_a_resume_file_of_another_import_is_refused(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target(refuses_after=1)
    with serving({"/api/v1/write": target.write}) as server:
        imported(source, server)
        capsys.readouterr()

        status = imported(source, server, "--match", '{job="x"}')

    assert status == Exit.USAGE
    assert "is of an import from" in capsys.readouterr().err


def test_a_resume_file_that_is_none_is_refused(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("watchkeeper-import.json").write_text("{")

    assert imported(source, source) == Exit.USAGE
    assert "delete it to start anew" in capsys.readouterr().err


def test_samples_that_came_too_late_are_summed_up_with_the_remedy(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "10 samples accepted; not accepted: 5 samples: too_old (older (x) than the newest)"
    with serving({"/api/v1/write": Reply(400, said.encode())}) as server:
        status = imported(source, server)

    out = capsys.readouterr().out
    assert status == 0
    assert "not accepted: too_old: older (x) than the newest; live samples came before" in out


def test_an_import_tells_programs_in_json(source: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    with serving({"/api/v1/write": Reply(204)}) as server:
        imported(source, server, "--json")

    said = capsys.readouterr()
    assert json.loads(said.out)["accepted"] > 2000
    assert said.err == ""


def test_headers_go_to_the_source_and_must_have_a_name(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({"/api/v1/write": Reply(204)}) as server:
        imported(source, server, "--header", "Authorization: Bearer x:y")
        assert source.asked[0].headers["authorization"] == "Bearer x:y"

        assert imported(source, server, "--header", "Bearer") == Exit.USAGE


def test_a_password_in_the_sources_address_is_used_and_not_kept(
    source: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target(refuses_after=1)
    named = source.url.replace("http://", "http://me:secret@")
    with serving({"/api/v1/write": target.write}) as server:
        cli.main(["import", "--from", named, "--url", server.url, "--days", "0.5"])

    said = capsys.readouterr()
    assert source.asked[0].headers["authorization"].startswith("Basic ")
    assert "secret" not in said.out + said.err + Path("watchkeeper-import.json").read_text()


class Reads(Protocol):
    def __call__(
        self, stub: Stub, *, step_s: float | None = None, attempts: int = 1
    ) -> History: ...


@pytest.fixture
def history() -> Iterator[Reads]:
    """Makes a reader of a stub's history."""
    with httpx.Client() as http:

        def reading(stub: Stub, *, step_s: float | None = None, attempts: int = 1) -> History:
            retry = Retry(attempts=attempts, first_s=0.0, longest_s=0.0)
            return History(stub.url, '{__name__!=""}', http=http, step_s=step_s, retry=retry)

        yield reading


def test_a_window_that_is_too_much_is_read_in_smaller_ones(history: Reads) -> None:
    source = Source(most=50)
    with serving(source.routes()) as stub:
        read = list(windows(history(stub), 0.0, 7200.0))

    times = sorted(t for _, series in read for one in series for t in one.time_ms.tolist())
    assert times == sorted([t * 1000 for t in range(30, 7201, 30)] * 2)
    assert read[-1][0] == 7200.0


def test_what_lies_at_the_edge_comes_once_from_sources_that_include_it(history: Reads) -> None:
    source = Source(closed=True)
    with serving(source.routes()) as stub:
        read = list(windows(history(stub), 0.0, 3600.0))

    times = [t for _, series in read for t in series[0].time_ms.tolist()]
    assert times == [t * 1000 for t in range(30, 3601, 30)]


def test_windows_grow_where_there_is_little_but_never_beyond_half_an_hour(history: Reads) -> None:
    source = Source()
    with serving(source.routes()) as stub:
        list(windows(history(stub), 0.0, 86400.0))

    lengths = [end - start for start, end in source.asked]
    assert lengths[0] == 60.0
    assert max(lengths) == 1800.0


def test_resampled_history_has_a_point_a_step(history: Reads) -> None:
    source = Source()
    with serving(source.routes()) as stub:
        read = list(windows(history(stub, step_s=300.0), 0.0, 7200.0))

    times = [t for _, series in read for t in series[0].time_ms.tolist()]
    assert times == [t * 1000 for t in range(300, 7201, 300)]


def test_more_steps_than_a_source_answers_are_not_asked_for(history: Reads) -> None:
    with serving({}) as stub, pytest.raises(TooMuch):
        history(stub, step_s=1.0).read(0.0, 20_000.0)


def test_a_window_that_stays_too_much_is_given_up(history: Reads) -> None:
    with serving(Source(most=1).routes()) as stub, pytest.raises(TooMuch, match="too many samples"):
        list(windows(history(stub, step_s=0.5), 0.0, 100.0))


def test_what_a_source_answers_instead_is_named(history: Reads) -> None:
    bad = Reply(400, {"status": "error", "errorType": "bad_data", "error": "parse error: x"})
    with (
        serving({"/api/v1/query": bad}) as stub,
        pytest.raises(BadInput, match=r"parse error: x.*--match"),
    ):
        history(stub).read(0.0, 60.0)
    with (
        serving({"/api/v1/query": Reply(200, b"<html>")}) as stub,
        pytest.raises(Permanent, match="answers nothing that Prometheus would"),
    ):
        history(stub).read(0.0, 60.0)
    with (
        serving({"/api/v1/query": Reply(503, b"starting")}) as stub,
        pytest.raises(Retryable, match="starting"),
    ):
        history(stub).read(0.0, 60.0)


def test_a_source_that_is_away_for_a_moment_is_asked_again(history: Reads) -> None:
    source = Source()
    with serving(source.routes()) as stub:
        stub.routes["/api/v1/query"] = [Reply(503, b"starting"), Reply(200, matrix([]))]

        assert history(stub, attempts=2).read(0.0, 60.0) == []


def test_bodies_hold_all_samples_once_within_the_limit() -> None:
    def of(n: int) -> TimeSeries:
        return TimeSeries({"__name__": str(n)}, np.arange(n), np.arange(n) * 1.0)

    series = [of(3), of(4), of(9), of(1), of(2)]

    found = list(bodies(series, 7))

    assert [count(body) for body in found] == [7, 9, 3]
    assert [one for body in found for one in body] == series
    assert list(bodies([], 7)) == []
