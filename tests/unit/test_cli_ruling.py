"""`watchkeeper detection`, `maintenance` and `anomalies verdict`: what is asked, what is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.unit.stub import Reply, Stub, serving
from watchkeeper import cli
from watchkeeper.cli import checks
from watchkeeper.cli.exits import Exit
from watchkeeper.config.loading import load

SETTINGS = "/api/v1/config/detection"
VERDICT = "/api/v1/anomalies/a1/verdict"
WINDOWS = "/api/v1/maintenance"
VERSION: dict[str, Any] = {
    "version": 3,
    "source": "run time",
    "since": "2026-01-05T10:00:00Z",
    "by": "user:ops",
    "action": "detection.set",
    "position": 77,
    "is_in_force": True,
    "document": {"detectors": []},
    "changed": [{"path": "sensitivity", "before": "low", "after": None}],
}
SAID: dict[str, Any] = {
    "anomaly": "a1",
    "verdict": "not_useful",
    "by": "user:ops",
    "at": "2026-01-05T10:00:00Z",
    "changes": {"limit_before": 1, "limit_after": 0.32, "says": "the limit"},
}
WINDOW: dict[str, Any] = {
    "id": "m1",
    "match": {"service": "shop"},
    "from": "2026-01-05T10:00:00Z",
    "to": "2026-01-05T12:00:00Z",
    "reason": "disks",
    "holds": True,
    "by": "user:ops",
}
WEEKLY = {"match": {}, "weekly": "sun 02:00-04:00", "reason": "backup", "holds": False}
Said = pytest.CaptureFixture[str]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with serving({}) as found:
        monkeypatch.setenv("WATCHKEEPER_URL", found.url)
        yield found


def ran(said: Said, *argv: str) -> tuple[int, str, str]:
    status = cli.main(argv)
    out, err = said.readouterr()
    return status, out, err


def test_show_prints_the_document_and_whose_it_is(stub: Stub, capsys: Said) -> None:
    stub.routes[SETTINGS] = Reply(body=VERSION)

    status, out, err = ran(capsys, "detection", "show")

    assert status == Exit.OK
    assert json.loads(out) == {"detectors": []}
    assert "version 3, since 2026-01-05 10:00:00 by user:ops" in err


def test_show_tells_when_the_file_counts(stub: Stub, capsys: Said) -> None:
    stub.routes[f"{SETTINGS}/versions/0"] = Reply(body={"version": 0, "document": {}})

    _, _, err = ran(capsys, "detection", "show", "--version", "0")

    assert "as the configuration file says" in err


def test_set_sends_the_file_and_tells_what_changed(
    stub: Stub, capsys: Said, tmp_path: Path
) -> None:
    stub.routes[SETTINGS] = Reply(body=VERSION)
    file = tmp_path / "detection.yaml"
    file.write_text("detectors: []\n")

    status, out, err = ran(capsys, "detection", "set", str(file), "--expected", "2")

    (asked,) = stub.asked
    assert status == Exit.OK
    assert (asked.method, asked.params, asked.body) == (
        "PUT", {"expected": "2"}, b"detectors: []\n",
    )  # fmt: skip
    assert asked.headers["content-type"] == "application/yaml"
    assert out == 'sensitivity: "low" -> nothing\n'
    assert "`watchkeeper detection restore 2` takes it back" in err


def test_a_dry_run_says_that_nothing_was_set(stub: Stub, capsys: Said, tmp_path: Path) -> None:
    stub.routes[SETTINGS] = Reply(body={"version": 3, "dry_run": True, "changed": []})
    file = tmp_path / "detection.yaml"
    file.write_text("{}")

    _, _, err = ran(capsys, "detection", "set", str(file), "--dry-run")

    assert stub.asked[0].params == {"dry_run": "true"}
    assert "nothing would change; version 3 stays in force" in err


def test_a_file_that_cannot_be_read_is_told_before_anything_is_sent(
    stub: Stub, capsys: Said, tmp_path: Path
) -> None:
    status, _, err = ran(capsys, "detection", "set", str(tmp_path / "none.yaml"))

    assert status != Exit.OK
    assert "cannot be read" in err
    assert stub.asked == []


def test_faults_of_a_document_are_told(stub: Stub, capsys: Said, tmp_path: Path) -> None:
    stub.routes[SETTINGS] = Reply(422, {"detail": "detector: unknown key"})
    file = tmp_path / "detection.yaml"
    file.write_text("detector: []")

    status, _, err = ran(capsys, "detection", "set", str(file))

    assert status != Exit.OK
    assert "detector: unknown key" in err


def test_restore_asks_for_the_version_and_tells_what_changed(stub: Stub, capsys: Said) -> None:
    stub.routes[f"{SETTINGS}/versions/1/restore"] = Reply(body={**VERSION, "changed": []})

    _, _, err = ran(capsys, "detection", "restore", "1")

    assert stub.asked[0].method == "POST"
    assert "nothing changed; version 3 stays in force" in err


def test_versions_are_a_table_for_people_and_json_for_programs(stub: Stub, capsys: Said) -> None:
    stub.routes[f"{SETTINGS}/versions"] = Reply(
        body={"items": [VERSION, {"version": 0, "by": "file", "action": "detection.file"}]}
    )

    _, table, _ = ran(capsys, "detection", "versions")
    _, text, _ = ran(capsys, "detection", "versions", "--json")

    assert "2026-01-05 10:00:00" in table
    assert [item["version"] for item in json.loads(text)["items"]] == [3, 0]


def test_a_verdict_is_sent_and_what_it_changes_is_said(stub: Stub, capsys: Said) -> None:
    stub.routes[VERDICT] = Reply(body=SAID)

    status, out, _ = ran(
        capsys, "anomalies", "verdict", "a1", "not_useful", "--comment", "nightly backup"
    )

    (asked,) = stub.asked
    assert status == Exit.OK
    assert asked.method == "POST"
    assert json.loads(asked.body) == {"verdict": "not_useful", "comment": "nightly backup"}
    assert out == "not_useful by user:ops: changes the limit\n"


def test_a_verdict_is_withdrawn(stub: Stub, capsys: Said) -> None:
    stub.routes[VERDICT] = Reply(body={**SAID, "verdict": "withdrawn"})

    ran(capsys, "anomalies", "verdict", "a1", "--withdraw")

    assert stub.asked[0].method == "DELETE"


def test_without_a_word_what_is_said_of_an_anomaly_is_listed(stub: Stub, capsys: Said) -> None:
    stub.routes[VERDICT] = [Reply(body={"items": [SAID]}), Reply(body={"items": []})]

    _, text, _ = ran(capsys, "anomalies", "verdict", "a1", "--json")
    _, _, nobody = ran(capsys, "anomalies", "verdict", "a1")

    assert json.loads(text)["items"][0]["by"] == "user:ops"
    assert "nobody has said anything of it" in nobody


@pytest.mark.parametrize("words", [[], ["a1", "maybe"], ["a1", "real", "really"]])
def test_what_is_no_verdict_is_refused_with_the_way_to_write_it(
    stub: Stub, capsys: Said, words: list[str]
) -> None:
    status, _, err = ran(capsys, "anomalies", "verdict", *words)

    assert status != Exit.OK
    assert "verdict ID real|not_useful|expected" in err
    assert stub.asked == []


def test_a_window_is_added_for_what_it_matches(stub: Stub, capsys: Said) -> None:
    stub.routes[WINDOWS] = Reply(201, WINDOW)

    _, out, _ = ran(
        capsys, "maintenance", "add", "2h", "--match", "service=shop", "--reason", "disks"
    )

    assert json.loads(stub.asked[0].body) == {
        "match": {"service": "shop"},
        "duration": "2h",
        "reason": "disks",
        "start": None,
    }
    assert "window m1: service=shop, from 2026-01-05T10:00:00Z" in out


def test_a_match_without_a_label_is_refused(stub: Stub, capsys: Said) -> None:
    status, _, err = ran(capsys, "maintenance", "add", "2h", "--match", "shop")

    assert status != Exit.OK
    assert "write service=shop" in err
    assert stub.asked == []


def test_windows_are_listed_those_of_the_settings_too(stub: Stub, capsys: Said) -> None:
    stub.routes[WINDOWS] = [Reply(body={"items": [WINDOW, WEEKLY]}), Reply(body={"items": []})]

    _, table, _ = ran(capsys, "maintenance", "list")
    _, _, none = ran(capsys, "maintenance", "list", "--over")

    assert "sun 02:00-04:00 (UTC)" in table
    assert "(settings)" in table
    assert "no maintenance windows" in none
    assert stub.asked[1].params == {"over": "true"}


def test_a_window_is_ended(stub: Stub, capsys: Said) -> None:
    stub.routes[f"{WINDOWS}/m1"] = Reply(body=WINDOW)

    status, out, _ = ran(capsys, "maintenance", "end", "m1", "--json")

    assert status == Exit.OK
    assert stub.asked[0].method == "DELETE"
    assert json.loads(out)["id"] == "m1"


async def test_the_doctor_tells_whose_settings_are_in_force(tmp_path: Path) -> None:
    config = load(environment={"WATCHKEEPER_DATA_DIR": str(tmp_path)}).config
    store = config.store.build(data_dir=tmp_path)
    told = []
    for document in (None, '{"detectors": []}', ""):
        if document is not None:
            await store.save([make.settings(document, version=len(told), position=len(told))])
        (finding,) = await asyncio.to_thread(lambda: list(checks.settings(config)))
        told.append(finding.detail)
    await store.close()

    assert told[0] == "of detection: what the configuration file says"
    assert "version 1, set by user:ops; the configuration file says otherwise of" in told[1]
    assert "`watchkeeper detection restore 0`" in told[1]
    assert told[2] == "of detection: the configuration file's, by version 2"


def test_the_doctor_says_nothing_of_settings_before_the_first_start(tmp_path: Path) -> None:
    config = load(environment={"WATCHKEEPER_DATA_DIR": str(tmp_path)}).config

    assert list(checks.settings(config)) == []
