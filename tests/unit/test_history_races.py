"""Searching the history while it is merged, cut short by retention, or spoilt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.test_series_block import gone, pods, search
from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.series_history import FAN, History

NAMES = ["a", "b", "c", "d", "e"]


def kept(folder: Path, n_blocks: int) -> History:
    """One series per block, each in a file; the last time its number."""
    history = History(folder, Files())
    history.open()
    for number in range(n_blocks):
        history.add(gone(*pods(NAMES[number]), first=number, seen_ns=100 + number))
        history.flush(0)
    return history


def meanwhile(history: History, do: Callable[[], None]) -> None:
    """Let something happen while the next search is in the first of the blocks."""
    block = history._blocks[0]  # noqa: SLF001 (the seam at which another thread comes in)
    usual = block.opened

    def opened() -> object:
        block.opened = usual
        do()
        return usual()

    block.opened = opened  # type: ignore[assignment]


def test_a_search_finds_what_a_merge_moves_while_it_looks(tmp_path: Path) -> None:
    """The files of merged blocks were gone under the search, which then failed."""
    history = kept(tmp_path, FAN - 1)

    def merge() -> None:
        history.add(gone(*pods("d"), first=3, seen_ns=103))
        history.flush(0)

    meanwhile(history, merge)

    assert search(history) == ["a", "b", "c", "d"]
    assert history.n_blocks == 1


def test_a_search_forgets_what_retention_takes_while_it_looks(tmp_path: Path) -> None:
    history = kept(tmp_path, 3)
    meanwhile(history, lambda: history.flush(oldest_ns=102))

    assert search(history) == ["c"]


def test_a_file_that_somebody_removed_is_named_with_the_remedy(tmp_path: Path) -> None:
    history = kept(tmp_path, 2)
    lost = sorted(tmp_path.iterdir())[1]
    lost.unlink()

    with pytest.raises(Permanent, match=f"{lost} is missing; restore it from a backup"):
        search(history)


def test_a_file_that_no_search_needs_may_be_missing(tmp_path: Path) -> None:
    history = kept(tmp_path, 2)
    min(tmp_path.iterdir()).unlink()

    assert search(history, since_ns=101) == ["b"]


def test_readers_find_every_series_while_blocks_come_and_merge(tmp_path: Path) -> None:
    history = kept(tmp_path, 1)
    done = threading.Event()
    faults: list[str] = []

    def look() -> None:
        while not done.is_set():
            try:
                if "a" not in search(history):
                    faults.append("lost a series")
            except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
                faults.append(repr(error))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 40):
        history.add(gone(*pods(f"pod-{number}"), first=number))
        history.flush(0)
    done.set()
    for reader in readers:
        reader.join()

    assert faults == []
    assert len(search(history)) == 40
