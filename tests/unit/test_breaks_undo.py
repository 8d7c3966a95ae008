"""How each act of a fault is undone."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop.breaks import record
from shop.breaks.catalogue import fault
from shop.breaks.hands import Hands
from shop.breaks.processes import Failed, born, signalled
from shop.breaks.record import Record, Undo
from shop.breaks.undo import stop
from tests.house import sleeping, told


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with sleeping() as process:
        yield process


def test_only_what_could_not_be_undone_is_kept_to_be_tried_again(tmp_path: Path) -> None:
    stuck = Undo("group", {"folder": str(tmp_path), "back": str(tmp_path)})
    done = Undo("continue", {"pid": 1, "born": -1})
    record.write(Record(name="hang", intensity=1.0, undo=[done, stuck, done]), tmp_path)

    with pytest.raises(Failed):
        stop(tmp_path, "hang")
    kept = record.read(tmp_path, "hang")
    (tmp_path / "x").mkdir()
    (tmp_path / "breaks" / "hang.json").write_bytes(
        msgspec.json.encode(
            Record(name="hang", intensity=1.0, undo=[Undo("group", {"folder": "/no", "back": ""})])
        )
    )
    stop(tmp_path, "hang")

    assert kept is not None
    assert kept.undo == [stuck]
    assert record.read(tmp_path, "hang") is None


def test_a_process_that_stands_still_goes_on(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    born_at = born(sleeper.pid)
    assert born_at is not None
    assert signalled(sleeper.pid, born_at, signal.SIGSTOP)
    _, stood = os.waitpid(sleeper.pid, os.WUNTRACED)
    given = {"pid": sleeper.pid, "born": born_at}
    record.write(Record(name="hang", intensity=1.0, undo=[Undo("continue", given)]), tmp_path)

    stop(tmp_path, "hang")

    _, went_on = os.waitpid(sleeper.pid, os.WCONTINUED)
    assert os.WIFSTOPPED(stood)
    assert os.WIFCONTINUED(went_on)


def test_another_process_of_the_same_number_is_left_alone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    born_at = born(sleeper.pid)
    assert born_at is not None

    assert not signalled(sleeper.pid, born_at + 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert born(2**22 + 1) is None


def test_a_service_that_has_ended_needs_not_be_told(tmp_path: Path) -> None:
    told(tmp_path, {"user": 1})
    given = {"service": "user", "path": "/simulate/leak?megabytes=0"}
    record.write(Record(name="memory-leak", intensity=1.0, undo=[Undo("tell", given)]), tmp_path)

    stop(tmp_path, "memory-leak")

    assert record.names(tmp_path) == []


def test_a_fault_within_another_ends_with_it(tmp_path: Path) -> None:
    inner = Undo("fault", {"name": "intermittent.pulse"})
    record.write(Record(name="intermittent", intensity=1.0, undo=[inner]), tmp_path)
    record.write(Record(name="intermittent.pulse", intensity=0.1), tmp_path)

    stop(tmp_path, "intermittent")

    assert record.names(tmp_path) == []


def test_an_index_is_gone_and_comes_again(tmp_path: Path) -> None:
    told(tmp_path, {"payment": 1})
    file = tmp_path / "shop.db"

    def indices() -> list[Any]:
        with closing(sqlite3.connect(file)) as db:
            return db.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()

    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE payments (customer INTEGER, cents INTEGER, at_s REAL)")
        db.execute("CREATE INDEX payments_of ON payments (customer, at_s)")
        db.execute("INSERT INTO payments VALUES (7, 100, 1.0)")
    begun = Record(name="index-dropped", intensity=0.0)
    fault("index-dropped").start(Hands(tmp_path, begun), 0.0)
    during = indices()
    stop(tmp_path, "index-dropped")

    assert (during, indices()) == ([], [("payments_of",)])
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM payments").fetchall() == [(7, 100, 1.0)]
