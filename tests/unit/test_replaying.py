"""`watchkeeper replay` for somebody who has never used it: what is wrong, and what to do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import make
from tests.operators import Told, entered
from tests.recorded import Life, configuration
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.cli.exits import Exit
from watchkeeper.errors import ConfigError, Permanent
from watchkeeper.lake.recording.recording import pieces
from watchkeeper.parts import replay
from watchkeeper.parts.replay import moment

Said = pytest.CaptureFixture[str]


@pytest.fixture
async def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    """Half an hour, let go of and kept, with a snapshot in the middle."""
    with ThreadPoolExecutor(1) as executor:
        one = Life(tmp_path / "data", executor)
        await one.begin()
        await one.live(15)
        await one.checkpoint()
        one.release()
        one.snapshot()
        await one.live(15)
        monkeypatch.setenv("WATCHKEEPER_CONFIG", str(tmp_path / "data.yaml"))
        yield one
        await one.end()


def replayed(said: Said, *argv: str) -> Told:
    status = entered(["replay", *argv])
    return Told(status, *said.readouterr())


async def play(life: Life, **asked: int | DetectionConfig | None) -> replay.Outcome:
    wanted = replay.Asked(**asked)  # type: ignore[arg-type]  # by name
    return await replay.replay(life.config, wanted, lambda _run: None)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--from", "soon"), "--from: 'soon' is no time"),
        (("--from", "nan"), "--from: nan is out of range"),
        (("--from", "inf"), "--from: inf is out of range"),
        (("--to=-1e300",), "--to: -1e300 is out of range"),
        (("--to", "1767607200000"), "--to: 1767607200000 is out of range"),
        (("--to", "2026-13-01"), "--to: '2026-13-01' is no time"),
        (("--from", "2199-01-01"), "--from: 2199-01-01 is yet to come"),
        (("--expect", "other"), "invalid choice: 'other'"),
        (("--config",), "expected one argument"),
        (("--config", "none.yaml"), "none.yaml: cannot be read"),
        (("--data-dir", "/dev/null/x"), "nothing is recorded in '/dev/null/x/log'"),
        (("now",), "unrecognized arguments: now"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_flags_that_cannot_be_are_refused_with_the_remedy(
    capsys: Said,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: Sequence[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    told = replayed(capsys, *argv)

    assert told.status == Exit.USAGE
    assert says in told.remarks
    assert told.out == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("detection:", "detection: is no mapping"),
        ("server: {}", "detection: is missing; write `detection:`"),
        ("detection: 7", "detection"),
        ("detectors: [{use: ewm}]", "no plugin called 'ewm'"),
        ("detectors: [{use: basic, tail: 7}]", "detection.detectors[0].tail"),
        ("detection: {sensitivity_: low}", "did you mean 'sensitivity'"),
        ("sensitivity: loud", "detection.sensitivity"),
        ("detection: {rules: [{muted: 3}], sensitivity: loud}", "detection.rules[0]"),
        ("sensitivity: ${NOBODY}", "NOBODY is not set"),
        ("a: [", "is no YAML"),
        ("\x00", "is no YAML"),
    ],
)
def test_settings_to_try_that_have_a_fault_are_refused_before_anything_is_read(
    capsys: Said, tmp_path: Path, text: str, says: str
) -> None:
    tried = tmp_path / "tried.yaml"
    tried.write_text(text)

    told = replayed(capsys, "--config", str(tried), "--data-dir", str(tmp_path / "none"))

    assert told.status == Exit.USAGE
    assert says in told.remarks
    assert "nothing is recorded" not in told.remarks


def test_in_a_folder_without_a_record_nothing_is_made(capsys: Said, tmp_path: Path) -> None:
    """Not even a key, which would make a new installation of a folder that was misspelt."""
    folder = tmp_path / "misspelt"

    told = replayed(capsys, "--data-dir", str(folder))

    assert told.status == Exit.USAGE
    assert "name the installation's folder with --data-dir" in told.remarks
    assert not folder.exists()


async def test_a_log_that_this_user_cannot_open_is_told_and_no_traceback(tmp_path: Path) -> None:
    """Such as the server's, asked by another user; here a link that leads to itself."""
    config = configuration(tmp_path / "data")
    config.data_dir.mkdir()
    (config.data_dir / "log").symlink_to("log")

    with pytest.raises(ConfigError, match="run it as the user that runs the server"):
        await replay.replay(config, replay.Asked(), lambda _run: None)


async def test_what_ends_before_it_begins_is_refused(life: Life) -> None:
    """It found nothing, and said that there were no anomalies."""
    (shot,) = replay.snapshots(life.keeper.folder)
    taken_ns = shot.taken_ns

    for to_ns in (taken_ns, taken_ns - 1, 0, -(10**18)):
        with pytest.raises(ConfigError, match="which is not before its end, --to"):
            await play(life, from_ns=taken_ns, to_ns=to_ns)


async def test_where_the_beginning_is_gone_an_end_before_the_earliest_time_is_refused(
    life: Life,
) -> None:
    pieces(life.folder / "log")[0].path.unlink()
    (shot,) = replay.snapshots(life.keeper.folder)

    with pytest.raises(ConfigError, match=f"begins at {moment(shot.taken_ns)}"):
        await play(life, to_ns=make.START_NS)


async def test_a_snapshot_that_is_damaged_is_told_with_the_file(life: Life) -> None:
    (shot,) = replay.snapshots(life.keeper.folder)
    os.truncate(shot.path, 100)

    with pytest.raises(Permanent, match=rf"{shot.path.name} is damaged; delete it"):
        await play(life, from_ns=shot.taken_ns)


async def test_records_that_are_lost_are_counted_and_the_rest_is_judged(life: Life) -> None:
    lost, behind = pieces(life.folder / "log")[1:3]
    lost.path.unlink()

    outcome = await play(life)

    assert outcome.run.n_missing == behind.first - lost.first
    assert outcome.run.position == outcome.begin.recording.last
    assert outcome.run.share == 1.0


async def test_settings_without_detectors_find_nothing_and_harm_nothing(life: Life) -> None:
    before = sorted(path.name for path in life.folder.rglob("*"))

    outcome = await play(life, detection=DetectionConfig(detectors=[], watchers=[]))

    assert {one.kind for one in outcome.differences} <= {"fewer"}
    assert outcome.run.n_samples == 30 * 9
    assert sorted(path.name for path in life.folder.rglob("*")) == before


async def test_the_time_it_tells_is_taken_back_as_it_is(life: Life) -> None:
    """An operator copies it from the message."""
    (shot,) = replay.snapshots(life.keeper.folder)

    outcome = await play(life, from_ns=shot.taken_ns)

    assert moment(shot.taken_ns) == "2023-11-14T22:28:20Z"
    assert outcome.begin.snapshot == shot
    assert outcome.run.n_samples <= 15 * 9


@pytest.mark.parametrize(
    ("time_ns", "told"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:01Z"),
        (10**9, "1970-01-01T00:00:01Z"),
        (10**9 + 1, "1970-01-01T00:00:02Z"),
        (-1, "1970-01-01T00:00:00Z"),
        (-(10**9), "1969-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_told_in_whole_seconds_and_never_before_it_was(time_ns: int, told: str) -> None:
    assert moment(time_ns) == told
