"""Whatever the disk does: each acknowledged record is read once, in order, and no refused one."""

from __future__ import annotations

import errno
import random
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.disks import Crash, FaultyFiles, Inline
from tests.examples import MANY
from watchkeeper.errors import Retryable
from watchkeeper.lake.wal import WalConfig, WriteAheadLog

CONFIG = WalConfig(segment_bytes=8192, limit_bytes=1 << 20)
CALLS = ["create", "reserve", "write", "sync", "truncate", "remove", "rename", "sync_folder"]
ERRNOS = [errno.ENOSPC, errno.EIO, errno.EDQUOT]

GROUPS = st.lists(st.sampled_from([0, 4, 60, 61, 1500]), min_size=1, max_size=5)
"""Few sizes, so that the remains of one group often fit behind another one."""

STEPS = st.one_of(
    st.tuples(st.just("append"), GROUPS),
    st.tuples(st.just("append"), GROUPS),
    st.tuples(st.just("fail"), st.sampled_from(CALLS), st.sampled_from(ERRNOS)),
    st.tuples(st.just("fail for long"), st.sampled_from(CALLS), st.sampled_from(ERRNOS)),
    st.tuples(st.just("mend")),
    st.tuples(st.just("crash in"), st.sampled_from(CALLS)),
    st.tuples(st.just("kill")),
    st.tuples(st.just("lose power")),
    st.tuples(st.just("release"), st.integers(0, 40)),
    st.tuples(st.just("check")),
)


class Life:
    """A log, and what it owes: the records it acknowledged, by position."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder = folder
        self._executor = Inline()
        self._chance = chance
        self._n_made = 0
        self._owed: dict[int, bytes] = {}
        self._last = 0
        self._in_doubt: list[bytes] = []
        """A group that may be there after a crash, or not, but as a whole: its writing was cut
        short, or it was refused by a disk that has taken nothing since."""
        self._open()

    def _open(self) -> None:
        self._files = FaultyFiles(self._chance)
        self._log = WriteAheadLog(self._folder, CONFIG, files=self._files, executor=self._executor)

    def append(self, sizes: list[int]) -> None:
        group = [self._payload(size) for size in sizes]
        before = self._in_doubt
        self._in_doubt = group
        try:
            last = self._log.append(group)
        except Retryable:
            if not self._log.is_broken:
                self._in_doubt = []
            elif not self._wrote():
                self._in_doubt = before
            return
        self._in_doubt = []
        assert last == self._last + len(group)
        for payload in group:
            self._last += 1
            self._owed[self._last] = payload

    def _wrote(self) -> bool:
        return "write" in self._files.calls

    def _payload(self, size: int) -> bytes:
        self._n_made += 1
        return self._n_made.to_bytes(4, "little") + self._chance.randbytes(size)

    def step(self, name: str, *arguments: object) -> None:
        self._files.calls.clear()
        try:
            match name, *arguments:
                case "append", list(sizes):
                    self.append(sizes)
                case "fail", str(call), int(number):
                    self._files.fail(call, number)
                case "fail for long", str(call), int(number):
                    self._files.fail(call, number, times=20)
                case "mend", *_:
                    self._files.mend()
                case "crash in", str(call):
                    self._files.crash_at(call)
                case "release", int(back):
                    self._log.release(self._last - back)
                case "kill", *_:
                    self.restart()
                case "lose power", *_:
                    self.restart(power_is_lost=True)
            self.check()
        except Crash:
            self.restart(power_is_lost=self._chance.random() < 0.5)

    def restart(self, *, power_is_lost: bool = False) -> None:
        self._files.mend()
        self._log.close()
        if power_is_lost:
            self._files.lose_power()
        self._open()
        group, self._in_doubt = self._in_doubt, []
        found = list(self._log.read(self._last))
        if found:
            assert [bytes(payload) for _, payload in found] == group, "not whole, or never written"
            for payload in group:
                self._last += 1
                self._owed[self._last] = payload
        self.check()

    def check(self) -> None:
        read = [(position, bytes(payload)) for position, payload in self._log.read(0)]
        first = self._log.first
        assert self._log.last == self._last
        assert read == [(p, self._owed[p]) for p in range(first, self._last + 1)]
        assert self._log.damage == ()


@MANY
@given(steps=st.lists(STEPS, max_size=40), seed=st.integers(0, 2**32))
def test_what_was_acknowledged_is_read_once_in_order_and_nothing_else(
    steps: list[tuple[object, ...]], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder), random.Random(seed))
        for name, *arguments in steps:
            life.step(str(name), *arguments)
        life.restart(power_is_lost=True)
