"""What was recorded is judged once more: with the same settings it is what it was, bit for bit."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import EAGER, Life, configuration
from watchkeeper.analyze.detection_config import DetectionConfig, Direction, Judging
from watchkeeper.config.sections import Config
from watchkeeper.errors import ConfigError, Permanent
from watchkeeper.lake.recording.packed import Packed
from watchkeeper.lake.recording.recording import KEPT_FOLDER, pieces
from watchkeeper.parts import replay


async def lived(folder: Path, executor: Executor, seed: int = 0) -> Life:
    """Some hours with rollouts, restarts from checkpoints, and slots that changed hands; then a
    snapshot, and all of it once more."""
    life = Life(folder, executor, seed)
    await life.begin()
    for strange, sensitivity in (("payment", "high"), ("cart", "normal")):
        await life.live(120)
        life.settle(sensitivity=sensitivity)
        await life.checkpoint(0.5)
        life.roll()
        await life.live(40)
        await life.live(15, strange)
        await life.begin()
        await life.live(45)
        await life.recycle(60)
        life.release()
        life.snapshot()
        await life.checkpoint(0.5)
    life.roll()
    await life.live(30)
    await life.live(15, "search")
    await life.begin()
    await life.live(15)
    await life.end()
    return life


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, executor: Executor) -> Life:
    """One that nobody changes."""
    return asyncio.run(lived(tmp_path_factory.mktemp("whole") / "data", executor))


@pytest.fixture
def left(whole: Life, tmp_path: Path) -> Config:
    """What it left, for one test to spoil."""
    shutil.copytree(whole.folder, tmp_path / "data")
    return configuration(tmp_path / "data")


def log_of(config: Config) -> Path:
    return config.data_dir / "log"


def kept_of(config: Config) -> Path:
    return log_of(config) / KEPT_FOLDER


async def play(config: Config, **asked: Any) -> replay.Outcome:
    return await replay.replay(config, replay.Asked(**asked), lambda _run: None)


def kinds(outcome: replay.Outcome) -> set[str]:
    return {one.kind for one in outcome.differences}


@pytest.mark.parametrize("seed", [0, 1])
async def test_with_the_same_settings_it_is_what_it_was(
    tmp_path: Path, whole: Life, executor: Executor, seed: int
) -> None:
    life = whole if seed == 0 else await lived(tmp_path / "data", executor, seed)
    config = life.config
    first, last = [one.taken_ns for one in replay.snapshots(kept_of(config))]

    outcomes = [
        await play(config),
        await play(config, from_ns=first),
        await play(config, from_ns=last),
        await play(config, from_ns=first, to_ns=last),
    ]

    assert [kinds(one) for one in outcomes] == [{"same"}] * 4
    assert [one.begin.snapshot and one.begin.snapshot.taken_ns for one in outcomes] == [
        *(None, first, last, first)
    ]
    sizes = [len(one.differences) for one in outcomes]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert any(isinstance(piece, Packed) for piece in pieces(log_of(config)))
    assert life.n_passed_on > 0


async def test_other_settings_find_other_things(whole: Life) -> None:
    without = DetectionConfig(detectors=[{"use": "basic"}])
    looser = DetectionConfig(
        detectors=[{"use": "basic", "budget_per_week": 200.0}, EAGER[1]],
        classes={"latency": Judging(least_ratio=0.0, least_change=0.0, direction=Direction.BOTH)},
    )

    fewer = await play(whole.config, detection=without)
    more = await play(whole.config, detection=looser)

    assert {one.after.detector for one in fewer.differences if one.after} == {"basic"}
    assert ("fewer", "fk") in {(one.kind, one.anomaly.detector) for one in fewer.differences}
    assert {one.anomaly.detector for one in more.differences if one.kind == "more"} >= {"basic"}


@pytest.mark.parametrize("begins_at_a_snapshot", [False, True], ids=["fresh", "snapshot"])
async def test_settings_to_try_go_before_those_that_lie_in_the_log(
    tmp_path: Path, executor: Executor, *, begins_at_a_snapshot: bool
) -> None:
    """Where they were set before the replay begins, and where they are set behind that."""
    life = Life(tmp_path / "data", executor)
    await life.begin()
    life.settle(rules=[{"match": {"service": "*"}, "muted": True}])
    await life.live(160)
    await life.checkpoint()
    taken = life.snapshot().taken_ns if begins_at_a_snapshot else None
    life.settle(rules=[{"match": {"service": "*"}, "muted": True}], sensitivity="low")
    await life.live(15, "cart")

    same = await play(life.config, from_ns=taken)
    other = await play(life.config, from_ns=taken, detection=life.config.detection)
    await life.end()

    assert same.differences == []
    assert kinds(other) == {"more"}


async def test_a_time_that_is_not_recorded_is_refused_with_the_remedy(left: Config) -> None:
    first, _ = replay.snapshots(kept_of(left))
    pieces(log_of(left))[0].path.unlink()

    with pytest.raises(Permanent, match=f"say --from {replay.moment(first.taken_ns)}"):
        await play(left, from_ns=first.taken_ns - 1)
    earliest = await play(left)

    assert earliest.from_ns == first.taken_ns
    assert kinds(earliest) == {"same"}


async def test_without_a_snapshot_a_log_that_was_cut_is_no_beginning(left: Config) -> None:
    for path in kept_of(left).iterdir():
        path.unlink()

    with pytest.raises(Permanent, match="within minutes of its start"):
        await play(left)


async def test_where_nothing_is_recorded_the_folder_is_asked_for(tmp_path: Path) -> None:
    config = configuration(tmp_path / "none")

    with pytest.raises(ConfigError, match=r"nothing is recorded in .*--data-dir"):
        await replay.replay(config, replay.Asked(), lambda _run: None)


async def test_where_processes_share_the_work_nothing_is_recorded(tmp_path: Path) -> None:
    shared = configuration(
        tmp_path / "shared", bus={"use": "redis", "url": "redis://127.0.0.1:1/0"}
    )

    with pytest.raises(ConfigError, match="bus `redis` forgets"):
        await replay.replay(shared, replay.Asked(), lambda _run: None)
