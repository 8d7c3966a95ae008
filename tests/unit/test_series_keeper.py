"""Keeping the catalog while it changes: nothing is lost, nobody waits for long."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from tests.unit.test_series import HOUR_S, catalog, pods, registered, send
from watchkeeper.lake.files import Buffer, Files
from watchkeeper.lake.series import Catalog
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp
from watchkeeper.model.signal import NewSeries


class Gate(Files):
    """A disk whose next write waits until it is let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.passed = threading.Event()
        self.holds = False

    def write(self, fd: int, parts: Sequence[Buffer], offset: int) -> None:
        if self.holds:
            self.holds = False
            self.reached.set()
            assert self.passed.wait(30)
        super().write(fd, parts, offset)


def opened(folder: Path, files: Files | None = None, hours: float = 0.0) -> Catalog:
    known = catalog(max_series=20_000)
    known.open(folder, START_NS + round(hours * HOUR_S * NS_PER_S), files)
    return known


def living(known: Catalog) -> dict[int, dict[str, str]]:
    slots = known.select(DEFAULT_TENANT, ())
    return dict(zip(slots.tolist(), known.labels(slots), strict=True))


def test_ingest_goes_on_while_the_disk_is_slow(tmp_path: Path) -> None:
    disk = Gate()
    known = opened(tmp_path, disk)
    send(known, *pods(10))
    disk.holds = True
    with ThreadPoolExecutor(1) as pool:
        keeping = pool.submit(known.persist, START_NS)
        assert disk.reached.wait(30)

        late = registered(send(known, *pods(20)))
        known.recycle(START_NS, HOUR_S)
        assert len(known.select(DEFAULT_TENANT, ())) == 20
        disk.passed.set()
        keeping.result()

    twin = opened(tmp_path)
    assert living(twin) == {slot: labels for slot, labels in living(known).items() if slot < 10}
    twin.replay(late)
    assert living(twin) == living(known)


def test_what_comes_and_goes_while_it_is_kept_is_kept_the_next_time(tmp_path: Path) -> None:
    disk = Gate()
    known = opened(tmp_path, disk)
    send(known, *pods(10))
    send(known, pods(10)[3], after_s=2 * HOUR_S)
    disk.holds = True
    now_ns = START_NS + round(2.5 * HOUR_S * NS_PER_S)
    with ThreadPoolExecutor(1) as pool:
        keeping = pool.submit(known.persist, now_ns)
        assert disk.reached.wait(30)
        known.recycle(now_ns, HOUR_S)
        known.recycle(now_ns, HOUR_S)
        send(known, *pods(5, name="cpu"), after_s=2.5 * HOUR_S)
        disk.passed.set()
        keeping.result()
    known.persist(now_ns)

    twin = opened(tmp_path, hours=3)

    assert living(twin) == living(known)
    assert len(living(twin)) == 6
    past = twin.select_history(DEFAULT_TENANT, [Matcher("pod", MatchOp.NOT_EQUAL, "")], START_NS)
    assert len(past) == 9


def test_keeping_and_registering_at_the_same_time_end_in_the_same_catalog(tmp_path: Path) -> None:
    known = opened(tmp_path)
    records: list[NewSeries] = []
    is_done = threading.Event()

    def keep() -> int:
        n = 0
        while not is_done.is_set():
            known.persist(START_NS)
            n += 1
        return n

    with ThreadPoolExecutor(1) as pool:
        keeping = pool.submit(keep)
        for hour in range(40):
            batch = pods(50, batch=str(hour))
            records.append(registered(send(known, *batch, after_s=hour * HOUR_S)))
            known.recycle(START_NS + round((hour + 0.5) * HOUR_S * NS_PER_S), HOUR_S)
        is_done.set()
        assert keeping.result() > 0
    known.persist(START_NS)
    known.close()

    twin = opened(tmp_path, hours=40)

    assert living(twin) == living(known)
    slots = np.array(sorted(living(known)), np.int32)
    for name in ("kind", "partition", "role", "identity"):
        assert (getattr(twin, name)[slots] == getattr(known, name)[slots]).all(), name
    here = {labels["batch"] for labels in living(twin).values()}
    past = {
        labels["batch"]
        for _, labels in twin.select_history(
            DEFAULT_TENANT, [Matcher("pod", MatchOp.REGEX, ".+")], START_NS
        )
    }
    assert here | past == {str(hour) for hour in range(40)}


@pytest.mark.parametrize("n_kept", range(5))
def test_a_crash_at_any_time_is_mended_by_the_log(tmp_path: Path, n_kept: int) -> None:
    """The log is replayed whole over whatever was kept when the process died."""
    known = opened(tmp_path)
    records = []
    for hour in range(5):
        if hour == n_kept:
            known.persist(START_NS)
        resolved = send(known, *pods(8, batch=str(hour % 3)), after_s=hour * HOUR_S)
        if resolved.new is not None:
            records.append(resolved.new)
        known.recycle(START_NS + round((hour + 0.5) * HOUR_S * NS_PER_S), HOUR_S)

    twin = opened(tmp_path, hours=6)
    for record in records:
        twin.replay(record)

    for slot, labels in living(known).items():
        assert twin.series(slot) == known.series(slot)
        assert living(twin)[slot] == labels


def test_nothing_is_written_when_nothing_happened(tmp_path: Path) -> None:
    known = opened(tmp_path)
    send(known, *pods(3))
    known.persist(START_NS)
    before = (tmp_path / "series.log").stat()

    known.persist(START_NS)
    send(known, *pods(3))
    known.persist(START_NS)

    assert (tmp_path / "series.log").stat().st_mtime_ns == before.st_mtime_ns


def test_a_slot_that_changed_hands_twice_between_two_times_is_its_last_owners(
    tmp_path: Path,
) -> None:
    known = opened(tmp_path)
    send(known, make.labels("keep"))
    known.persist(START_NS)
    for hour, name in enumerate(("first", "second", "third"), 1):
        now_ns = START_NS + round((hour + 0.9) * HOUR_S * NS_PER_S)
        send(known, make.labels(name, pod="a"), make.labels(name, pod="b"), after_s=hour * HOUR_S)
        send(known, make.labels("keep"), after_s=(hour + 0.9) * HOUR_S)
        for _ in range(2):
            known.recycle(now_ns, 0.5 * HOUR_S)

    known.persist(START_NS)

    twin = opened(tmp_path, hours=5)
    assert living(twin) == living(known)
