"""The doctor names what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.unit.stub import Reply, serving
from watchkeeper import cli
from watchkeeper.cli import checks
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.findings import Finding, State
from watchkeeper.clock import FakeClock
from watchkeeper.config.loading import load
from watchkeeper.config.sections import Config
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.store.installation import FILE_NAME, installation_key
from watchkeeper.store.sqlite.store import FILE_NAME as STATE_FILE
from watchkeeper.store.sqlite.store import SqliteConfig, SqliteStore


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


def config(data_dir: Path, **flags: str) -> Config:
    chosen = {"data_dir": str(data_dir), "server.port": "0", **flags}
    return load(flags={path: (value, "--set") for path, value in chosen.items()}).config


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def silent(_share: float) -> None:
    """Nobody watches."""


def examined(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    status = cli.main(["doctor", "--json", "--set", "server.port=0", *argv])
    told = json.loads(capsys.readouterr().out)
    return status, {finding["name"]: finding for finding in told["findings"]} | {"ok": told["ok"]}


def test_an_empty_folder_is_a_sound_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = examined(capsys, "--data-dir", str(tmp_path / "new"))

    assert status == 0
    assert told["ok"]
    assert told["folder"]["detail"].endswith("is not there yet; `run` makes it")
    assert not (tmp_path / "new").exists()


def test_people_get_a_line_each_and_a_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"torn")

    status = cli.main(["doctor", "--data-dir", str(tmp_path), "--set", "server.port=0"])

    lines = capsys.readouterr().out.splitlines()
    assert status == Exit.NO
    assert lines[-1] == "1 to be put right"
    (bad,) = [line for line in lines if line.startswith("BAD")]
    assert bad.split(maxsplit=2)[1] == "key"
    assert bad.endswith("holds 4 bytes, not 16; restore it from a backup")


def test_a_wrong_configuration_is_the_first_finding(capsys: pytest.CaptureFixture[str]) -> None:
    Path("watchkeeper.yaml").write_text("servr: 1\n")

    status, told = examined(capsys)

    assert status == Exit.NO
    assert "did you mean 'server'?" in told["configuration"]["detail"]


def test_a_folder_that_is_none_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = only(checks.folder(config(tmp_path / "file")))

    assert (found.state, found.remedy) == (State.BAD, "set another data_dir")


def test_a_key_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    installation_key(tmp_path)
    assert only(checks.key(config(tmp_path))).state is State.OK

    (tmp_path / FILE_NAME).chmod(0o644)

    found = only(checks.key(config(tmp_path)))
    assert (found.state, found.remedy) == (State.WARN, f"chmod 600 {tmp_path / FILE_NAME}")


def test_room_and_speed_of_the_disk_are_told(tmp_path: Path) -> None:
    assert "free" in only(checks.space(config(tmp_path))).detail
    assert "in the middle" in only(checks.sync(config(tmp_path))).detail
    assert list(tmp_path.iterdir()) == []


def with_space(monkeypatch: pytest.MonkeyPatch, *, total: int, free: int) -> None:
    """The disk is what the system says it is, so it is said here."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: usage._replace(total=total, used=0, free=free)
    )


@pytest.mark.parametrize(
    ("total", "free", "state"),
    [(100 << 30, 50 << 30, State.OK), (100 << 30, 5 << 30, State.WARN), (4 << 30, 1, State.BAD)],
)
def test_little_room_is_warned_of_and_none_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, free: int, state: State
) -> None:
    with_space(monkeypatch, total=total, free=free)

    assert only(checks.space(config(tmp_path))).state is state


@pytest.mark.parametrize(
    ("took_s", "state"), [(0.001, State.OK), (0.05, State.WARN), (0.5, State.BAD)]
)
def test_a_slow_disk_is_named_with_the_remedy(took_s: float, state: State) -> None:
    found = checks.judge_syncs([took_s] * 5)

    assert found.state is state
    assert (found.remedy == "") is (state is State.OK)


def test_a_folder_that_nothing_can_be_written_to_has_no_speed() -> None:
    found = only(checks.sync(config(Path("/proc/nowhere"))))

    assert found.state is State.SKIPPED


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_bad(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    found = only(checks.folder(config(tmp_path)))

    assert found.state is State.BAD
    assert "run as its owner" in found.remedy


@pytest.mark.parametrize(
    ("files", "state"), [(1024, State.WARN), (65_536, State.OK), (-1, State.OK)]
)
def test_few_open_files_are_warned_of(files: int, state: State) -> None:
    assert checks.judge_files(files).state is state


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_free_port_is_well(tmp_path: Path) -> None:
    found = only(checks.port(config(tmp_path, **{"server.port": str(free_port())})))

    assert found.state is State.OK
    assert "no server runs here" in found.detail


def test_a_running_server_is_asked_how_it_is(tmp_path: Path) -> None:
    body = {"status": "unhealthy", "checks": {"log": {"ok": False, "detail": "disk full"},
                                              "disk": {"ok": True}}}  # fmt: skip
    with serving({"/health": Reply(503, body)}) as stub:
        found = list(checks.port(config(tmp_path, **{"server.port": stub.url.rpartition(":")[2]})))

    assert [(one.name, one.state, one.detail) for one in found[1:]] == [
        ("server: log", State.BAD, "disk full"),
        ("server: disk", State.OK, "well"),
    ]


def test_a_stranger_at_our_port_is_bad(tmp_path: Path) -> None:
    with serving({}) as stub:
        found = only(checks.port(config(tmp_path, **{"server.port": stub.url.rpartition(":")[2]})))

    assert found.state is State.BAD
    assert found.remedy == "stop what listens there, or set another server.port"


def write_log(folder: Path) -> list[Path]:
    log = WriteAheadLog(folder, WalConfig(segment_bytes=1 << 16))
    for n in range(60):
        log.append([bytes([n]) * 4000])
    log.close()
    return sorted(folder.glob("*.log"))


def test_a_log_is_read_whole_and_a_hole_in_it_found(tmp_path: Path) -> None:
    segments = write_log(tmp_path / "log")
    assert len(segments) > 2
    shares: list[float] = []
    assert only(checks.log(config(tmp_path), shares.append)).state is State.OK
    assert shares[-1] == 1.0

    content = bytearray(segments[0].read_bytes())
    fifth = content.index(bytes([5]) * 4000)
    content[fifth + 100 : fifth + 200] = bytes(100)
    segments[0].write_bytes(content)

    found = only(checks.log(config(tmp_path), silent))
    assert found.state is State.BAD
    assert str(segments[0]) in found.detail
    assert "from position 6 on" in found.detail
    assert sorted((tmp_path / "log").glob("*.log")) == segments
    assert not (tmp_path / "log" / "damaged").exists()


def test_a_torn_tail_of_the_log_is_no_damage(tmp_path: Path) -> None:
    segments = write_log(tmp_path / "log")
    with segments[-1].open("r+b") as file:
        content = file.read().rstrip(b"\0")
        file.truncate(len(content) - 10)

    assert only(checks.log(config(tmp_path), silent)).state is State.OK


async def test_the_state_file_is_checked(tmp_path: Path) -> None:
    assert only(checks.state(config(tmp_path))).state is State.SKIPPED
    store = SqliteStore(SqliteConfig(), data_dir=tmp_path)
    await store.save([make.anomaly(id=f"{n:04}") for n in range(300)])
    await store.close()
    assert only(checks.state(config(tmp_path))).state is State.OK

    (tmp_path / STATE_FILE).write_bytes(b"no database at all" * 100)

    found = only(checks.state(config(tmp_path)))
    assert (found.state, found.remedy) == (State.BAD, "restore it from a backup")


def test_a_peer_that_is_away_is_named(tmp_path: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    found = only(checks.peers(config(tmp_path, **{"bus.use": "redis", "bus.url": away})))
    assert found.state is State.BAD
    assert found.name == "bus redis"
    assert found.remedy == "start it, or set bus.url"

    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"redis://127.0.0.1:{there.getsockname()[1]}/0"
        found = only(checks.peers(config(tmp_path, **{"bus.use": "redis", "bus.url": url})))
    assert found.state is State.OK


@pytest.mark.parametrize(
    ("seconds", "state"), [(0.0, State.OK), (-86_400.0, State.BAD), (-2e9, State.BAD)]
)
def test_a_clock_behind_the_newest_file_is_bad(
    tmp_path: Path, seconds: float, state: State
) -> None:
    (tmp_path / "newest").touch()
    newest_ns = (tmp_path / "newest").stat().st_mtime_ns

    clock = FakeClock(newest_ns + round(seconds * 1e9))

    assert only(checks.clock(config(tmp_path), clock)).state is state


def test_limits_and_compiled_code_are_looked_at() -> None:
    assert only(checks.limits()).name == "open files"
    assert only(checks.compiled()).state is State.OK
