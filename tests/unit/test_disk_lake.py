"""What only a lake on a disk must withstand: crashes, loss of power, full disks, damaged files."""

from __future__ import annotations

import errno
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import disks, lakes, make
from tests.lakes import CELL, DAY, HOUR, NOON, S, ask, read
from watchkeeper import telemetry
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.lake.base import Fold
from watchkeeper.lake.head import Head

EVERYTHING = ask(0, 2 * NOON)
N_BATCHES = 16


class CrashAfter(disks.FaultyFiles, lakes.Unsynced):
    """Ends the process in the call of that number, whichever it is."""

    def __init__(self, n_calls: int) -> None:
        super().__init__()
        self._left = n_calls

    def end(self) -> None:
        """What the operating system does with a process that is gone."""
        for fd in list(self._open):
            self.close(fd)

    def _enter(self, call: str) -> None:
        self._left -= 1
        if self._left < 0:
            raise disks.Crash(call)
        super()._enter(call)


def live(directory: Path, catalog: Any, files: Any) -> bool:
    """A short life: heads are written, merged, merged again, and expire. Whether it was cut."""
    lake = lakes.build(
        "disk", directory, catalog, files=files,
        head_rows=16, compact_fan_in=2, raw_retention_s=2 * 86400.0,
    )  # fmt: skip
    try:
        for position, batch in enumerate(lakes.scrapes(4, N_BATCHES), 1):
            lake.append(batch, position)
            if position % 4 == 0:
                lake.maintain(NOON)
        lake.maintain(NOON + DAY, everything=True)
    except disks.Crash:
        return True
    lake.close()
    return False


@pytest.fixture(scope="module")
def n_calls(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Of a whole life."""
    files = CrashAfter(1 << 30)
    live(tmp_path_factory.mktemp("whole"), lakes.fleet(4), files)
    return len(files.calls)


@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("loss", ["of the process", "of power"])
def test_a_crash_between_any_two_steps_loses_and_doubles_nothing(
    tmp_path: Path, n_calls: int, loss: str, part: int
) -> None:
    for n in range(part, n_calls, 8):
        directory, catalog = tmp_path / f"{n}", lakes.fleet(4)
        files = CrashAfter(n)
        assert live(directory, catalog, files), "was not cut"
        if loss == "of power":
            files.lose_power()
        else:
            files.end()

        again = lakes.build("disk", directory, catalog, head_rows=16)
        reference = lakes.Reference(catalog)
        for position, batch in enumerate(lakes.scrapes(4, N_BATCHES), 1):
            reference.append(batch)
            if position > again.stored():
                if again.room() < len(batch):
                    again.maintain(NOON)
                again.append(batch, position)

        got = read(again.query(EVERYTHING))
        assert lakes.bits(got) == lakes.bits(reference.query(EVERYTHING)), f"call {n}"
        again.maintain(NOON, everything=True)
        named = named_files(directory)
        assert {path.name for path in (directory / "segments").iterdir()} == named
        again.close()


def named_files(directory: Path) -> set[str]:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    names = set()
    for segment in manifest["segments"]:
        number = f"{segment['id']:08}"
        names |= {f"{number}.index", f"{number}.parquet"}
        if segment["has_cells"]:
            names |= {f"{number}.5m.index", f"{number}.5m.parquet"}
    return names


@pytest.mark.parametrize("call", ["create", "reserve", "write", "sync", "sync_folder"])
def test_a_full_disk_is_told_and_everything_stays_in_memory(tmp_path: Path, call: str) -> None:
    catalog, files = lakes.fleet(4), disks.FaultyFiles()
    lake = lakes.build("disk", tmp_path, catalog, files=files, head_rows=16, compact_fan_in=2)
    reference = lakes.Reference(catalog)
    batches = list(lakes.scrapes(4, 16))
    for position, batch in enumerate(batches[:10], 1):
        lake.append(batch, position)
        reference.append(batch)

    for _ in range(4):
        files.fail(call, errno.ENOSPC)
        with pytest.raises(Retryable, match="No space left"):
            lake.maintain(NOON, everything=True)
        assert lakes.bits(read(lake.query(EVERYTHING))) == lakes.bits(reference.query(EVERYTHING))
    files.mend()
    lake.maintain(NOON, everything=True)
    for position, batch in enumerate(batches[10:], 11):
        lake.append(batch, position)
        reference.append(batch)
        lake.maintain(NOON, everything=True)

    assert lake.stored() == 16
    assert lakes.bits(read(lake.query(EVERYTHING))) == lakes.bits(reference.query(EVERYTHING))
    left = {path.name for path in (tmp_path / "segments").iterdir()}
    assert left == named_files(tmp_path)
    lake.close()


def test_a_disk_that_fills_up_within_a_large_segment_is_told_too(tmp_path: Path) -> None:
    """The fault passes through the Parquet writer, which has its own errors."""
    catalog, files = lakes.fleet(100), disks.FaultyFiles()
    lake = lakes.build("disk", tmp_path, catalog, files=files, head_rows=1 << 20)
    for position, batch in enumerate(lakes.scrapes(100, 3000), 1):
        lake.append(
            make.samples(*zip(batch.slot, batch.time_ns, batch.value / 3, strict=True)), position
        )

    files.fail("write", errno.ENOSPC)
    with pytest.raises(Retryable, match="No space left"):
        lake.maintain(NOON, everything=True)
    assert list((tmp_path / "segments").iterdir()) == []
    lake.maintain(NOON, everything=True)

    assert len(lake.query(EVERYTHING).row) == 300_000
    lake.close()


def test_a_catalog_that_cannot_be_kept_holds_the_segment_back(tmp_path: Path) -> None:
    """A segment names series by identity: without the catalog it would be unreadable."""

    class Failing(lakes.DictCatalog):
        def persist(self, now_ns: int) -> None:
            raise Retryable("catalog: disk full")

    catalog = Failing()
    catalog.add(make.labels("m"))
    lake = lakes.build("disk", tmp_path, catalog)
    lake.append(make.samples((0, NOON, 1.0)), 1)

    with pytest.raises(Retryable, match="catalog"):
        lake.maintain(NOON, everything=True)

    assert lake.stored() == 0
    assert list((tmp_path / "segments").iterdir()) == []
    assert len(lake.query(EVERYTHING).row) == 1
    lake.close()


def test_a_file_that_nobody_names_is_removed_at_the_start(tmp_path: Path) -> None:
    lakes.build("disk", tmp_path, lakes.fleet(1)).close()
    orphan = tmp_path / "segments" / "00000042.parquet"
    orphan.write_bytes(b"left by a crash")

    lakes.build("disk", tmp_path, lakes.fleet(1)).close()

    assert not orphan.exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 2}'])
def test_a_manifest_that_cannot_be_understood_stops_the_start(
    tmp_path: Path, content: bytes
) -> None:
    lakes.build("disk", tmp_path, lakes.fleet(1)).close()
    (tmp_path / "manifest.json").write_bytes(content)

    with pytest.raises(Permanent, match=r"manifest\.json"):
        lakes.build("disk", tmp_path, lakes.fleet(1))


@pytest.mark.parametrize("suffix", ["parquet", "index"])
@pytest.mark.parametrize("at", [8, 40, 100])
def test_a_damaged_segment_is_named_and_gives_no_wrong_values(
    tmp_path: Path, at: int, suffix: str
) -> None:
    catalog = lakes.fleet(2)
    lake = lakes.build("disk", tmp_path, catalog)
    for position, batch in enumerate(lakes.scrapes(2, 30), 1):
        lake.append(batch, position)
    lake.maintain(NOON, everything=True)
    (path,) = (tmp_path / "segments").glob(f"*.{suffix}")
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(Permanent, match=str(path)):
        lake.query(EVERYTHING)
    lake.close()


def test_a_damaged_segment_is_left_unmerged_and_upkeep_goes_on(tmp_path: Path) -> None:
    catalog = lakes.fleet(2)
    lake = lakes.build("disk", tmp_path, catalog, compact_fan_in=2)
    batches = list(lakes.scrapes(2, 60))
    for position, batch in enumerate(batches, 1):
        lake.append(batch, position)
        if position == 20:
            lake.maintain(NOON, everything=True)
            (path,) = (tmp_path / "segments").glob("*.parquet")
            path.write_bytes(path.read_bytes()[:30])
        if position in (40, 60):
            lake.maintain(NOON, everything=True)

    assert lake.stored() == 60
    assert path.exists()
    assert {name for name in named_files(tmp_path) if name.endswith(".parquet")} == {
        path.name for path in (tmp_path / "segments").glob("*.parquet")
    }
    lake.maintain(NOON + 100 * DAY)
    assert not path.exists(), "no cells will come of it"
    lake.close()


def test_a_segment_whose_index_is_damaged_does_not_stop_upkeep(tmp_path: Path) -> None:
    """Opening it for a merge failed, and nothing was merged or removed any more."""
    lake = lakes.build("disk", tmp_path, lakes.fleet(2), compact_fan_in=2)
    lake.append(make.samples((0, NOON, 1.0)), 1)
    lake.maintain(NOON, everything=True)
    (index,) = (tmp_path / "segments").glob("*.index")
    index.write_bytes(b"nothing of what was there")

    for position in range(2, 6):
        lake.append(make.samples((1, NOON + position * S, 1.0)), position)
        lake.maintain(NOON, everything=True)

    assert index.exists()
    rows = [
        one["n_rows"] for one in json.loads((tmp_path / "manifest.json").read_bytes())["segments"]
    ]
    assert rows == [1, 1, 2, 1], "others are merged"
    assert len(lake.query(ask(NOON + S, NOON + HOUR)).row) == 4
    lake.close()


def test_a_segment_cut_short_is_named(tmp_path: Path) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(1))
    lake.append(make.samples((0, NOON, 1.0)), 1)
    lake.maintain(NOON, everything=True)
    (path,) = (tmp_path / "segments").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:20])

    with pytest.raises(Permanent, match=str(path)):
        lake.query(EVERYTHING)
    lake.close()


def test_files_stay_while_a_reader_holds_them_and_go_when_it_is_done(tmp_path: Path) -> None:
    catalog = lakes.fleet(4)
    lake = lakes.build("disk", tmp_path, catalog, head_rows=16, compact_fan_in=2)
    merged: list[int] = []

    class Nosy(lakes.DictCatalog):
        """Lets maintenance happen in the middle of a query."""

    ask_labels = catalog.labels

    def labels(slots: Any) -> Any:
        before = len(list((tmp_path / "segments").iterdir()))
        lake.maintain(NOON, everything=True)
        merged.append(len(list((tmp_path / "segments").iterdir())) - before)
        return ask_labels(slots)

    for position, batch in enumerate(lakes.scrapes(4, 16), 1):
        lake.append(batch, position)
        if lake.room() < 4:
            lake.maintain(NOON)
    lake.maintain(NOON, everything=True)
    lake.append(make.samples((0, NOON - S, 1.0)), 17)
    catalog.labels = labels  # type: ignore[method-assign]
    lake.query(ask(0, 2 * NOON))
    catalog.labels = ask_labels  # type: ignore[method-assign]
    lake.maintain(NOON)

    assert merged[0] >= 0, "files vanished under a reader"
    assert {path.name for path in (tmp_path / "segments").iterdir()} == named_files(tmp_path)
    lake.close()


def test_the_memory_of_a_head_goes_to_another_only_when_its_readers_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(4), head_rows=16)
    scrapes = enumerate(lakes.scrapes(4, 40), 1)
    first = [batch.value for batch in itertools.islice(lakes.scrapes(4, 40), 4)]
    n_written_out = 3
    read = Head.read

    def append_a_head() -> None:
        for position, batch in itertools.islice(scrapes, 4):
            lake.append(batch, position)

    def read_late(head: Head, *asked: Any) -> Any:
        """Other heads are filled and written out before this one is looked at."""
        for _ in range(n_written_out):
            lake.maintain(NOON, everything=True)
            append_a_head()
        return read(head, *asked)

    append_a_head()
    monkeypatch.setattr(Head, "read", read_late)
    frame = lake.query(EVERYTHING)
    monkeypatch.undo()

    order = [int(labels["host"]) for labels in frame.labels]
    assert frame.value.reshape(4, 4).tolist() == np.stack(first)[:, order].T.tolist()
    assert len(lake.query(EVERYTHING).row) == 16 * (1 + n_written_out)
    lake.close()


def test_a_slot_that_the_catalog_does_not_know_is_a_fault_of_ours(tmp_path: Path) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(1, n_slots=8))

    for slot in (8, -1):
        with pytest.raises(Permanent, match=f"slot {slot} "):
            lake.append(make.samples((slot, NOON, 1.0)), 1)
    lake.close()


def test_a_query_that_would_look_at_too_much_is_refused(tmp_path: Path) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(1), scan_rows=10)
    lake.append(make.samples(*[(0, NOON + i, 1.0) for i in range(11)]), 1)

    with pytest.raises(BadInput, match="scan_rows"):
        lake.query(ask(0, 2 * NOON, step_ns=HOUR))
    lake.close()


def test_an_old_head_is_written_out_even_if_it_is_not_full(tmp_path: Path) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(1), head_age_s=60.0)
    lake.append(make.samples((0, NOON, 1.0)), 5)

    lake.maintain(NOON)
    lake.maintain(NOON + 59 * S)
    assert lake.stored() == 0
    lake.maintain(NOON + 60 * S)

    assert lake.stored() == 5
    lake.close()


def test_merging_is_spread_over_calls_and_survives_what_comes_between(tmp_path: Path) -> None:
    catalog = lakes.fleet(50)
    lake = lakes.build("disk", tmp_path, catalog, head_rows=1000, compact_fan_in=2, compact_rows=1)
    reference = lakes.Reference(catalog)
    for position, batch in enumerate(lakes.scrapes(50, 200), 1):
        lake.append(batch, position)
        reference.append(batch)
        lake.maintain(NOON + position * S)

    assert lakes.bits(read(lake.query(EVERYTHING))) == lakes.bits(reference.query(EVERYTHING))
    lake.close()


def test_retention_takes_a_segment_out_of_a_merge_under_way(tmp_path: Path) -> None:
    lake = lakes.build(
        "disk", tmp_path, lakes.fleet(4), head_rows=16, compact_fan_in=2, compact_rows=1,
        raw_retention_s=3600.0, rollup_retention_s=3600.0,
    )  # fmt: skip
    for position, batch in enumerate(lakes.scrapes(4, 8), 1):
        lake.append(batch, position)
    lake.maintain(NOON, everything=True)

    lake.maintain(NOON + 2 * HOUR)
    lake.maintain(NOON + 2 * HOUR)

    assert len(lake.query(EVERYTHING).row) == 0
    assert list((tmp_path / "segments").iterdir()) == []
    lake.close()


def test_a_lake_keeps_the_windows_it_was_made_with(tmp_path: Path) -> None:
    catalog = lakes.fleet(2)
    lake = lakes.build("disk", tmp_path, catalog, window_s=3600.0)
    lake.append(make.samples((0, NOON, 1.0), (0, NOON + HOUR, 2.0)), 1)
    lake.maintain(NOON, everything=True)
    lake.close()

    again = lakes.build("disk", tmp_path, catalog, window_s=86400.0)
    again.append(make.samples((0, NOON + 2 * HOUR, 3.0)), 2)
    again.maintain(NOON, everything=True)

    windows = [
        s["window"] for s in json.loads((tmp_path / "manifest.json").read_bytes())["segments"]
    ]
    assert windows == [NOON // HOUR, NOON // HOUR + 1, NOON // HOUR + 2]
    again.close()


def test_what_is_dropped_and_written_is_counted(tmp_path: Path) -> None:
    def counted(name: str, *labels: str) -> float:
        (metric,) = (m for m in telemetry.metrics() if m.name == f"watchkeeper_lake_{name}")
        value: float = metric.value(*labels)  # type: ignore[attr-defined]
        return value

    lake = lakes.build("disk", tmp_path, lakes.fleet(1), rollup_retention_s=86400.0)
    before = {
        name: counted(name) for name in ("duplicate_samples_total", "expired_samples_total")
    } | {"head": counted("written_samples_total", "head")}

    lake.append(make.samples((0, NOON, 1.0), (0, NOON, 2.0), (0, NOON + S, 1.0)), 1)
    lake.maintain(NOON, everything=True)
    assert counted("segments") == 1
    assert counted("segment_bytes") > 0
    lake.maintain(NOON + 100 * DAY)

    assert counted("duplicate_samples_total") - before["duplicate_samples_total"] == 1
    assert counted("written_samples_total", "head") - before["head"] == 2
    assert counted("expired_samples_total") - before["expired_samples_total"] == 2
    assert counted("segments") == 0
    lake.close()


def test_cells_answer_as_samples_do_also_where_files_overlap(tmp_path: Path) -> None:
    """Two merged segments with cells, whose samples interleave in time."""
    catalog = lakes.fleet(3)
    lake = lakes.build(
        "disk", tmp_path, catalog, head_rows=10_000, compact_fan_in=2, compact_into_rows=300
    )
    reference = lakes.Reference(catalog)
    batches = list(lakes.scrapes(3, 200))
    for position, i in enumerate([*range(0, 200, 2), *range(1, 200, 2)], 1):
        lake.append(batches[i], position)
        reference.append(batches[i])
        if position % 50 == 0:
            lake.maintain(NOON, everything=True)

    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert [segment["has_cells"] for segment in manifest["segments"]] == [True, True]
    for how in Fold:
        query = ask(NOON, NOON + HOUR, step_ns=CELL, over_time=how)
        lakes.assert_close(read(lake.query(query)), reference.query(query))
    lake.close()
