"""`watchkeeper run` and `watchkeeper config`: flags become settings; nothing starts by mistake."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from watchkeeper import cli
from watchkeeper.cli.exits import Exit
from watchkeeper.config import reference
from watchkeeper.config.loading import load

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers  # a server sets the log up for its whole process
    root.setLevel(level)


def ran(said: Said, *argv: str) -> tuple[int, str, str]:
    """(status, output, errors)"""
    status = cli.main(argv)
    out, err = said.readouterr()
    return status, out, err


# Starting


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--port", "x"], "server.port: 'x' is not a whole number >= 0 and <= 65535 (flag --port)"),
        (["--port", "65536"], "(flag --port)"),
        (["--data-dir", ""], "data_dir: '' is not a path (flag --data-dir)"),
        (["--set", "server.port=x"], "(flag --set)"),
        (["--set", "server.prot=1"], "did you mean 'port'? (flag --set)"),
        (["--set", "port"], "--set: 'port' is no KEY=VALUE, such as server.port=8200"),
        (["--set", "=1"], "--set: '=1' is no KEY=VALUE, such as server.port=8200"),
        (["--config", "none.yaml"], "none.yaml: cannot be read"),
    ],
    ids=" ".join,
)
def test_wrong_settings_are_named_by_their_flag_and_start_nothing(
    capsys: Said, tmp_path: Path, argv: list[str], said: str
) -> None:
    status, out, err = ran(capsys, "run", *argv)

    assert (status, out) == (Exit.USAGE, "")
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_port_that_is_taken_is_told_before_anything_is_made(
    capsys: Said, tmp_path: Path, family: socket.AddressFamily, host: str
) -> None:
    with closing(socket.socket(family)) as taken:
        try:
            taken.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {family.name}")
        taken.listen()
        port = taken.getsockname()[1]

        status, _, err = ran(capsys, "run", "--host", host, "--port", str(port))

    assert status == Exit.USAGE
    assert err.endswith(
        f"watchkeeper run: server: cannot listen on {host}:{port}: Address already in use; stop "
        "what listens there, or choose another server.port (0 takes a free one)\n"
    )
    assert not (tmp_path / "data").exists()


def test_a_host_that_is_not_this_machines_is_told(capsys: Said, tmp_path: Path) -> None:
    status, _, err = ran(capsys, "run", "--host", "192.0.2.1", "--port", "0")

    assert status == Exit.USAGE
    assert "server: cannot listen on 192.0.2.1:0" in err
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_made_is_told(capsys: Said, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    status, _, err = ran(capsys, "run", "--port", "0", "--data-dir", str(tmp_path / "file" / "in"))

    assert status == Exit.USAGE
    assert "data_dir: " in err
    assert "Not a directory; let this user read and write" in err


def test_a_torn_key_ends_the_start_with_the_remedy(capsys: Said, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "installation.key").write_bytes(b"torn")

    status, _, err = ran(capsys, "run", "--port", "0")

    assert status == Exit.USAGE
    assert "holds 4 bytes, not 16; restore it from a backup" in err
    assert (tmp_path / "data" / "installation.key").read_bytes() == b"torn"


# Showing


def test_what_is_shown_is_a_file_that_means_the_same(capsys: Said, tmp_path: Path) -> None:
    Path("given.yaml").write_text("server: {port: 9000}\nruntime: {lease_s: 1h30m}\n")

    _, out, _ = ran(capsys, "config", "show", "given.yaml")

    Path("shown.yaml").write_text(out)
    first, second = (load(tmp_path / name, environment={}) for name in ("given.yaml", "shown.yaml"))
    assert reference.tree(first) == reference.tree(second)
    assert yaml.safe_load(out)["runtime"]["lease_s"] == "90m"


def test_the_same_is_told_to_programs(capsys: Said) -> None:
    _, shown, _ = ran(capsys, "config", "show", "--set", "server.port=9000")
    _, told, _ = ran(capsys, "config", "show", "--set", "server.port=9000", "--json")

    assert json.loads(told) == yaml.safe_load(shown)


def test_every_value_is_shown_with_who_gave_it(
    capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("watchkeeper.yaml").write_text("server:\n  port: 9000\n")
    monkeypatch.setenv("WATCHKEEPER_SERVER__HOST", "0.0.0.0")

    _, out, _ = ran(capsys, "config", "show", "--origin", "--set", "data_dir=here")

    rows = {line.split()[0]: line.rstrip().split(maxsplit=2)[1:] for line in out.splitlines()[1:]}
    assert rows["data_dir"] == ["here", "flag --set"]
    assert rows["server.port"] == ["9000", "watchkeeper.yaml:2"]
    assert rows["server.host"] == ["0.0.0.0", "environment WATCHKEEPER_SERVER__HOST"]
    assert rows["server.body_bytes"] == ["16MiB", "default"]


def test_a_later_set_wins_over_an_earlier(capsys: Said) -> None:
    _, out, _ = ran(
        capsys, "config", "show", "--json", "--set", "server.port=1", "--set", "server.port=2"
    )

    assert json.loads(out)["server"]["port"] == 2


def test_a_value_may_hold_an_equals_sign(capsys: Said) -> None:
    _, out, _ = ran(capsys, "config", "show", "--json", "--set", "data_dir=a=b")

    assert json.loads(out)["data_dir"] == "a=b"


def test_a_file_that_is_named_twice_is_the_one_that_stands_alone(capsys: Said) -> None:
    Path("one.yaml").write_text("server: {port: 1}")
    Path("two.yaml").write_text("server: {port: 2}")

    _, out, _ = ran(capsys, "config", "show", "one.yaml", "--config", "two.yaml", "--json")

    assert json.loads(out)["server"]["port"] == 1


def test_a_sound_configuration_without_a_file_is_said_to_be_defaults(capsys: Said) -> None:
    status, out, _ = ran(capsys, "config", "check")

    assert (status, out) == (Exit.OK, "no file, defaults only: sound\n")


def test_what_this_version_does_not_use_is_told_by_section(capsys: Said) -> None:
    Path("watchkeeper.yaml").write_text(
        "aiops:\n  enabled: true\n  remediation: {enabled: false, max_actions_per_minute: 3}\n"
    )

    _, out, _ = ran(capsys, "config", "check")

    assert out.splitlines() == [
        "watchkeeper.yaml: sound",
        "accepted, not used by this version yet:",
        "  aiops: enabled",
        "  aiops.remediation: enabled, max_actions_per_minute",
    ]
