"""Checkpoint files over crashes, full disks and lost files: never less than what was promised."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.disks import Crash, FaultyFiles
from watchkeeper.bus.base import SAMPLES, Checkpoint
from watchkeeper.bus.checkpoints import CheckpointFiles
from watchkeeper.errors import Retryable
from watchkeeper.model.series import N_PARTITIONS

GROUP = "detect"
WRITES = st.sampled_from(["done", "done", "full write", "full sync", "crash write", "crash sync",
                          "crash sync_folder"])  # fmt: skip
PARTITION = 7


def name_of(partition: int) -> str:
    return f"{partition:02d}"


class Life:
    """One installation over many processes; each write comes further than the one before."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder / f"{SAMPLES}.{GROUP}"
        self.promised = 0
        """What a write returned for."""
        self.begun = 0
        """What was at least tried."""
        self._root = folder
        self._chance = Random(seed)
        self._start()

    def write(self, how: str, partition: int = PARTITION) -> None:
        self.begun += 1
        checkpoint = Checkpoint(self.begun, b"state %d" % self.begun * 50)
        kind, _, call = how.partition(" ")
        if kind == "full":
            self.disk.fail(call, errno.ENOSPC)
        elif kind == "crash":
            self.disk.crash_at(call)
        try:
            self.files.write(SAMPLES, GROUP, partition, fence=self.begun, checkpoint=checkpoint)
        except Retryable:
            assert kind == "full"
        except Crash:
            self._start()
        else:
            self.promised = self.begun

    def spoil(self, name: str) -> None:
        """A disk that gives back something else than it was given."""
        path = self.folder / name
        if path.exists():
            content = bytearray(path.read_bytes())
            content[self._chance.randrange(len(content)) if content else 0 :] = b"\0" * 9
            path.write_bytes(content)

    def lose(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def position(self, partition: int = PARTITION) -> int:
        found = self.files.read(SAMPLES, GROUP).get(partition)
        if found is None:
            return 0
        assert found.checkpoint.state == b"state %d" % found.checkpoint.position * 50
        assert found.fence == found.checkpoint.position
        return found.checkpoint.position

    def floor(self) -> int:
        """Of this partition, as if the others were as far as anybody could be."""
        for partition in range(N_PARTITIONS):
            if partition != PARTITION:
                path = self.folder / f"{name_of(partition)}.before"
                if not path.exists():
                    far = Checkpoint(10**9, b"")
                    for _ in range(2):
                        self.files.write(SAMPLES, GROUP, partition, fence=1, checkpoint=far)
        return self.files.floor(SAMPLES, [GROUP])

    def _start(self) -> None:
        self.disk = FaultyFiles(self._chance)
        self.files = CheckpointFiles(self._root, self.disk)


@given(st.lists(WRITES, max_size=12))
@example(["done", "crash write", "crash write", "done", "crash sync_folder"])
@example(["crash write", "crash sync"])
def test_what_was_promised_is_read_whatever_fails_behind_it(writes: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for how in writes:
            life.write(how)

            assert life.promised <= life.position() <= life.begun


@settings(max_examples=15)  # each fills all partitions
@given(st.lists(WRITES, max_size=8), st.integers(0, 99), st.sampled_from(["spoil", "lose"]))
@example(["done", "done", "crash write"], 0, "lose")
def test_the_log_is_kept_for_whatever_is_left_when_the_newest_is_lost(
    writes: Sequence[str], seed: int, fate: str
) -> None:
    """A disk may lose a file that it called durable; then the one before it must find its log."""
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder), seed)
        for how in writes:
            life.write(how)
        floor = life.floor()

        getattr(life, fate)(name_of(PARTITION))

        assert floor <= life.position()


@given(st.lists(WRITES, min_size=1, max_size=8), st.integers(0, 99))
def test_a_spoilt_checkpoint_never_takes_the_place_of_a_whole_one(
    writes: Sequence[str], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder), seed)
        for how in writes:
            life.write(how)
        life.spoil(name_of(PARTITION))
        before = life.position()

        life.write("crash write")

        assert life.position() >= before


@settings(max_examples=30)
@given(st.dictionaries(st.integers(0, N_PARTITIONS - 1), st.integers(1, 4), max_size=6))
def test_partitions_know_nothing_of_each_other(n_writes: dict[int, int]) -> None:
    wanted = {}
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for partition, n in n_writes.items():
            for _ in range(n):
                life.write("done", partition)
            wanted[partition] = life.begun

        assert {one: life.position(one) for one in n_writes} == wanted
        assert set(life.files.read(SAMPLES, GROUP)) == set(n_writes)


@given(st.binary(max_size=200))
def test_no_bytes_in_a_file_are_taken_for_a_checkpoint(junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        life.folder.mkdir()
        (life.folder / name_of(PARTITION)).write_bytes(junk)

        assert life.position() == 0


@given(st.integers(0, 8 * 60 - 1))
def test_one_flipped_bit_anywhere_is_noticed(bit: int) -> None:
    """In the head as in the state: a token or a position that is nearly right is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        life.write("done")
        path = life.folder / name_of(PARTITION)
        content = bytearray(path.read_bytes())

        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)

        assert len(content) > 60
        assert life.position() == 0


def test_groups_and_topics_are_kept_apart(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path, FaultyFiles())

    files.write("samples", "a", 0, fence=1, checkpoint=Checkpoint(1, b"x"))
    files.write("samples", "b", 0, fence=2, checkpoint=Checkpoint(2, b"y"))
    files.write("others", "a", 0, fence=3, checkpoint=Checkpoint(3, b"z"))

    assert files.read("samples", "a")[0].checkpoint == Checkpoint(1, b"x")
    assert files.read("samples", "b")[0].checkpoint == Checkpoint(2, b"y")
    assert files.read("others", "a")[0].checkpoint == Checkpoint(3, b"z")
    assert files.read("others", "b") == {}


def test_one_group_that_lags_keeps_the_log_for_all(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path, FaultyFiles())
    for group, far in (("quick", 90), ("slow", 5)):
        for partition in range(N_PARTITIONS):
            for position in (far, far + 1):
                files.write(
                    SAMPLES, group, partition, fence=1, checkpoint=Checkpoint(position, b"")
                )

    assert files.floor(SAMPLES, ["quick"]) == 90
    assert files.floor(SAMPLES, ["quick", "slow"]) == 5
    assert files.floor(SAMPLES, ["quick", "unheard of"]) == 0
    assert files.floor(SAMPLES, []) == 0
