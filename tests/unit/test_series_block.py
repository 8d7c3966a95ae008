"""Blocks of series that have left memory: made, saved, mapped, merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests import make
from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.series_block import Block, Gone
from watchkeeper.lake.series_history import FAN, History
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp, TenantId

OTHER = TenantId("other")


def gone(
    *rows: Mapping[str, str],
    first: int = 0,
    seen_ns: int = 100,
    tenant: Sequence[int] = (),
    tenants: Sequence[str] = (DEFAULT_TENANT, OTHER),
) -> Gone:
    """Series with identities from `first` on."""
    n = len(rows)
    number = np.arange(first + 1, first + n + 1, dtype=np.uint64)
    return Gone(
        tenants,
        np.array(list(tenant) or [0] * n, np.uint16),
        np.stack([number, number], axis=1),
        np.full(n, seen_ns, np.int64),
        make.label_block(*rows),
    )


def pods(*names: str) -> list[dict[str, str]]:
    return [make.labels("up", pod=name) for name in names]


def content(block: Block) -> list[tuple[int, str, dict[str, str], int]]:
    """(identity, tenant, labels, last seen) of all series."""
    index, seen_ns = block.opened()
    slots = np.arange(len(block), dtype=np.int32)
    return sorted(
        zip(
            index.columns.identity[slots, 0].tolist(),
            [block.tenants[number] for number in index.columns.tenant[slots].tolist()],
            index.labels(slots),
            seen_ns.tolist(),
            strict=True,
        ),
        key=lambda row: row[0],
    )


def test_a_block_holds_what_left(tmp_path: Path) -> None:
    block = Block.of([gone(*pods("a", "b"), tenant=(0, 1)), gone(*pods("c"), first=2, seen_ns=50)])

    expected = [
        (1, DEFAULT_TENANT, pods("a")[0], 100),
        (2, OTHER, pods("b")[0], 100),
        (3, DEFAULT_TENANT, pods("c")[0], 50),
    ]
    assert content(block) == expected
    assert content(block.save(tmp_path / "1.series", Files())) == expected
    assert content(Block.load(tmp_path / "1.series")) == expected
    assert block.last_seen_ns == Block.load(tmp_path / "1.series").last_seen_ns == 100


def test_a_series_that_left_twice_is_kept_once_with_its_latest_time() -> None:
    block = Block.of([gone(*pods("a"), seen_ns=200), gone(*pods("a", "b"), seen_ns=100)])

    assert [(row[0], row[3]) for row in content(block)] == [(1, 200), (2, 100)]


def test_tenants_are_known_by_name_whatever_their_numbers(tmp_path: Path) -> None:
    left = Block.of([gone(*pods("a"), tenants=("x",))]).save(tmp_path / "1.series", Files())
    right = Block.of([gone(*pods("b"), first=1, tenants=("y", "x"), tenant=[1])])

    merged = Block.merged([left, right], oldest_ns=0)

    assert merged.tenants == ("x",)
    assert [row[1] for row in content(merged)] == ["x", "x"]
    assert merged.replaces == ("1.series",)


def test_a_merge_leaves_out_what_is_too_old() -> None:
    old = Block.of([gone(*pods("a"), seen_ns=10), gone(*pods("b"), first=1, seen_ns=20)])

    assert [row[0] for row in content(Block.merged([old], oldest_ns=20))] == [2]
    assert len(Block.merged([old], oldest_ns=21)) == 0


def test_large_labels_and_many_of_them_have_room(tmp_path: Path) -> None:
    rows = [{"__name__": "m", **{f"l{k:03}": str(k) * 40 for k in range(249)}} for _ in range(3)]
    rows.append({"__name__": "x" * 60_000})

    block = Block.of([gone(*rows)]).save(tmp_path / "1.series", Files())

    assert [row[2] for row in content(block)] == rows


def test_the_file_is_mapped_afresh_for_each_search(tmp_path: Path) -> None:
    block = Block.of([gone(*pods("a"))]).save(tmp_path / "1.series", Files())
    first, _ = block.opened()
    first.columns.n_labels[0] = 0

    assert content(block)[0][2] == pods("a")[0], "what one search does, no other one sees"


@pytest.mark.parametrize("size", [0, 10, 30, 200])
def test_a_file_cut_short_is_noticed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "1.series"
    Block.of([gone(*pods("a"))]).save(path, Files())
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(Permanent, match=r"1\.series is damaged"):
        Block.load(path).opened()


def history(folder: Path) -> History:
    found = History(folder, Files())
    found.open()
    return found


def search(found: History, tenant: TenantId = DEFAULT_TENANT, since_ns: int = 0) -> list[str]:
    wanted = [Matcher("pod", MatchOp.NOT_EQUAL, "")]
    return sorted(labels["pod"] for labels in found.select(tenant, wanted, since_ns).values())


def test_what_waits_what_is_in_memory_and_what_is_in_files_is_found_alike(tmp_path: Path) -> None:
    found = history(tmp_path)
    found.add(gone(*pods("a")))
    found.flush(0)
    found.add(gone(*pods("b"), first=1, seen_ns=300))
    assert search(found) == ["a", "b"]
    found.add(gone(*pods("c"), first=2, tenant=[1]))

    assert search(found) == ["a", "b"]
    assert search(found, OTHER) == ["c"]
    assert search(found, since_ns=101) == ["b"]
    assert len(found) == 3


def test_the_same_series_in_several_blocks_is_found_once(tmp_path: Path) -> None:
    found = history(tmp_path)
    for _ in range(3):
        found.add(gone(*pods("a")))
        found.flush(0)

    assert len(found) == 3
    assert search(found) == ["a"]


def test_a_history_is_the_same_after_a_restart(tmp_path: Path) -> None:
    found = history(tmp_path)
    for number in range(FAN + 2):
        found.add(gone(*pods(f"pod-{number}"), first=number))
        found.flush(0)

    again = history(tmp_path)

    assert search(again) == search(found)
    assert again.n_blocks == found.n_blocks == 3
    again.add(gone(*pods("late"), first=99))
    again.flush(0)
    assert search(history(tmp_path)) == search(again)


def test_only_blocks_of_like_size_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.lake.series_history.LEAST", 2)
    monkeypatch.setattr("watchkeeper.lake.series_history.MOST", 16)
    found = history(tmp_path)
    for number in range(64):
        found.add(gone(*pods(f"a-{number}", f"b-{number}"), first=2 * number))
        found.flush(0)

    assert len(search(found)) == 128
    assert found.n_blocks < 64 / 4, "few blocks are searched"
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 60_000, "none grows for ever"


def test_blocks_without_a_series_worth_keeping_are_deleted(tmp_path: Path) -> None:
    found = history(tmp_path)
    found.add(gone(*pods("a"), seen_ns=10))
    found.flush(0)
    found.add(gone(*pods("b"), first=1, seen_ns=20))

    found.flush(oldest_ns=15)

    assert search(found) == ["b"]
    assert len(list(tmp_path.iterdir())) == 1
    found.flush(oldest_ns=25)
    assert list(tmp_path.iterdir()) == []
    assert search(found) == []
