"""Servers of the bench: started, paused, stopped by their pids, and never left behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from bench import aftermath, client, contest, full_disk, peers, suite
from bench.client import Door, Refused
from bench.contest import Contestant, Turn
from bench.ledger import Ledger
from bench.peers import Recipe, Server, Unmeasurable
from bench.sender import Delivered
from bench.suite import Options
from tests.unit.stub import Reply, serving
from watchkeeper.lake.wal import WalConfig, WriteAheadLog

SERVES = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("said before it began", flush=True)
handler = http.server.SimpleHTTPRequestHandler
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""
ENDS = "print('no such disk', flush=True); raise SystemExit(3)"


def recipe(program: str, name: str = "peer") -> Recipe:
    port = peers.free_port()
    return Recipe(name, [sys.executable, "-c", program, str(port)], port, "/", {})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(recipe(SERVES), tmp_path, core=None) as one:
        yield one.wait_ready()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_that_is_ready_answers_and_has_used_cpu(server: Server) -> None:
    assert server.running
    assert server.cpu_s() > 0
    assert server.rss_bytes() > 1 << 20


def test_a_stopped_server_tells_what_its_life_has_cost_and_a_second_stop_nothing(
    server: Server,
) -> None:
    before = server.cpu_s()

    cost = server.stop()

    assert cost >= before * 0.5
    assert not server.running
    assert server.stop() == 0.0


def test_a_paused_server_is_stopped_all_the_same(server: Server) -> None:
    server.pause()
    stat = Path(f"/proc/{server.pid}/stat")

    stands_still = client.wait_until(
        lambda: stat.read_text().rpartition(") ")[2].startswith("T"), timeout_s=5
    )
    server.stop()

    assert stands_still
    assert not server.running


def test_a_killed_server_is_gone_when_the_call_returns(server: Server) -> None:
    pid = server.pid

    server.kill()

    assert not is_alive(pid)
    server.kill()  # and again, harmlessly


def test_a_restart_is_another_process_at_the_same_place(server: Server) -> None:
    pid, port = server.pid, server.port

    server.restart()

    assert server.pid != pid
    assert not is_alive(pid)
    assert server.port == port
    assert server.running


def test_a_server_that_ends_while_it_starts_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(Unmeasurable, match=r"ended with 3.*no such disk"),
        Server(recipe(ENDS), tmp_path, core=None) as one,
    ):
        one.wait_ready()


def test_a_fault_within_the_block_leaves_no_process_behind(tmp_path: Path) -> None:
    pids: list[int] = []

    def measure() -> None:
        with Server(recipe(SERVES), tmp_path, core=None) as one:
            pids.append(one.wait_ready().pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure()

    assert not is_alive(pids[0])


def test_what_a_server_says_is_kept_beside_its_data(server: Server, tmp_path: Path) -> None:
    assert "said before it began" in server.tail()
    assert (tmp_path / "peer.log").exists()
    assert len(server.tail(5)) <= 5


def test_a_tree_of_processes_is_counted_with_its_children() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert sleeper.pid in peers._tree(os.getpid())  # noqa: SLF001 (what is counted of a server)
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()
    assert peers.process_cpu_s(sleeper.pid) == 0.0
    assert peers.rss_bytes(sleeper.pid) == 0


def test_a_free_port_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", peers.free_port()))


def test_server_and_client_have_cores_of_their_own_where_there_are_two() -> None:
    for_servers, for_client = peers.cores()

    assert len(for_servers) == 1
    assert for_client
    assert for_servers.isdisjoint(for_client) or len(os.sched_getaffinity(0)) == 1


def test_the_client_gets_its_cores_back() -> None:
    before = os.sched_getaffinity(0)

    with suite.client_core() as core:
        assert os.sched_getaffinity(0) == (before - core or core)

    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("keep", "fails"), [(False, False), (False, True), (True, False)])
def test_a_scratch_folder_goes_unless_it_is_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool, fails: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # TMPDIR is asked for once only
    kept: list[Path] = []

    def use() -> None:
        with suite.scratch("x", Options(keep=keep)) as folder:
            kept.append(folder)
            (folder / "data").write_bytes(b"x")
            if fails:
                raise ZeroDivisionError

    if fails:
        with pytest.raises(ZeroDivisionError):
            use()
    else:
        use()

    assert kept[0].exists() == keep


# Turns.


def contestant(*turns: Turn, end_cpu_s: float = 0.0) -> Contestant:
    nothing = Ledger(np.empty(0, np.int64))
    return Contestant(
        "x", cast(Server, None), {0}, Door(0, "/", {}), nothing, turns=list(turns),
        end_cpu_s=end_cpu_s,
    )  # fmt: skip


def test_two_are_compared_mean_by_mean_and_median_by_median() -> None:
    """What came into one turn of three counts on both sides or on none, and the less is told."""
    steady = contestant(*[Turn(10**6, 1.0, 1.0)] * 3)
    merged = contestant(*[Turn(10**6, 2.0, 1.0)] * 2, Turn(10**6, 11.0, 1.0))

    assert merged.cpu_us == 5.0
    assert contest.times_cheaper(steady, merged) == 2.0
    assert contest.times_cheaper(merged, steady) == pytest.approx(1 / 5)


def test_a_row_has_a_cell_for_every_column() -> None:
    played = contestant(Turn(10**6, 2.0, 0.5), end_cpu_s=1.0)

    row = played.row()

    assert len(row) == len(contest.HEAD)
    assert row[1:5] == ("3.000", "2.000 [2.000..2.000]", "1.00", "2.00")
    assert row[5] == ""


def test_a_refusal_at_one_of_several_doors_is_not_lost() -> None:
    with serving({"/good": Reply(204), "/bad": Reply(400, b"no")}) as stub:
        port = int(stub.url.rpartition(":")[2])
        doors = [Door(port, path, {}) for path in ("/good", "/bad", "/good")]

        with pytest.raises(Refused, match="400"):
            contest.send_side_by_side(doors, [[b"a"]])

        assert [asked.path for asked in stub.asked].count("/good") == 2


# A disk that fills up, and a log that was scribbled on.


async def test_ballast_is_thrown_off_when_senders_were_refused_and_not_before() -> None:
    delivered = [Delivered(retries=full_disk.REFUSALS - 1), Delivered(acknowledged=7)]
    thrown = asyncio.Event()
    relieving = asyncio.create_task(full_disk.relieve(thrown.set, delivered))

    await asyncio.sleep(0)
    assert not thrown.is_set()
    delivered[1].retries += 1
    async with asyncio.timeout(5):
        await thrown.wait()
    delivered[0].acknowledged += full_disk.AFTERWARDS
    await asyncio.sleep(0)
    assert not relieving.done(), "one of the senders has not gone on"
    delivered[1].acknowledged += full_disk.AFTERWARDS

    async with asyncio.timeout(5):
        await relieving


@pytest.mark.parametrize("seed", range(4))
def test_rubbish_behind_the_log_harms_no_record(tmp_path: Path, seed: int) -> None:
    log = WriteAheadLog(tmp_path / "log", WalConfig(segment_bytes=1 << 15))
    written = [b"record %d" % n * 50 for n in range(100)]
    for record in written:
        log.append([record])
    log.close()

    aftermath.scribble(tmp_path, random.Random(seed))

    log = WriteAheadLog(tmp_path / "log", WalConfig(segment_bytes=1 << 15))
    assert [bytes(payload) for _, payload in log.read(0)] == written
    log.close()
