"""Settings, maintenance and verdicts as an operator meets them: commands against the API itself."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests import make
from tests.conftest import Golden
from tests.fronts import Api, api
from tests.operators import Operator, Told, entered, operating
from watchkeeper.cli.exits import Exit
from watchkeeper.model.ruling import DetectionSet, Maintenance, Word
from watchkeeper.model.series import DEFAULT_TENANT, Entity

ANOMALY = make.anomaly()
STEERING = "\x1b[2Jgone\x07"
"""What would clear a terminal and ring its bell."""


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path / "server") as found:
        await found.save(ANOMALY)
        yield found


@pytest.fixture
async def operator(one: Api, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Operator]:
    async with operating(one, capsys) as found:
        yield found


def document(folder: Path, text: str) -> str:
    file = folder / "detection.yaml"
    file.write_text(text)
    return str(file)


def alone(said: pytest.CaptureFixture[str], *argv: str) -> Told:
    """A command that finds out by itself: there is no server to ask."""
    status = entered([*argv, "--url", "http://127.0.0.1:1"])
    return Told(status, *said.readouterr())


# Settings


async def test_a_session_of_settings_reads_as_it_is_written_down(
    operator: Operator, tmp_path: Path, golden: Golden
) -> None:
    """From the file's settings to others, to yet others, and back."""
    basic = document(tmp_path, "detectors: [{use: basic}]\n")
    operator.one.deciding.file = operator.one.deciding.read(b"detectors: []", "application/yaml")
    steps: Sequence[Sequence[str]] = [
        ("versions",),
        ("set", basic, "--dry-run"),
        ("set", basic),
        ("set", basic),
        ("restore", "0"),
        ("versions",),
    ]

    session = []
    for step in steps:
        told = await operator("detection", *step)
        words = " ".join(step).replace(basic, "detection.yaml")
        session += [f"$ watchkeeper detection {words}", told.out.rstrip(), told.remarks]

    golden.check("operating/settings", "\n".join(session) + "\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("detector: []", "did you mean 'detectors'"),
        ("sensitivity: loud", "sensitivity"),
        ("detectors: [{use: ewm}]", "no plugin called 'ewm'"),
        ("detectors: [{use: basic, tail: 7}]", "detectors[0].tail"),
        ("rules: [{match: {service: a}, sensitivity_: low}]", "rules[0].sensitivity_"),
        ("rules: 7", "rules"),
        ("- basic", "is no mapping"),
        ("a: [", "is no YAML"),
        ("sensitivity: ${NOBODY}", "NOBODY is not set"),
        ("maintenance: [{weekly: 'sun 25:00-26:00'}]", "maintenance[0]"),
    ],
)
async def test_a_document_with_a_fault_names_it_and_changes_nothing(
    operator: Operator, tmp_path: Path, text: str, says: str
) -> None:
    told = await operator("detection", "set", document(tmp_path, text))

    assert told.status != Exit.OK
    assert says in told.remarks
    assert told.out == ""
    assert operator.one.deciding.logged == []


async def test_a_secret_of_the_server_does_not_come_out_through_a_document(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable in a document that is sent is none of the server's, whatever it is called."""
    monkeypatch.setenv("WATCHKEEPER_STORE_PASSWORD", "hunter2")

    told = await operator(
        "detection", "set", document(tmp_path, "sensitivity: ${WATCHKEEPER_STORE_PASSWORD}")
    )

    assert told.status != Exit.OK
    assert "hunter2" not in told.out + told.err


async def test_a_document_may_come_by_standard_input(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("detectors: []"))

    told = await operator("detection", "set", "-", "--json")

    assert told.json["version"] == 1
    assert told.json["document"]["detectors"] == []


@pytest.mark.parametrize("way", ["-", "a file"])
async def test_what_is_no_text_is_refused_before_it_is_sent(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    binary = io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", binary)

    told = await operator("detection", "set", "-" if way == "-" else str(tmp_path / "binary"))

    assert told.status == Exit.USAGE
    assert "name a text file, or -" in told.remarks


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["set", "dry run"])
async def test_who_expected_another_version_is_told_even_by_a_dry_run(
    operator: Operator, tmp_path: Path, more: Sequence[str]
) -> None:
    """A dry run said `would change` of what would have been refused."""
    file = document(tmp_path, "detectors: []")
    await operator("detection", "set", file)

    told = await operator("detection", "set", file, "--expected", "0", *more)

    assert told.status != Exit.OK
    assert "version 0 is not in force, 1 is, set by local" in told.remarks


@pytest.mark.parametrize(
    "argv",
    [
        ("show", "--version", "8"),
        ("restore", "8"),
        ("restore", "8", "--expected", "0"),
    ],
)
async def test_a_version_that_never_was_is_told_with_where_they_are_listed(
    operator: Operator, argv: Sequence[str]
) -> None:
    told = await operator("detection", *argv)

    assert told.status != Exit.OK
    assert "no version 8; GET /api/v1/config/detection/versions lists them" in told.remarks


@pytest.mark.parametrize(
    "argv",
    [
        ("detection",),
        ("detection", "shew"),
        ("detection", "show", "--version", "-1"),
        ("detection", "show", "--version", "1.5"),
        ("detection", "set"),
        ("detection", "restore"),
        ("detection", "restore", "zero"),
        ("detection", "restore", "1", "--expected", "x"),
        ("maintenance",),
        ("maintenance", "add"),
        ("maintenance", "end"),
        ("maintenance", "list", "--all"),
        ("templates", "--limit", "0"),
        ("templates", "a", "b"),
        ("anomalies", "--limit", "none"),
        ("anomalies", "--status", "over"),
    ],
    ids=" ".join,
)
def test_words_that_no_command_knows_are_usage_faults(
    capsys: pytest.CaptureFixture[str], argv: Sequence[str]
) -> None:
    told = alone(capsys, *argv)

    assert told.status == Exit.USAGE
    assert "usage: watchkeeper" in told.err
    assert told.out == ""


async def test_a_version_that_this_release_cannot_take_is_not_restored(
    operator: Operator,
) -> None:
    """It would have been in force at once, in every process, with a detector nobody has."""
    gone = make.settings('{"detectors": [{"use": "gone"}]}', version=1, position=1)
    now = make.settings('{"detectors": []}', id="s2", version=2, position=2)
    await operator.one.store.save([gone, now])

    told = await operator("detection", "restore", "1")

    assert told.status != Exit.OK
    assert "no plugin called 'gone'" in told.remarks
    assert operator.one.deciding.logged == []


async def test_settings_of_another_release_are_still_shown(operator: Operator) -> None:
    gone = make.settings('{"detectors": [{"use": "gone"}]}', version=1, position=1)
    await operator.one.store.save([gone])

    told = await operator("detection", "show", "--json")

    assert told.json["document"] == {"detectors": [{"use": "gone"}]}


# Maintenance


async def test_a_session_of_maintenance_reads_as_it_is_written_down(
    operator: Operator, golden: Golden
) -> None:
    session = []
    for argv in (
        ("list",),
        ("add", "2h", "--match", "service=shop", "--match", "node=n*", "--reason", "disks"),
        ("add", "1d", "--start", "2030-01-01T00:00:00+02:00"),
        ("list",),
        ("end", "ID"),
        ("list", "--over"),
    ):
        listed = (await operator.one.get("/api/v1/maintenance", over="true"))["items"]
        newest = listed[0]["id"] if listed else ""
        told = await operator("maintenance", *[newest if word == "ID" else word for word in argv])
        session += [f"$ watchkeeper maintenance {' '.join(argv)}", told.out.rstrip(), told.remarks]
    known = (await operator.one.get("/api/v1/maintenance", over="true"))["items"]
    named = {one["id"]: f"window-{n}--------" for n, one in enumerate(known)}

    text = "\n".join(line.rstrip() for step in session for line in step.splitlines())
    for identity, name in named.items():
        text = text.replace(identity, name)
    golden.check("operating/maintenance", text + "\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("0s",), "longer than nothing"),
        (("-5m",), ""),
        (("two hours",), "is no duration; write 15s, 5m, 1h or 7d"),
        (("400d",), "at most 366d"),
        (("nan",), "longer than nothing"),
        (("1h", "--start", "tomorrow"), "start: 'tomorrow' is no time"),
        (("1h", "--start", "9999999999999"), "is out of range"),
        (("1h", "--match", "tenant=other"), "leave out tenant"),
        (("1h", "--match", "=shop"), "write service=shop"),
        (("1h", "--match", ""), "write service=shop"),
        (("1h", "--reason", ""), "reason"),
        (("1h", "--reason", "x" * 501), "reason"),
        (("1h", "--match", f"a={'x' * 201}"), "match"),
    ],
)
async def test_a_window_that_cannot_be_is_refused_with_the_remedy(
    operator: Operator, argv: Sequence[str], says: str
) -> None:
    told = await operator("maintenance", "add", *argv)

    assert told.status != Exit.OK
    assert says in told.remarks
    assert operator.one.deciding.logged == []


@pytest.mark.parametrize(
    ("start", "want"),
    [
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2030-01-01T00:00:00", "2030-01-01T00:00:00Z"),
        ("2030-01-01", "2030-01-01T00:00:00Z"),
        ("2030-01-01T00:00:00+05:45", "2029-12-31T18:15:00Z"),
        ("2030-06-01T12:00:00.25-04:00", "2030-06-01T16:00:00.25Z"),
        ("1893456000", "2030-01-01T00:00:00Z"),
    ],
)
async def test_a_beginning_is_told_in_utc_whatever_zone_it_was_said_in(
    operator: Operator, start: str, want: str
) -> None:
    told = await operator("maintenance", "add", "1h", "--start", start, "--json")

    assert told.json["from"] == want
    assert not told.json["holds"]


@pytest.mark.parametrize("text", [STEERING, "a\nb", "\u202eevil", "[bold red]x[/]", ":boom:"])
async def test_what_somebody_wrote_does_not_steer_the_terminal(
    operator: Operator, text: str
) -> None:
    """A reason, a comment and the value of a label are whatever their writer liked."""
    await operator.one.http.post(
        "/api/v1/maintenance", json={"duration": "1h", "reason": text, "match": {"service": text}}
    )
    await operator.one.http.post(
        f"/api/v1/anomalies/{ANOMALY.id}/verdict", json={"verdict": "real", "comment": text}
    )

    told = [
        await operator("maintenance", "list"),
        await operator("anomalies", "verdict", ANOMALY.id),
    ]

    for one in told:
        assert one.status == Exit.OK
        assert all(char.isprintable() or char == "\n" for char in one.out)
    if text.isprintable():
        assert text in told[0].out
        assert text in told[1].out


async def test_what_a_sender_calls_itself_does_not_steer_the_terminal(operator: Operator) -> None:
    await operator.one.save(
        make.anomaly(
            id="steering",
            labels={"__name__": "cpu", "service": STEERING},
            entity=Entity(service=STEERING, environment=STEERING, node=STEERING, owner=STEERING),
            muted=f"maintenance: {STEERING}",
        )
    )

    told = [await operator("anomalies", "steering"), await operator("anomalies")]

    assert [one.status for one in told] == [Exit.OK, Exit.OK]
    assert "\\u001b[2Jgone" in told[0].out
    for one in told:
        assert all(char.isprintable() or char == "\n" for char in one.out)


async def test_a_window_that_is_not_there_is_told_and_leads_nowhere_else(
    operator: Operator,
) -> None:
    told = await operator("maintenance", "end", "../keys/1")

    assert told.status != Exit.OK
    assert "there is nothing at /api/v1/maintenance/../keys/1" in told.remarks
    assert operator.one.deciding.logged == []


async def test_windows_of_a_call_and_of_the_settings_are_listed_for_programs(
    operator: Operator, tmp_path: Path
) -> None:
    weekly = "maintenance: [{match: {}, weekly: 'sun 02:00-04:00', reason: backup}]"
    await operator("detection", "set", document(tmp_path, weekly))
    await operator("maintenance", "add", "1h")

    items = (await operator("maintenance", "list", "--json")).json["items"]

    assert [item["source"] for item in items] == ["call", "settings"]
    assert items[1]["weekly"] == "sun 02:00-04:00"
    assert items[1]["id"] is None


# Verdicts


async def test_a_session_of_verdicts_reads_as_it_is_written_down(
    operator: Operator, golden: Golden
) -> None:
    session = []
    for argv in (
        ("verdict", "A"),
        ("verdict", "A", "not_useful", "--comment", "nightly backup"),
        ("verdict", "A", "real"),
        ("verdict", "A", "expected"),
        ("verdict", "A"),
        ("verdict", "A", "--withdraw"),
        ("verdict", "A", "--withdraw"),
        ("verdict", "B", "real"),
    ):
        told = await operator("anomalies", *[ANOMALY.id if word == "A" else word for word in argv])
        session += [f"$ watchkeeper anomalies {' '.join(argv)}", told.out.rstrip(), told.remarks]

    text = "\n".join(line.rstrip() for line in session)
    golden.check("operating/verdicts", text.replace(ANOMALY.id, "A") + "\n")


@pytest.mark.parametrize(
    "argv",
    [
        ("A", "real"),
        ("A", "not_useful", "--comment", "x"),
        ("A", "--withdraw"),
        ("A", "--comment", "x"),
        ("--withdraw",),
        ("--comment", "x"),
        ("verdict",),
        ("verdict", "--withdraw"),
        ("verdict", "A", "real", "--withdraw"),
        ("verdict", "A", "--withdraw", "--comment", "x"),
        ("verdict", "A", "--comment", "x"),
        ("verdict", "A", "Real"),
        ("verdict", "A", "withdrawn"),
        ("verdict", "A", "real", "B", "real"),
    ],
    ids=" ".join,
)
def test_half_a_verdict_is_refused_and_nothing_of_it_is_passed_over(
    capsys: pytest.CaptureFixture[str], argv: Sequence[str]
) -> None:
    """`anomalies ID real` printed the anomaly, and whoever typed it believed it was said."""
    told = alone(capsys, "anomalies", *argv)

    assert told.status == Exit.USAGE
    assert "verdict ID real|not_useful|expected" in told.remarks


@pytest.mark.parametrize("word", list(Word)[:3])
async def test_a_verdict_is_told_to_programs_with_what_it_changes(
    operator: Operator, word: Word
) -> None:
    (told,) = (await operator("anomalies", "verdict", ANOMALY.id, word, "--json")).json["items"]

    assert (told["anomaly"], told["verdict"], told["by"]) == (ANOMALY.id, word, "local")
    assert told["changes"]["limit_before"] == 1.0
    assert told["changes"]["says"]


async def test_with_nothing_there_every_list_is_empty_for_programs_and_says_so_to_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(tmp_path) as bare, operating(bare, capsys) as operator:
        asked = {
            "maintenance list": "no maintenance windows",
            "templates": "no templates; `watchkeeper sources` says who sends",
            "anomalies": "no anomalies",
        }
        people = {command: await operator(*command.split()) for command in asked}
        programs = {command: await operator(*command.split(), "--json") for command in asked}

    assert {command: told.err.strip() for command, told in people.items()} == asked
    assert all(told.out == "" for told in people.values())
    assert all(told.json["items"] == [] and told.err == "" for told in programs.values())
    assert {told.status for told in [*people.values(), *programs.values()]} == {Exit.OK}


@pytest.mark.parametrize("flag", ["--since", "--until"])
@pytest.mark.parametrize("time", ["nan", "inf", "1e30", "1767607200000", "-1e30"])
def test_a_time_beyond_all_clocks_is_refused_before_it_is_asked(
    capsys: pytest.CaptureFixture[str], flag: str, time: str
) -> None:
    told = alone(capsys, "anomalies", f"{flag}={time}")

    assert told.status == Exit.USAGE
    assert f"{flag}: {time} is out of range" in told.remarks


async def test_what_operators_did_is_what_the_log_holds(operator: Operator, tmp_path: Path) -> None:
    """Nothing else reaches detection."""
    await operator("detection", "set", document(tmp_path, "detectors: []"))
    await operator("maintenance", "add", "1h", "--match", "service=shop")
    await operator("anomalies", "verdict", ANOMALY.id, "real")
    await operator("anomalies", "verdict", ANOMALY.id, "--withdraw")

    settings, window, real, withdrawn = operator.one.deciding.logged
    assert isinstance(settings, DetectionSet)
    assert isinstance(window, Maintenance)
    assert window.tenant == DEFAULT_TENANT
    assert [getattr(one, "word", None) for one in (real, withdrawn)] == [Word.REAL, Word.WITHDRAWN]
