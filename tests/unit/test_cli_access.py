"""Keys, users and the audit trail by commands on the installation's machine."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from watchkeeper import cli
from watchkeeper.cli import connection
from watchkeeper.cli.exits import Exit
from watchkeeper.config.environment import client_settings
from watchkeeper.sdk import AsyncClient, Client
from watchkeeper.store.sqlite.store import FILE_NAME
from watchkeeper.telemetry import Secret

PASSWORD = "correct horse battery"
KEY = f"wk_{'0' * 12}_{'1' * 64}"
Capture = pytest.CaptureFixture[str]


class Machine:
    """Where commands are run, as people run them."""

    def __init__(self, folder: Path, capsys: Capture, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capsys = capsys
        self._patch = patch
        patch.chdir(folder)

    def run(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        with self._patch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(stdin))
            status = cli.main([*words, "--data-dir", str(self.folder / "data")])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *words: str, stdin: str = "") -> Any:
        status, out, err = self.run(*words, "--json", stdin=stdin)
        assert status == Exit.OK, err
        return json.loads(out)


@pytest.fixture
def machine(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, capsys, monkeypatch)


def test_a_new_key_is_alone_on_standard_output(machine: Machine) -> None:
    status, out, err = machine.run("keys", "create", "collector", "--scope", "write:metrics")

    assert status == Exit.OK
    assert out.startswith("wk_")
    assert out.count("\n") == 1
    assert out.strip() not in err


def test_keys_are_listed_without_their_secrets_and_revoked(machine: Machine) -> None:
    new = machine.json("keys", "create", "boss", "--role", "admin", "--tenant", "a")
    secret = new["key"].rpartition("_")[2]

    revoked = machine.json("keys", "revoke", new["id"])
    _, table, _ = machine.run("keys", "list")
    listed = machine.json("keys", "list")

    assert revoked["revoked_at"] is not None
    assert listed["items"] == [revoked]
    assert "revoked" in table
    assert secret not in table + json.dumps(listed)


def test_a_key_may_expire_and_be_limited(machine: Machine) -> None:
    new = machine.json(
        "keys", "create", "x", "--role", "viewer", "--expires", "30d", "--requests-per-s", "5",
        "--bytes-per-s", "1000",
    )  # fmt: skip

    assert new["expires_at"] > new["created_at"]
    assert (new["requests_per_s"], new["bytes_per_s"]) == (5, 1000)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("keys", "create", "x", "--role", "viewer", "--expires", "soon"), Exit.USAGE, "12h"),
        (("keys", "create", "x", "--role", "viewer", "--expires", "0h"), Exit.USAGE, "12h"),
        (("keys", "create", "a\nb", "--role", "viewer"), Exit.REFUSED, "no name"),
        (("keys", "create", "x", "--role", "viewer", "--tenant", "a/b"), Exit.REFUSED, "tenant"),
        (("keys", "revoke", "none"), Exit.REFUSED, "keys list"),
        (("users", "disable", "none"), Exit.REFUSED, "users list"),
        (("users", "create", "x", "--role", "viewer"), Exit.REFUSED, "12 characters"),
        (("users", "create", "a b", "--role", "viewer"), Exit.REFUSED, "no name"),
        (("keys", "list", "--set", "store.use=memory"), Exit.USAGE, "another store"),
        (("audit", "list", "--limit", "0"), Exit.USAGE, "1 or more"),
        (("audit", "verify", "--known", "1:abc"), Exit.USAGE, "POSITION:HASH"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_remedy(
    machine: Machine, words: tuple[str, ...], status: Exit, said: str
) -> None:
    found, out, err = machine.run(*words, stdin="short\n")

    assert (found, out) == (status, "")
    assert said in err


def test_a_user_is_made_disabled_and_never_shown_with_the_password(machine: Machine) -> None:
    made = machine.json("users", "create", "ann", "--role", "operator", stdin=f"{PASSWORD}\n")
    machine.json("users", "password", "ann", stdin=f"{PASSWORD} 2\n")
    disabled = machine.json("users", "disable", "ann")
    _, table, _ = machine.run("users", "list")
    everything = f"{made} {disabled} {table} {machine.run('audit', 'list')}"

    assert made["disabled_at"] is None
    assert disabled["disabled_at"] is not None
    assert "disabled" in table
    assert PASSWORD not in everything
    assert "scrypt" not in everything


def test_a_name_is_given_once(machine: Machine) -> None:
    machine.json("users", "create", "ann", "--role", "viewer", stdin=f"{PASSWORD}\n")

    status, _, err = machine.run("users", "create", "ann", "--role", "admin", stdin=f"{PASSWORD}\n")

    assert status == Exit.REFUSED
    assert "there already" in err
    assert machine.json("users", "list")["items"][0]["role"] == "viewer"


def test_every_command_that_changes_something_is_in_the_trail(machine: Machine) -> None:
    identity = machine.json("keys", "create", "x", "--role", "viewer")["id"]
    machine.json("keys", "revoke", identity)
    machine.json("users", "create", "ann", "--role", "viewer", stdin=f"{PASSWORD}\n")
    machine.json("users", "password", "ann", stdin=f"{PASSWORD}\n")
    machine.json("users", "disable", "ann")

    entries = machine.json("audit", "list")["items"]
    _, table, _ = machine.run("audit", "list", "--limit", "2")

    assert [entry["action"] for entry in reversed(entries)] == [
        "key.create", "key.revoke", "user.create", "user.password", "user.disable",
    ]  # fmt: skip
    assert all(entry["principal"].startswith("console:") for entry in entries)
    assert "user.disable" in table
    assert "key.create" not in table


def test_a_whole_trail_is_said_to_be_whole_with_its_end(machine: Machine) -> None:
    machine.json("keys", "create", "x", "--role", "viewer")
    end = machine.json("audit", "verify")["newest"]
    machine.json("keys", "create", "y", "--role", "viewer")

    status, out, _ = machine.run("audit", "verify", "--known", end)

    assert status == Exit.OK
    assert "2 entries is whole" in out


def forge(machine: Machine, statement: str) -> None:
    """As somebody may who owns the file, and takes its guards away."""
    with sqlite3.connect(machine.folder / "data" / FILE_NAME) as file:
        file.execute("DROP TRIGGER audit_is_never_changed")
        file.execute("DROP TRIGGER audit_is_never_deleted")
        file.execute(statement)
    file.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE record SET body = replace(body, 'first', 'other') WHERE kind = 'audit'",
            "entry 1 is not what was sealed",
        ),
        ("DELETE FROM record WHERE kind = 'audit' AND position = 1", "entries 1 to 1 are missing"),
    ],
)
def test_a_trail_that_was_tampered_with_is_found_out(
    machine: Machine, statement: str, said: str
) -> None:
    for name in ("first", "second"):
        machine.json("keys", "create", name, "--role", "viewer")

    forge(machine, statement.replace("replace(body, 'first', 'other')",
                                     "CAST(replace(body, 'first', 'other') AS BLOB)"))  # fmt: skip
    status, out, _ = machine.run("audit", "verify")

    assert status == Exit.NO
    assert said in out


def test_an_end_that_was_cut_off_shows_to_who_noted_it(machine: Machine) -> None:
    for name in ("first", "second"):
        machine.json("keys", "create", name, "--role", "viewer")
    end = machine.json("audit", "verify")["newest"]
    forge(machine, "DELETE FROM record WHERE kind = 'audit' AND position = 2")

    unaware, _, _ = machine.run("audit", "verify")
    aware, out, _ = machine.run("audit", "verify", "--known", end)

    assert (unaware, aware) == (Exit.OK, Exit.NO)
    assert "entry 2 with the hash that was noted" in out


# Showing a key


def answering(seen: list[httpx.Request]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"status": "ok"})

    return httpx.MockTransport(answer)


async def test_both_clients_show_the_key_they_were_given_and_no_other() -> None:
    seen: list[httpx.Request] = []
    url = "http://me:password@host:1"
    with Client(url, api_key=KEY, transport=answering(seen)) as client:
        client.health()
    async with AsyncClient(url, api_key=KEY, transport=answering(seen)) as other:
        await other.health()

    shown = [request.headers["authorization"] for request in seen]

    assert shown == [f"Bearer {KEY}"] * 2
    assert KEY not in repr(client) + repr(vars(client)) + repr(vars(other))


def test_a_key_comes_from_the_environment_and_prints_as_stars() -> None:
    settings = client_settings({"WATCHKEEPER_API_KEY": KEY})

    assert settings.api_key is not None
    assert settings.api_key.reveal() == KEY
    assert KEY not in repr(settings)
    assert client_settings({"WATCHKEEPER_API_KEY": ""}).api_key is None


def test_a_key_among_the_flags_is_never_echoed(capsys: Capture) -> None:
    words = ["query", "up", "--api-key", KEY, "--url", "http://127.0.0.1:1"]

    status = cli.main([*words, "--json"])

    said = capsys.readouterr()
    assert status == Exit.LATER
    assert KEY not in said.out + said.err


def test_a_flag_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_API_KEY", "from the environment")
    given = cli.build_parser("query").parse_args(["query", "up", "--api-key", KEY])

    with connection.connect(given) as client:
        request = httpx.Request("GET", "http://x")
        next(client._http.auth.auth_flow(request))  # type: ignore[union-attr]  # noqa: SLF001

    assert isinstance(given.api_key, Secret)
    assert request.headers["authorization"] == f"Bearer {KEY}"
