"""What is left of a fight: states by series whatever their slots, rows of files, the verdict."""

from __future__ import annotations

import random
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pytest

from bench import aftermath, bodies, durability, fleet, history
from bench.aftermath import Found
from bench.durability import SERIES_PER_SHARD, Aftermath, Campaign, Load, Troubled
from bench.history import CHUNK, Past
from bench.peers import Recipe
from bench.readback import Different
from bench.row_shards import ROWS_PER_BODY, LineShard
from bench.sender import Delivered
from tests import lakes, make
from tests.catalogs import ToyCatalog
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import MIXED, SAMPLES, Checkpoint, Delivery
from watchkeeper.bus.checkpoints import CheckpointFiles
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.lake.files import Files
from watchkeeper.model.series import U8
from watchkeeper.store.memory import MemoryStore


class Known(ToyCatalog):
    """... with what detection asks for besides."""

    kind: U8 = np.ones(1024, np.uint8)

    @property
    def high_slot(self) -> int:
        return len(self.partition)

    def series(self, slot: int) -> Any:
        raise AssertionError("nothing is to be found here")


async def checkpoints(
    folder: Path, executor: Executor, values: dict[str, float], *, first_slot: int = 0
) -> None:
    """Detection of pods, registered in this order and checkpointed as a server does."""
    catalog = Known(first_slot=first_slot)
    stage = DetectStage(
        DetectionConfig(detectors=[{"use": "basic"}], watchers=[]),
        catalog=catalog,
        store=MemoryStore(MemoryStore.Config()),
        executor=executor,
    )
    new = catalog.register(*(make.labels("m", service="shop", pod=pod) for pod in values))
    rows = [
        (int(slot), make.START_NS, value)
        for slot, value in zip(new.slot, values.values(), strict=True)
    ]
    await stage.handle([Delivery(MIXED, 1, new), Delivery(MIXED, 2, make.samples(*rows))])
    kept = CheckpointFiles(folder / "checkpoints", Files())
    for partition in sorted({int(p) for p in catalog.partition[new.slot]}):
        state = await stage.dump(partition)
        kept.write(SAMPLES, "detect", partition, fence=1, checkpoint=Checkpoint(2, state))


async def test_the_same_states_are_the_same_in_whatever_slots_they_were(
    tmp_path: Path, executor: Executor
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    await checkpoints(one, executor, {"a": 1.0, "b": 2.0, "c": 3.0})
    await checkpoints(other, executor, {"c": 3.0, "a": 1.0, "b": 2.0}, first_slot=700)

    left, right = aftermath.states(one), aftermath.states(other)

    assert len([state for state in left.values() if state.strip(b"\0")]) >= 3
    assert aftermath.differences(left, right) == 0


async def test_the_state_of_one_series_alone_makes_one_difference(
    tmp_path: Path, executor: Executor
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    await checkpoints(one, executor, {"a": 1.0, "b": 2.0, "c": 3.0})
    await checkpoints(other, executor, {"a": 1.0, "b": 2.5, "c": 3.0})

    assert aftermath.differences(aftermath.states(one), aftermath.states(other)) == 1


def test_rows_of_files_are_counted_as_they_lie(tmp_path: Path) -> None:
    """A sample that two files hold is two rows, though reading gives it once."""
    catalog = lakes.DictCatalog()
    slot = catalog.add(make.labels("m"))
    lake = lakes.build("disk", tmp_path / "lake", catalog)
    for position in (1, 2):
        lake.append(
            make.samples((slot, make.START_NS, 1.0), (slot, make.START_NS + 1, 2.0)), position
        )
        lake.maintain(make.START_NS, everything=True)

    assert aftermath.stored_rows(tmp_path) == 4
    lake.close()


def test_scribbling_where_there_is_no_log_is_harmless(tmp_path: Path) -> None:
    aftermath.scribble(tmp_path, random.Random(1))

    assert list(tmp_path.iterdir()) == []


# The verdict.

RECIPE = Recipe("ours", [], 1, "/", {})


def campaign(**deaths: int) -> Campaign:
    return Campaign(Path(), RECIPE, random.Random(1), (), dict(deaths))


def after(lost: int = 0, duplicated: int = 0, **more: Any) -> Aftermath:
    usual: dict[str, Any] = {"anomalies": {"x": 1}, "states": {b"s": b"1"}, "stored_again": 0}
    return Aftermath(Found(lost, duplicated), **{**usual, **more})


def test_a_verdict_counts_what_was_lost_twice_and_different() -> None:
    killed = after(2, 3, anomalies={"x": 2}, states={b"s": b"2", b"t": b""}, stored_again=9)
    load = Load([], [], [Delivered(acknowledged=10, retries=4), Delivered(acknowledged=5)])

    told = durability.figures(campaign(a=3, b=4), load, killed, after(), Found(10, 20))

    assert (told["kills"], told["lost"], told["duplicated"]) == (7, 12, 23)
    assert told["score_mismatches"] == 3
    assert (told["bodies_acknowledged"], told["bodies_sent_again"]) == (15, 4)
    assert told["stored_again"] == 9


def test_a_clean_fight_meets_every_target_but_the_number_of_kills() -> None:
    told = durability.figures(
        campaign(a=5), Load([], [], [Delivered(10)]), after(), after(), Found(0, 0)
    )

    assert told["lost"] == told["duplicated"] == told["score_mismatches"] == 0
    assert set(durability.TARGETS) <= set(told)


@pytest.mark.parametrize(
    ("peace", "delivered"),
    [
        (after(lost=1), Delivered(10)),
        (after(duplicated=1), Delivered(10)),
        (after(), Delivered(10, dropped=1, refusal="400: no")),
    ],
)
def test_without_a_sound_peace_there_is_no_verdict(peace: Aftermath, delivered: Delivered) -> None:
    """A measure that is off by itself would excuse what the kills have done, or accuse them."""
    with pytest.raises(Different, match="even in peace"):
        durability.figures(campaign(a=1), Load([], [], [delivered]), after(), peace, Found(0, 0))


def test_the_notes_name_every_death_and_all_samples() -> None:
    shards = [Troubled(number, seed=1, start_ms=1_767_607_200_000) for number in range(2)]
    load = Load(shards, [LineShard("s", 0)], [Delivered(2), Delivered(3), Delivered(4)])

    (note,) = durability.notes(campaign(killed=3, torn=1), load)

    assert note.startswith(f"{5 * SERIES_PER_SHARD} samples, {4 * ROWS_PER_BODY} lines and spans")
    assert "3 killed" in note
    assert "1 torn" in note


# A past.


class Taker:
    """A contestant that keeps what it is sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], int, float]] = []

    def take(self, sent: list[bytes]) -> None:
        for body in sent:
            self.seen += samples_of(RemoteWrite(seed=1).decode(body, {}, now_ns=0))


def test_a_past_says_of_every_series_what_the_walk_says() -> None:
    n = 3
    walk = fleet.Walk(n, seed=1, start_ms=1_767_607_200_000)
    times, values = walk.take(CHUNK, step_ms=history.STEP_MS)
    taker = Taker()

    taker.take(Past(bodies.label_runs(range(n))).encode(times, values))

    assert taker.seen == [
        (fleet.labels(row), int(time_ms) * 10**6, float(value))
        for row in range(n)
        for time_ms, value in zip(times[row], values[row], strict=True)
    ]


def test_a_past_of_some_series_takes_their_rows_and_no_others() -> None:
    walk = fleet.Walk(5, seed=1, start_ms=1_767_607_200_000)
    times, values = walk.take(CHUNK, step_ms=history.STEP_MS)
    rows = np.array([3, 1], np.int64)
    taker = Taker()

    taker.take(Past(bodies.label_runs([3, 1]), rows).encode(times, values))

    assert [labels for labels, _, _ in taker.seen[::CHUNK]] == [fleet.labels(3), fleet.labels(1)]
    assert [value for _, _, value in taker.seen] == [*values[3].tolist(), *values[1].tolist()]


def test_a_body_of_the_past_spans_less_than_what_is_called_late() -> None:
    encoded = Past(bodies.label_runs(range(120))).encode(
        np.full((120, CHUNK), 1_767_607_200_000), np.zeros((120, CHUNK))
    )

    assert CHUNK * history.STEP_MS < 3_600_000
    assert len(encoded) == -(-120 // CHUNK)
    assert all(len(cramjam.snappy.decompress_raw(body)) > 0 for body in encoded)
