"""The commands against real servers: what they send, import and show is really there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import client, peers
from bench.peers import Server
from tests.integration.conftest import Shared
from tests.operators import Told, ran
from watchkeeper.cli.demo.level import Gauge, Levels
from watchkeeper.cli.demo.past import before
from watchkeeper.cli.server import Server as OwnServer
from watchkeeper.errors import Permanent
from watchkeeper.sdk import Client, TimeSeries

STEP_MS = 15_000


def run(*argv: str, status: int = 0) -> Told:
    told = ran(*argv)
    assert told.status == status, told.out + told.err
    return told


def run_apart(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as it is installed."""
    command = [sys.executable, "-m", "watchkeeper", *argv]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def url(server: Server) -> str:
    return f"http://{client.HOST}:{server.port}"


@pytest.fixture
def prometheus(tmp_path: Path, program: Callable[[str], Path]) -> Iterator[Server]:
    """An empty one that takes remote write."""
    program("prometheus")
    recipe = peers.prometheus(tmp_path / "prometheus")
    with Server(recipe, tmp_path / "prometheus", core=None) as running:
        yield running.wait_ready()


def an_hour(n_series: int) -> list[TimeSeries]:
    """Up to now, as a Prometheus takes only what is young."""
    end_ms = time.time_ns() // 1_000_000 // STEP_MS * STEP_MS
    times = end_ms - STEP_MS * np.arange(240)[::-1]
    chance = np.random.default_rng(1)
    return [
        TimeSeries(
            {"__name__": "shop_value", "service": "shop", "n": str(n)},
            times,
            chance.normal(size=240),
        )
        for n in range(n_series)
    ]


def points(found: Any) -> dict[str, list[tuple[float, float]]]:
    return {one.labels["n"]: [(t, v) for t, v in one.points] for one in found}


def test_history_of_a_real_prometheus_is_imported_sample_by_sample(
    shared: Shared, prometheus: Server, tmp_path: Path
) -> None:
    series = an_hour(5)
    with Client(url(prometheus)) as there:
        there.write(series)

    command = ["import", "--from", url(prometheus), "--url", url(shared.server), "--days", "0.1"]
    told = run_apart(*command, "--match", '{__name__="shop_value"}', "--json", cwd=tmp_path)

    assert json.loads(told.stdout) == {"accepted": 5 * 240, "rejected": []}
    with Client(url(shared.server)) as here:
        found = points(here.query("shop_value", start=time.time() - 7200))
    assert found == {
        one.labels["n"]: list(zip((one.time_ms / 1000).tolist(), one.value.tolist(), strict=True))
        for one in series
    }


def test_what_was_sent_is_queried_back(shared: Shared, tmp_path: Path) -> None:
    file, there = tmp_path / "points.json", ("--url", url(shared.server))
    file.write_text(json.dumps([{"name": "queue_length", "value": 7, "labels": {"service": "a"}}]))

    run("send", str(file), *there)
    run("send", "--generate", "20", *there)

    (series,) = run("query", "queue_length", *there, "--json").json["series"]
    assert series["points"][-1][1] == 7
    assert " 20 " in run("query", "generated_value", *there, "--agg", "count").out
    run("query", "no_such_metric", *there, status=1)
    run("query", "up{", *there, status=3)
    run("anomalies", *there)


def test_a_week_that_is_made_up_is_taken_whole_and_the_doctor_finds_what_is_broken(
    tmp_path: Path,
) -> None:
    kept, now_s = tmp_path / "kept", time.time()
    names = [{"__name__": "queue_length", "instance": str(number)} for number in range(120)]
    levels = Levels((), tuple(Gauge(one, 9.0, 1.0) for one in names), now_s)
    week = before(levels, end_s=now_s, days=7, seed=1)
    with OwnServer(kept) as server, Client(server.url) as there:
        server.wait_until_well(there)
        n_accepted = sum(there.write(window).accepted for window in week.windows(40_000))
    assert n_accepted == week.n_samples > 1_000_000
    doctor = ("doctor", "--data-dir", str(kept), "--set", "server.port=0", "--json")
    run(*doctor)

    first, second, *_ = sorted(kept.glob("lake/segments/*.parquet"))
    first.unlink()
    content = bytearray(second.read_bytes())
    content[len(content) // 3 : -len(content) // 3] = bytes(len(content) - 2 * (len(content) // 3))
    second.write_bytes(content)

    bad = [f for f in run(*doctor, status=1).json["findings"] if f["state"] == "bad"]
    assert {finding["name"] for finding in bad} == {"lake"}
    assert any("is missing" in finding["detail"] for finding in bad)


def test_ctrl_c_ends_a_command_with_130_and_without_a_traceback(
    shared: Shared, tmp_path: Path
) -> None:
    there = ("--url", url(shared.server))
    command = [sys.executable, "-m", "watchkeeper", "anomalies", "--follow", *there]
    following = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert following.stderr is not None
    assert following.stderr.readline().startswith("following")

    following.send_signal(signal.SIGINT)

    assert following.wait(30) == 130
    assert following.stderr.read() == ""
    following.stderr.close()


def left_of(folder: str) -> list[str]:
    """Processes that name it."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            if folder.encode() in place.read_bytes():
                found.append(place.parent.name)
    return found


def test_a_demo_that_is_terminated_takes_its_server_and_its_shop_along() -> None:
    pytest.importorskip("flask")
    pytest.importorskip("supervisor")
    command = [sys.executable, "-m", "watchkeeper", "demo", "--yes"]
    with tempfile.TemporaryDirectory() as short:  # sockets' paths are to be
        environment = {**os.environ, "TMPDIR": short}
        demo = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert demo.stderr is not None
        assert "starting a server" in demo.stderr.readline()
        until = time.monotonic() + 60
        while len(left_of(short)) < 4:  # the server, the shop, its supervisor and a service
            assert time.monotonic() < until
            time.sleep(0.05)

        demo.terminate()

        assert demo.wait(60) == 130
        assert "everything is taken away" in demo.stderr.read()
        demo.stderr.close()
        assert left_of(short) == []
        assert list(Path(short).iterdir()) == []


def test_a_child_ends_with_whoever_started_it_even_if_that_was_killed(tmp_path: Path) -> None:
    starts = (
        "import time; from pathlib import Path; from watchkeeper.cli.child import Child; "
        f"one = Child(['-c', 'import time; time.sleep(60)  # {tmp_path}'], Path('log')); "
        "print(one.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starts], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    parent.kill()
    parent.wait()

    parent.stdout.close()
    until = time.monotonic() + 30
    while str(child) in left_of(str(tmp_path)):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "installation.key").write_bytes(b"torn")

    with (
        OwnServer(tmp_path) as server,
        Client(server.url) as here,
        pytest.raises(Permanent, match=r"it said:\n.*restore it from a backup"),
    ):
        server.wait_until_well(here)
