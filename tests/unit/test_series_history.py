"""The catalog on disk: what is restored, what is found of series that have left."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.make import NS_PER_S, START_NS
from tests.unit.test_series import HOUR_S, KEY, OTHER, catalog, pods, registered, send
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake import series_history
from watchkeeper.lake.files import Buffer, Files
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp, TenantId

ALL_PODS = [Matcher("pod", MatchOp.REGEX, ".+")]


class FailingDisk(Files):
    """Refuses syncs while `is_full`."""

    is_full = False

    def sync(self, fd: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().sync(fd)


def at(hours: float) -> int:
    return START_NS + round(hours * HOUR_S * NS_PER_S)


def opened(
    folder: Path, hours: float = 0.0, files: Files | None = None, **settings: Any
) -> Catalog:
    known = catalog(**settings)
    known.open(folder, at(hours), files)
    return known


def shown(known: Catalog) -> list[Any]:
    return [known.series(int(slot)) for slot in known.select(DEFAULT_TENANT, ())]


def past(known: Catalog, since_h: float = 0.0, tenant: TenantId = DEFAULT_TENANT) -> set[str]:
    """The pods found in the history."""
    found = known.select_history(tenant, ALL_PODS, at(since_h))
    names = [labels["pod"] for _, labels in found]
    assert len(names) == len(set(names))
    return set(names)


def test_what_was_persisted_is_restored_as_it_was(tmp_path: Path) -> None:
    known = opened(tmp_path)
    send(known, *pods(3))
    send(known, *pods(2), tenant=OTHER)
    known.persist(at(0))
    send(known, *pods(5), make.labels("requests_total", service="cart", env="live", node="n"))
    known.persist(at(0))
    known.close()

    twin = opened(tmp_path)

    assert shown(twin) == shown(known)
    assert twin.select(OTHER, ()).tolist() == known.select(OTHER, ()).tolist()
    for name in ("kind", "partition", "role", "identity"):
        assert (getattr(twin, name) == getattr(known, name)).all(), name
    ours, theirs = (registered(send(one, *pods(9))) for one in (known, twin))
    assert ours.slot.tolist() == theirs.slot.tolist()
    assert ours.donor.tolist() == theirs.donor.tolist()
    assert ours.identity.tolist() == theirs.identity.tolist()


def test_restored_series_count_as_seen_at_the_start(tmp_path: Path) -> None:
    known = opened(tmp_path)
    send(known, *pods(3))
    known.persist(at(0))

    twin = opened(tmp_path, hours=100)

    assert twin.recycle(at(100.5), HOUR_S).tolist() == []
    assert len(twin.recycle(at(101.5), HOUR_S)) == 2


def test_the_log_behind_what_was_persisted_completes_it(tmp_path: Path) -> None:
    known = opened(tmp_path)
    early = registered(send(known, *pods(2)))
    known.persist(at(0))
    late = registered(send(known, *pods(4)))

    twin = opened(tmp_path)
    for record in (early, late):
        twin.replay(record)

    assert shown(twin) == shown(known)


def test_slots_that_became_free_are_free_after_a_restart(tmp_path: Path) -> None:
    known = opened(tmp_path)
    send(known, *pods(3))
    known.persist(at(0))
    send(known, pods(3)[1], after_s=HOUR_S)
    known.recycle(at(1.5), HOUR_S)
    known.persist(at(1.5))

    twin = opened(tmp_path, hours=2)

    assert twin.select(DEFAULT_TENANT, ()).tolist() == [1]
    assert past(twin) == {"shop-0", "shop-2"}
    assert sorted(send(twin, make.labels("a"), make.labels("b")).slots.tolist()) == [0, 2]


def test_a_torn_tail_is_cut_and_what_is_before_it_is_kept(tmp_path: Path) -> None:
    known = opened(tmp_path)
    send(known, *pods(2))
    known.persist(at(0))
    send(known, *pods(4))
    known.persist(at(0))
    known.close()
    file = tmp_path / "series.log"
    file.write_bytes(file.read_bytes()[:-7])

    twin = opened(tmp_path)
    assert len(shown(twin)) == 2
    send(twin, make.labels("up", pod="c"))
    twin.persist(at(0))

    assert shown(opened(tmp_path)) == shown(twin)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "series.log").write_bytes(b"something else entirely")

    with pytest.raises(Permanent, match=r"series\.log"):
        opened(tmp_path)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    disk = FailingDisk()
    known = opened(tmp_path, files=disk)
    send(known, *pods(2))
    known.persist(at(0))
    send(known, *pods(4))
    known.recycle(at(2), HOUR_S)
    disk.is_full = True
    with pytest.raises(Retryable, match="free space"):
        known.persist(at(2))
    assert past(known) == {"shop-0", "shop-1", "shop-2", "shop-3"} - {
        labels["pod"] for labels in known.labels(known.select(DEFAULT_TENANT, ()))
    }

    disk.is_full = False
    known.persist(at(2))

    twin = opened(tmp_path, hours=2)
    assert shown(twin) == shown(known)
    assert past(twin) == past(known)


def test_the_file_is_written_anew_when_the_living_are_few_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.lake.series_file._SPARE_ROWS", 20)
    known = opened(tmp_path)
    sizes = []
    for hour in range(60):
        batch = [make.labels("up", pod=f"pod-{hour}-{k}") for k in range(5)]
        send(known, *batch, after_s=hour * HOUR_S)
        known.recycle(at(hour + 0.5), HOUR_S)
        known.persist(at(hour + 0.5))
        sizes.append((tmp_path / "series.log").stat().st_size)

    assert max(sizes) < 6 * sizes[0] + 10_000
    assert shown(opened(tmp_path, hours=60)) == shown(known)
    donors = [registered(send(one, make.labels("up", pod="new"))).donor.tolist()
              for one in (known, opened(tmp_path, hours=60))]  # fmt: skip
    assert donors[0] == donors[1]


def test_series_that_left_are_found_with_their_labels_and_identity(tmp_path: Path) -> None:
    known = opened(tmp_path)
    new = registered(send(known, *pods(3)))
    send(known, *pods(3), tenant=OTHER)
    send(known, pods(3)[1], after_s=HOUR_S)
    known.recycle(at(1.5), HOUR_S)

    for stored in (False, True):
        if stored:
            known.persist(at(1.5))
        found = known.select_history(
            DEFAULT_TENANT, [Matcher("pod", MatchOp.EQUAL, "shop-2")], START_NS
        )
        assert found == [(new.identity[2].tobytes(), pods(3)[2])]
        assert past(known) == {"shop-0", "shop-2"}
        assert len(past(known, tenant=OTHER)) == 2
        assert past(known, since_h=0.1) == set()
        assert past(known, tenant=TenantId("nobody")) == set()


def test_a_series_that_is_back_is_not_in_the_history(tmp_path: Path) -> None:
    known = opened(tmp_path)
    send(known, *pods(3))
    known.recycle(at(2), HOUR_S)
    n_gone = len(past(known))

    send(known, *pods(3), after_s=3 * HOUR_S)

    assert n_gone == 2
    assert past(known) == set()


def test_without_a_folder_there_is_no_history() -> None:
    known = catalog()
    send(known, *pods(3))
    known.recycle(at(2), HOUR_S)
    known.persist(at(2))
    known.close()

    assert known.select_history(DEFAULT_TENANT, (), 0) == []


def generations(known: Catalog, hours: Sequence[int]) -> set[str]:
    """Each hour three pods that live for an hour; all of them."""
    names = set()
    for hour in hours:
        batch = [make.labels("up", pod=f"pod-{hour}-{k}", team="é") for k in range(3)]
        send(known, *batch, after_s=hour * HOUR_S)
        known.recycle(at(hour + 0.5), 0.4 * HOUR_S)
        known.persist(at(hour + 0.5))
        names |= {labels["pod"] for labels in batch}
    return names


def test_blocks_of_the_history_are_merged_and_nothing_is_lost(tmp_path: Path) -> None:
    known = opened(tmp_path)

    names = generations(known, range(30))

    living = {labels["pod"] for labels in known.labels(known.select(DEFAULT_TENANT, ()))}
    assert past(known) | living == names
    files = sorted(path.name for path in (tmp_path / "history").iterdir())
    assert len(files) < series_history.FAN
    assert past(opened(tmp_path, hours=31)) == past(known)


def test_the_history_forgets_what_was_last_seen_before_retention(tmp_path: Path) -> None:
    known = opened(tmp_path, history_keep_s=10 * HOUR_S)

    generations(known, range(30))

    hours = {int(name.split("-")[1]) for name in past(known)}
    assert max(hours) == 29
    assert min(hours) >= 29 - 10 - series_history.FAN
    known.persist(at(100))
    assert past(known) == set()
    assert list((tmp_path / "history").iterdir()) == []


def test_leftovers_of_a_crash_during_a_merge_are_removed(tmp_path: Path) -> None:
    known = opened(tmp_path)
    generations(known, range(series_history.FAN - 1))
    folder = tmp_path / "history"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    generations(known, [series_history.FAN - 1])
    known.close()
    for path, content in before.items():
        path.write_bytes(content)
    (folder / "0000000099.series.new").write_bytes(b"half")

    twin = opened(tmp_path, hours=50)

    assert past(twin) == past(known)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("place", [3, 40, -5])
def test_a_damaged_block_is_noticed(tmp_path: Path, place: int) -> None:
    known = opened(tmp_path)
    generations(known, [0])
    known.close()
    (file,) = (tmp_path / "history").iterdir()
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(content)

    with pytest.raises(Permanent, match="damaged"):
        past(opened(tmp_path))


def test_a_disk_that_refuses_keeps_the_history_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ReadOnly(Files):
        def write_whole(self, path: Path, content: Buffer) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

    known = Catalog(KEY, CatalogConfig(max_series=100, max_donors=10), Enrich())
    known.open(tmp_path, at(0), ReadOnly())
    send(known, *pods(3))
    known.recycle(at(2), HOUR_S)

    with pytest.raises(Retryable, match="Read-only"):
        known.persist(at(2))

    assert len(past(known)) == 2


def test_many_series_leave_in_bounded_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.lake.series._RETIRED_AT_ONCE", 4)
    known = opened(tmp_path)
    send(known, *pods(10))

    n_left = [len(known.recycle(at(2), HOUR_S)) for _ in range(4)]

    assert n_left == [4, 4, 1, 0]
    assert len(past(known)) == 9
    assert np.unique(known.select(DEFAULT_TENANT, ())).size == 1


def test_closing_is_safe_twice(tmp_path: Path) -> None:
    known = opened(tmp_path)
    known.close()
    known.close()
    known.persist(at(0))
