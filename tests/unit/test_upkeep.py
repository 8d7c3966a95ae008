"""The door's saved memory, and what recovery makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import make
from watchkeeper.ingest.upkeep_stage import STATE_FILE, recover, seal, unseal
from watchkeeper.model.signal import NewSeries, SampleBatch, Tick


class Memory:
    """A preparer that notes what it is told."""

    def __init__(self) -> None:
        self.loaded: bytes | None = None
        self.followed: list[tuple[Any, bool]] = []

    def load(self, state: bytes) -> None:
        self.loaded = state

    def follow(self, record: Any, now_ns: int, *, fresh: bool) -> int:
        self.followed.append((type(record), fresh))
        return now_ns


def log() -> list[tuple[int, Any]]:
    return [
        (1, make.new_series(0, make.labels("a"))),
        (2, make.samples((0, 1, 1.0))),
        (3, make.new_series(1, make.labels("b"))),
        (4, make.samples((1, 2, 1.0))),
    ]


def test_what_was_sealed_is_read_back(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_bytes(seal(7, b"state"))

    assert unseal(tmp_path / STATE_FILE) == (7, b"state")


def test_damage_is_noticed_and_taken_for_nothing(tmp_path: Path) -> None:
    content = bytearray(seal(7, b"state"))
    for index in range(len(content)):
        damaged = bytearray(content)
        damaged[index] ^= 1
        (tmp_path / STATE_FILE).write_bytes(damaged)

        assert unseal(tmp_path / STATE_FILE) is None


def test_nothing_saved_is_nothing(tmp_path: Path) -> None:
    assert unseal(tmp_path / STATE_FILE) is None


def test_without_saved_memory_the_whole_log_is_followed(tmp_path: Path) -> None:
    memory = Memory()

    assert recover(memory, tmp_path, log) == 4  # type: ignore[arg-type]

    assert memory.loaded is None
    assert all(fresh for _, fresh in memory.followed)


def test_behind_saved_memory_only_the_rest_is_followed_but_every_new_series(
    tmp_path: Path,
) -> None:
    memory = Memory()
    (tmp_path / STATE_FILE).write_bytes(seal(2, b"state"))

    recover(memory, tmp_path, log)  # type: ignore[arg-type]

    assert memory.loaded == b"state"
    assert memory.followed == [(NewSeries, False), (NewSeries, True), (SampleBatch, True)]


def test_the_time_of_what_is_not_fresh_is_the_time_of_what_is(tmp_path: Path) -> None:
    """The first second of fresh records may be without a tick of its own."""

    class Times(Memory):
        def follow(self, record: Any, now_ns: int, *, fresh: bool) -> int:
            self.followed.append((now_ns, fresh))
            return record.now_ns if isinstance(record, Tick) else now_ns

    memory = Times()
    (tmp_path / STATE_FILE).write_bytes(seal(2, b"state"))
    records: list[tuple[int, Any]] = [(1, make.tick()), (2, make.samples((0, 1, 1.0)))]
    records += [(3, make.samples((0, 2, 1.0)))]

    recover(memory, tmp_path, lambda: records)  # type: ignore[arg-type]

    assert memory.followed == [(0, False), (make.START_NS, True)]
