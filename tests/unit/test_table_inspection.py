"""Inspection of tables reads every file, changes nothing, and names what is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tables import CASES, NOON
from tests.unit.test_inspection import state_of
from watchkeeper.lake.tables.inspection import table_damage


@pytest.fixture(params=CASES, ids=lambda case: str(case.name))
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A table with two segments on disk."""
    built = request.param.open(tmp_path, compact_fan_in=50)
    for position in (1, 2):
        built.append(request.param.batch(*range(NOON, NOON + 40), seed=position), position)
        built.maintain(NOON, everything=True)
    built.close()
    return tmp_path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def test_a_sound_table_has_no_damage_and_stays_as_it_is(table: Path) -> None:
    before = state_of(table)
    shares: list[float] = []

    assert table_damage(table, shares.append) == []

    assert state_of(table) == before
    assert shares == [0.5, 1.0]


def test_a_table_that_is_not_there_yet_has_no_damage(tmp_path: Path) -> None:
    assert table_damage(tmp_path / "none") == []


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("suffix", [".parquet", ".index"])
def test_a_broken_file_is_named_and_no_other(
    table: Path, suffix: str, damage: Callable[[Path], None]
) -> None:
    broken = min((table / "segments").glob(f"*{suffix}"))
    damage(broken)

    found = table_damage(table)

    assert len(found) == 1
    assert str(broken) in found[0]


@pytest.mark.parametrize("suffix", [".parquet", ".index"])
def test_no_byte_changes_unnoticed(table: Path, suffix: str) -> None:
    """Headers of pages have no checksum: what was changed in one was read, or passed over."""
    broken = max((table / "segments").glob(f"*{suffix}"))
    sound = broken.read_bytes()
    missed = []
    for at in range(0, len(sound), 29):
        broken.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :])
        if len(table_damage(table)) != 1:
            missed.append(at)

    assert missed == []


def test_a_file_of_another_segment_is_no_substitute(table: Path) -> None:
    """Every page of it is sound; only its rows are not those that were written."""
    manifest = table / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"n_rows":40', '"n_rows":41', 1))

    found = table_damage(table)

    assert len(found) == 1
    assert "holds 40 rows, not 41" in found[0]


def test_a_manifest_that_cannot_be_read_is_the_damage(table: Path) -> None:
    (table / "manifest.json").write_bytes(b"\xff")

    found = table_damage(table)

    assert len(found) == 1
    assert "manifest.json" in found[0]
