"""The doctor's look at a lake whose files can be decoded and are wrong all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import lakes
from tests.lakes import CELL, NOON, ask
from watchkeeper.errors import Permanent
from watchkeeper.lake.inspection import lake_damage
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.segment import Segment
from watchkeeper.lake.sidecar import map_arrays

SUFFIXES = [".parquet", ".index", ".5m.parquet", ".5m.index"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one merged segment, with cells."""
    folder = tmp_path_factory.mktemp("lake")
    lake = lakes.build("disk", folder, lakes.fleet(4), head_rows=5000, compact_fan_in=2)
    for position, batch in enumerate(lakes.scrapes(4, 120), 1):
        lake.append(batch, position)
        if position % 60 == 0:
            lake.maintain(NOON, everything=True)
    lake.close()
    assert json.loads((folder / "manifest.json").read_bytes())["segments"][0]["has_cells"]
    return folder


@pytest.fixture
def lake(written: Path, tmp_path: Path) -> Path:
    for path in written.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(written)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path


def file(lake: Path, suffix: str) -> Path:
    (path,) = (path for path in (lake / "segments").iterdir() if path.name[8:] == suffix)
    return path


def groups(lake: Path, suffix: str) -> tuple[int, int]:
    """Where the row groups of a Parquet file begin and end."""
    chunk = map_arrays(file(lake, suffix.replace("parquet", "index")))["chunk"]
    return int(chunk[0, 0]), int(chunk[-1, -1])


def flip(path: Path, at: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bit
    path.write_bytes(content)


@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("suffix", [".parquet", ".5m.parquet"])
def test_one_bit_of_what_was_written_is_missed_by_no_look(
    lake: Path, suffix: str, part: int
) -> None:
    """A changed bit in packed values decodes to other values, and went unnoticed."""
    begin, end = groups(lake, suffix)
    path = file(lake, suffix)
    flip(path, begin + (end - begin - 1) * part // 9, 1 << part % 8)

    (found,) = lake_damage(lake)

    assert found.startswith(f"{path}")


@pytest.mark.parametrize("suffix", [".index", ".5m.index"])
@pytest.mark.parametrize("at", [0, 9, 20, 30, -70])
def test_one_bit_of_a_sidecar_is_missed_by_no_look(lake: Path, suffix: str, at: int) -> None:
    path = file(lake, suffix)
    flip(path, at)

    (found,) = lake_damage(lake)

    assert found.startswith(f"{path}: cannot be read")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_missing_is_named(lake: Path, suffix: str) -> None:
    path = file(lake, suffix)
    path.unlink()

    assert lake_damage(lake) == [f"{path}: is missing"]


def test_what_the_look_finds_is_what_a_query_refuses(lake: Path) -> None:
    path = file(lake, ".5m.parquet")
    flip(path, groups(lake, ".5m.parquet")[1] - 1)
    opened = lakes.build("disk", lake, lakes.fleet(4))

    with pytest.raises(Permanent, match=str(path)) as refused:
        opened.query(ask(NOON, NOON + 12 * CELL, step_ns=CELL))

    assert lake_damage(lake) == [str(refused.value).removeprefix("lake: ")]
    assert len(opened.query(ask(NOON, NOON + 12 * CELL)).row) == 480, "samples are sound"
    opened.close()


def test_cells_whose_samples_expired_are_looked_at_alone(lake: Path) -> None:
    manifest = json.loads((lake / "manifest.json").read_bytes())
    manifest["segments"][0]["has_raw"] = False
    (lake / "manifest.json").write_text(json.dumps(manifest))
    file(lake, ".parquet").unlink()

    assert lake_damage(lake) == []
    flip(file(lake, ".5m.parquet"), groups(lake, ".5m.parquet")[1] - 1)
    assert len(lake_damage(lake)) == 1


def test_each_segment_is_judged_by_itself(tmp_path: Path) -> None:
    lake = lakes.build("disk", tmp_path, lakes.fleet(2), compact_fan_in=9)
    for position, batch in enumerate(lakes.scrapes(2, 3), 1):
        lake.append(batch, position)
        lake.maintain(NOON, everything=True)
    lake.close()
    first, _, last = sorted((tmp_path / "segments").glob("*.parquet"))
    first.unlink()
    flip(last, 10)
    shares: list[float] = []

    found = lake_damage(tmp_path, shares.append)

    assert [one.split(": ")[0] for one in found] == [str(first), str(last)]
    assert shares == [1 / 3, 2 / 3, 1.0]


def test_a_segment_that_is_merged_while_it_is_looked_at_is_sound(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a running server: the manifest names others by now, and the files are gone."""

    class Merged(Segment):
        def __init__(self, folder: Path, info: SegmentInfo) -> None:
            (lake / "manifest.json").write_text(json.dumps({"segments": []}))
            for name in info.names:
                (folder / name).unlink()
            super().__init__(folder, info)

    monkeypatch.setattr("watchkeeper.lake.inspection.Segment", Merged)

    assert lake_damage(lake) == []
