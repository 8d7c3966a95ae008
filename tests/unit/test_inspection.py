"""Inspection reads everything that is stored, changes nothing, and names what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import lakes
from tests.lakes import NOON
from watchkeeper.lake.inspection import lake_damage, log_damage
from watchkeeper.lake.wal import WalConfig, WriteAheadLog


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with some segments on disk."""
    catalog = lakes.DictCatalog()
    for n in range(4):
        catalog.add({"__name__": "m", "n": str(n)})
    built = lakes.build("disk", tmp_path, catalog, head_rows=32)
    for position, batch in enumerate(lakes.scrapes(4, 40), 1):
        built.append(batch, position)
        built.maintain(NOON)
    built.maintain(NOON, everything=True)
    built.close()
    return tmp_path


def segments(lake: Path) -> list[Path]:
    """The samples' files that the manifest names."""
    named = json.loads((lake / "manifest.json").read_bytes())["segments"]
    return [lake / "segments" / f"{one['id']:08}.parquet" for one in named]


def test_a_sound_lake_has_no_damage_and_stays_as_it_is(lake: Path) -> None:
    before = state_of(lake)
    shares: list[float] = []

    assert lake_damage(lake, shares.append) == []

    assert state_of(lake) == before
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_lake_that_is_not_there_yet_has_no_damage(tmp_path: Path) -> None:
    assert lake_damage(tmp_path / "lake") == []
    assert log_damage(tmp_path / "log") == []
    assert list(tmp_path.iterdir()) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def zero(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(bytes(size))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(Path.unlink, "is missing"), (cut, "cannot be read"), (zero, "cannot be read")],
)
@pytest.mark.parametrize("suffix", [".parquet", ".index"])
def test_a_spoilt_file_is_named(
    lake: Path, spoil: Callable[[Path], None], said: str, suffix: str
) -> None:
    spoilt = segments(lake)[0].with_suffix(suffix)
    if (spoil, suffix) == (cut, ".index"):
        spoil = zero  # an index may end in padding, whose loss is none
    spoil(spoilt)

    (found,) = lake_damage(lake)

    assert found.startswith(f"{spoilt}: {said}")


def test_a_file_with_other_rows_than_it_should_have_is_named(lake: Path) -> None:
    manifest = json.loads((lake / "manifest.json").read_bytes())
    manifest["segments"][0]["n_rows"] += 1
    (lake / "manifest.json").write_text(json.dumps(manifest))

    (found,) = lake_damage(lake)

    assert "rows, not" in found


def test_a_manifest_that_cannot_be_read_is_the_damage(lake: Path) -> None:
    (lake / "manifest.json").write_text("{")

    (found,) = lake_damage(lake)

    assert "manifest.json is damaged" in found


def test_a_log_whose_segment_went_away_meanwhile_is_sound(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, WalConfig(segment_bytes=1 << 14))
    for n in range(30):
        log.append([bytes([n]) * 3000])
    log.close()
    paths = sorted(tmp_path.glob("*.log"))

    def release(_share: float) -> None:
        paths[1].unlink(missing_ok=True)

    assert log_damage(tmp_path, release) == []


def test_a_log_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path)
    log.append([b"x"])
    log.close()
    (path,) = tmp_path.glob("*.log")
    path.unlink()
    path.mkdir()

    (found,) = log_damage(tmp_path)

    assert found == f"{path}: cannot be read: Is a directory"
