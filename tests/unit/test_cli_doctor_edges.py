"""The doctor where things are odd: it says so in a line, and looks on at all the rest."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from watchkeeper import cli
from watchkeeper.cli import checks
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.findings import Finding, State
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.config.loading import load
from watchkeeper.config.sections import Config
from watchkeeper.store.sqlite.store import FILE_NAME as STATE_FILE

EVERY = {
    "configuration", "folder", "key", "space", "sync", "port", "clock", "open files",
    "compiled code", "log", "catalog", "lake", "state",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


def config(data_dir: Path, **flags: str) -> Config:
    given = {"data_dir": str(data_dir), "server__port": "0", **flags}
    chosen = {path.replace("__", "."): (value, "--set") for path, value in given.items()}
    return load(flags=chosen, environment={}).config


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def examined(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    status = cli.main(["doctor", "--json", "--set", "server.port=0", *argv])
    told = json.loads(capsys.readouterr().out)
    return status, {finding["name"]: finding for finding in told["findings"]}


@contextmanager
def listening(family: socket.AddressFamily, address: Any) -> Iterator[Any]:
    """Somebody who takes calls and says nothing; where they are."""
    with closing(socket.socket(family)) as listener:
        try:
            listener.bind(address)
        except OSError:
            pytest.skip(f"this machine has no {family.name}")
        listener.listen()
        yield listener.getsockname()


def test_a_data_folder_that_is_a_file_stops_no_other_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    status, told = examined(capsys, "--data-dir", str(tmp_path / "file"))

    assert status == Exit.NO
    assert set(told) == EVERY
    assert [name for name, finding in told.items() if finding["state"] == "bad"] == ["folder"]


def test_a_quick_look_leaves_out_what_takes_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = examined(capsys, "--data-dir", str(tmp_path), "--quick")

    assert set(told) == EVERY - {"log", "catalog", "lake"}


def test_looking_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()

    examined(capsys, "--data-dir", str(tmp_path / "data"))

    assert list((tmp_path / "data").iterdir()) == []


def test_every_fault_of_the_configuration_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["doctor", "--json", "--set", "server.port=x", "--set", "servr.port=1"])

    told = json.loads(capsys.readouterr().out)
    assert status == Exit.NO
    assert [finding["name"] for finding in told["findings"]] == ["configuration"] * 2
    assert {finding["remedy"] for finding in told["findings"]} == {
        "`watchkeeper config check` again"
    }


def test_what_is_bad_has_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / STATE_FILE).write_bytes(b"this is no database" * 100)
    (tmp_path / "installation.key").write_bytes(b"torn")

    status, told = examined(capsys, "--data-dir", str(tmp_path))

    bad = {name: finding for name, finding in told.items() if finding["state"] == "bad"}
    assert status == Exit.NO
    assert set(bad) == {"key", "state"}
    assert all(finding["remedy"] for finding in bad.values())


# Peers


@pytest.mark.parametrize(
    "url",
    ["redis://u:pw@host:99999/0", "redis://u:pw@[::1/0", "nonsense", "redis://", "redis://h:x/0"],
)
def test_a_peers_address_that_is_none_is_bad_and_not_shown(tmp_path: Path, url: str) -> None:
    found = only(checks.peers(config(tmp_path, bus__use="redis", bus__url=url)))

    assert found == Finding(
        "bus redis",
        State.BAD,
        "bus.url is no address of a server",
        "write redis://host:port/database",
    )


def test_a_peer_that_answers_is_told_without_its_password(tmp_path: Path) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as (host, port):
        url = f"redis://user:pw@{host}:{port}/0"
        found = only(checks.peers(config(tmp_path, bus__use="redis", bus__url=url)))

    assert found == Finding("bus redis", State.OK, f"127.0.0.1:{port} answers")


def test_a_peer_on_a_socket_file_is_looked_for_there(tmp_path: Path) -> None:
    asked = {"bus__use": "redis", "bus__url": f"unix://:pw@{tmp_path}/redis.sock"}
    before = only(checks.peers(config(tmp_path, **asked)))

    with listening(socket.AF_UNIX, str(tmp_path / "redis.sock")):
        there = only(checks.peers(config(tmp_path, **asked)))

    assert (before.state, there.state) == (State.BAD, State.OK)
    assert there.detail == f"{tmp_path}/redis.sock answers"
    assert "pw" not in before.detail


def test_a_peer_that_is_named_by_six_numbers_is_reached(tmp_path: Path) -> None:
    with listening(socket.AF_INET6, ("::1", 0)) as (_, port, *_):
        url = f"redis://[::1]:{port}/0"
        found = only(checks.peers(config(tmp_path, bus__use="redis", bus__url=url)))

    assert found.state is State.OK


def test_an_installation_of_one_process_has_no_peers(tmp_path: Path) -> None:
    assert list(checks.peers(config(tmp_path))) == []


# The port


def test_a_free_port_of_the_sixth_version_is_well(tmp_path: Path) -> None:
    with listening(socket.AF_INET6, ("::1", 0)) as (_, port, *_):
        pass

    found = only(checks.port(config(tmp_path, server__host="::1", server__port=str(port))))

    assert found == Finding("port", State.OK, f"::1:{port} is free; no server runs here")


def test_a_host_that_is_not_this_machines_is_bad(tmp_path: Path) -> None:
    found = only(checks.port(config(tmp_path, server__host="192.0.2.1", server__port="0")))

    assert found.state is State.BAD
    assert found.remedy == "stop what listens there, or set another server.port"


def test_a_server_that_is_unwell_is_asked_what_it_is(tmp_path: Path) -> None:
    body = json.dumps(
        {"status": "unhealthy", "checks": {"disk": {"ok": False, "detail": ""},
                                           "log": {"ok": True, "detail": ""}}}
    ).encode()  # fmt: skip
    with listening(socket.AF_INET6, ("::1", 0)) as (_, port, *_):
        pass
    with closing(socket.create_server(("::1", port), family=socket.AF_INET6)) as listener:
        answering = threading.Thread(target=_answer, args=(listener, 503, body))
        answering.start()
        found = list(checks.port(config(tmp_path, server__host="::1", server__port=str(port))))
        answering.join()

    assert [(one.name, one.state, one.detail) for one in found] == [
        ("port", State.OK, f"a Watchkeeper listens on ::1:{port}"),
        ("server: disk", State.BAD, "unwell"),
        ("server: log", State.OK, "well"),
    ]


def _answer(listener: socket.socket, status: int, body: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        head = f"HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)


# Judgements


@pytest.mark.parametrize(
    ("took_s", "state"),
    [
        ([0.001] * 15, State.OK),
        ([0.02] * 15, State.OK),
        ([0.0201] * 15, State.WARN),
        ([0.2] * 15, State.WARN),
        ([0.2001] * 15, State.BAD),
        ([0.001] * 14 + [9.0], State.OK),  # one is no rule
        ([0.001] * 7 + [0.05] * 8, State.WARN),
    ],
    ids=str,
)
def test_the_middle_of_the_syncs_decides(took_s: list[float], state: State) -> None:
    found = checks.judge_syncs(took_s)

    assert found.state is state
    assert bool(found.remedy) is (state is not State.OK)


def test_the_worst_sync_is_told_too() -> None:
    assert checks.judge_syncs([0.001, 0.001, 0.3]).detail == "1ms in the middle, 300ms at worst"


@pytest.mark.parametrize(
    ("limit", "state", "detail"),
    [
        (1024, State.WARN, "at most 1024"),
        (4095, State.WARN, "at most 4095"),
        (4096, State.OK, "enough"),
        (-1, State.OK, "without limit"),
    ],
)
def test_few_files_are_fewer_than_a_lake_may_open(limit: int, state: State, detail: str) -> None:
    found = checks.judge_files(limit)

    assert (found.state, found.detail) == (state, detail)


@pytest.mark.parametrize(
    ("behind_s", "state"),
    [(-3600, State.OK), (0, State.OK), (60, State.OK), (61, State.BAD), (86_400, State.BAD)],
)
def test_a_clock_may_be_a_minute_behind_what_was_written(
    tmp_path: Path, behind_s: int, state: State
) -> None:
    file = tmp_path / "newest"
    file.touch()
    written_s = 1_800_000_000
    os.utime(file, (written_s, written_s))

    found = only(checks.clock(config(tmp_path), FakeClock((written_s - behind_s) * NS_PER_S)))

    assert found.state is state


def test_a_clock_before_this_program_was_written_is_wrong(tmp_path: Path) -> None:
    found = only(checks.clock(config(tmp_path / "none"), FakeClock(0)))

    assert (found.state, found.detail) == (State.BAD, "says 1970-01-01 00:00:00 UTC")
