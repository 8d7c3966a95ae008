"""What is kept to be replayed, after a disk, a person or a crash was at it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.disks import FaultyFiles, UnsyncedFiles
from watchkeeper.errors import Permanent
from watchkeeper.lake.files import PAGE_BYTES
from watchkeeper.lake.log_segment import Damage
from watchkeeper.lake.recording import packed
from watchkeeper.lake.recording.config import ReplayConfig
from watchkeeper.lake.recording.keeper import Keeper
from watchkeeper.lake.recording.packed import Packed, Times, pack
from watchkeeper.lake.recording.recording import KEPT_FOLDER, Recording, pieces
from watchkeeper.lake.recording.snapshot import Snapshot, State, snapshots, write
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.model import wire

N = 12
NAMED = "00000001-0000000000000000001-0000000000000000003-0000000000000000004-0000000000000000005"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteAheadLog]:
    """Twelve ticks, three to a segment; the log has let go of nine, and they are compressed."""
    config = WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=1 << 20)
    kept = tmp_path / KEPT_FOLDER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "BLOCK_BYTES", 1)
        opened = WriteAheadLog(tmp_path, config, files=UnsyncedFiles(), kept=kept)
        for n in range(N):
            opened.append([wire.encode(make.tick(n + 1))])
        opened.release(9)
        compress(opened)
        yield opened
        opened.close()


def compress(log: WriteAheadLog, **config: float) -> None:
    settings = ReplayConfig(**{"compress": True, **config})  # type: ignore[arg-type]
    keeper = Keeper(log.folder, settings, free_bytes=0, files=UnsyncedFiles())
    keeper.maintain(make.tick(N).now_ns)


def kept(log: WriteAheadLog) -> list[Path]:
    """Files of positions 1 to 3, 4 to 6 and 7 to 9."""
    found = [piece.path for piece in pieces(log.folder) if piece.path.parent != log.folder]
    assert len(found) == 3
    return found


def read(log: WriteAheadLog, after: int = 0) -> tuple[list[int], list[Damage]]:
    recording = Recording(log.folder)
    return [position for position, _ in recording.read(after)], recording.damage


def everything_but(*lost: int) -> list[int]:
    return [position for position in range(1, N + 1) if position not in lost]


# Segments


@pytest.mark.parametrize("place", range(3))
def test_a_file_that_somebody_deleted_is_missed_and_nothing_else(
    log: WriteAheadLog, place: int
) -> None:
    kept(log)[place].unlink()

    found, _ = read(log)

    assert found == everything_but(*range(3 * place + 1, 3 * place + 4))


@pytest.mark.parametrize("place", range(3))
def test_of_an_empty_file_it_is_said_that_its_records_are_missing(
    log: WriteAheadLog, place: int
) -> None:
    """As a crash of the machine leaves one whose name was written before its content."""
    os.truncate(kept(log)[place], 0)

    found, damage = read(log)

    lost = range(3 * place + 1, 3 * place + 4)
    assert found == everything_but(*lost)
    assert [(one.first_position, one.n_positions) for one in damage] == [(lost[0], 3)]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_of_a_file_that_was_cut_the_records_before_are_read(
    log: WriteAheadLog, share: float
) -> None:
    cut = kept(log)[1]
    os.truncate(cut, round(cut.stat().st_size * share))

    found, damage = read(log)

    assert found == sorted(found)
    assert set(everything_but(4, 5, 6)) <= set(found) < set(everything_but())
    assert {one.segment for one in damage} == {cut.name}


@pytest.mark.parametrize("byte", [0, 1, 7, 20, -1])
def test_a_flipped_byte_costs_no_record_of_another_file(log: WriteAheadLog, byte: int) -> None:
    hurt = kept(log)[1]
    content = bytearray(hurt.read_bytes())
    content[byte] ^= 0x5A
    hurt.write_bytes(content)

    found, _ = read(log)

    assert found == sorted(set(found))
    assert set(everything_but(4, 5, 6)) <= set(found)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"\0" * len(content),
        lambda content: b"\xff" * 4096,
        lambda content: content[::-1],
        lambda content: content[1:],
        lambda content: content * 2,
        lambda content: random.Random(3).randbytes(9000),
    ],
    ids=["empty", "zeroes", "ones", "reversed", "shifted", "twice", "chance"],
)
def test_whatever_lies_in_a_file_reading_goes_on_behind_it(
    log: WriteAheadLog, spoil: Callable[[bytes], bytes]
) -> None:
    file = kept(log)[0]
    file.write_bytes(spoil(file.read_bytes()))

    found, _ = read(log)

    assert set(everything_but(1, 2, 3)) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("after", range(N + 2))
def test_reading_begins_behind_any_position(log: WriteAheadLog, after: int) -> None:
    found, damage = read(log, after)

    assert found == [position for position in everything_but() if position > after]
    assert damage == []


def test_files_of_others_are_no_records(log: WriteAheadLog) -> None:
    folder = log.folder / KEPT_FOLDER
    for name in ("notes.txt", "00000001.kept", f"{NAMED}.kept.bak", f"x{NAMED}.kept", ".kept"):
        (folder / name).write_bytes(b"hello")
    (folder / "lost+found").mkdir()

    found, damage = read(log)

    assert found == everything_but()
    assert damage == []


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (f"{NAMED}.kept", True),
        (f"{NAMED}.KEPT", False),
        (f"{NAMED}.new", False),
        (NAMED.upper().replace("1", "A", 1) + ".kept", False),
        (NAMED[:-1] + ".kept", False),
        (f"{NAMED}.kept\n", False),
    ],
)
def test_a_file_is_known_by_the_whole_of_its_name(name: str, is_ours: bool) -> None:
    found = Packed.found(Path("kept") / name)

    assert (found is not None) is is_ours
    if found is not None:
        assert (found.serial, found.first, found.last) == (1, 1, 3)
        assert (found.start_ns, found.end_ns) == (4, 5)
        assert found.size_bytes == 0


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=30),
    gaps=st.lists(st.integers(0, 2), min_size=30, max_size=30),
    block=st.integers(1, 2000),
    wanted=st.integers(0, 70),
)
def test_whatever_is_packed_comes_back_from_any_position_on(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    gaps: list[int],
    block: int,
    wanted: int,
) -> None:
    """Positions may have gaps where records were damaged; payloads may be empty."""
    folder = tmp_path_factory.mktemp("packed")
    told, position = [], 0
    for length, gap in zip(lengths, gaps, strict=False):
        position += 1 + gap
        told.append((position, memoryview(bytes([position % 251]) * length)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "BLOCK_BYTES", block)
        made = pack(folder, 7, told, times=Times(1, 2), files=UnsyncedFiles())
    assert made is not None
    damage: list[Damage] = []

    found = [(at, bytes(payload)) for at, payload in made.records(wanted, damage)]

    assert found == [(at, bytes(payload)) for at, payload in told if at >= wanted]
    assert damage == []
    assert Packed.found(made.path) == made


def test_of_nothing_nothing_is_left(tmp_path: Path) -> None:
    assert pack(tmp_path, 1, [], times=Times(0, 0), files=UnsyncedFiles()) is None
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_in_the_middle_leaves_the_folder_readable(
    log: WriteAheadLog,
) -> None:
    """The next time there is room, it is done."""
    log.append([wire.encode(make.tick(N + 1))])
    log.release(N)
    faulty = FaultyFiles()
    faulty.fail("write", 28)
    full = Keeper(log.folder, ReplayConfig(compress=True), free_bytes=0, files=faulty)
    with pytest.raises(OSError, match="No space left"):
        full.maintain(make.tick(N).now_ns)
    meanwhile, _ = read(log)

    full.clean()
    compress(log)

    assert meanwhile == list(range(1, N + 2))
    assert read(log)[0] == meanwhile
    assert not list((log.folder / KEPT_FOLDER).glob("*.new"))


@pytest.mark.parametrize("settings", [{"keep_s": 0.0}, {"max_bytes": 0}], ids=str)
def test_who_keeps_nothing_any_more_gets_the_room_back(
    log: WriteAheadLog, settings: dict[str, float]
) -> None:
    compress(log, **settings)

    assert Recording(log.folder).first == 10
    assert not list((log.folder / KEPT_FOLDER).glob("*.kept"))


# Snapshots


def take(folder: Path, position: int = 5) -> Snapshot:
    folder.mkdir(exist_ok=True)
    entries = [State(0, at, position + at, bytes([at]) * 50) for at in range(3)]
    return write(folder, entries, now=lambda: make.tick(9).now_ns, files=UnsyncedFiles())


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_snapshot_that_was_cut_is_refused_wherever_it_was(tmp_path: Path, share: float) -> None:
    taken = take(tmp_path)
    os.truncate(taken.path, round(taken.path.stat().st_size * share))

    with pytest.raises(Permanent, match="is damaged; delete it, and begin at another time"):
        list(taken.states())


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7])
def test_a_snapshot_with_a_flipped_byte_is_refused(tmp_path: Path, place: float) -> None:
    taken = take(tmp_path)
    content = bytearray(taken.path.read_bytes())
    content[round(len(content) * place)] ^= 1
    taken.path.write_bytes(content)

    with pytest.raises(Permanent, match="is damaged"):
        list(taken.states())


@pytest.mark.parametrize("reads", ["states", "series"])
def test_a_snapshot_that_is_deleted_before_it_is_read_is_told_with_the_remedy(
    tmp_path: Path, reads: str
) -> None:
    """The server forgets old ones beside a replay; it ended with a traceback."""
    taken = take(tmp_path)
    taken.path.unlink()

    with pytest.raises(Permanent, match=r"was deleted meanwhile.*log\.replay\.keep_s"):
        list(getattr(taken, reads)())


def test_snapshots_are_listed_oldest_first_and_nothing_else_is(tmp_path: Path) -> None:
    for position in (9, 2, 5):
        take(tmp_path, position)
    (tmp_path / "snapshot.new").write_bytes(b"half")
    (tmp_path / "1-2.snapshot").write_bytes(b"")

    found = snapshots(tmp_path)

    assert [one.position for one in found] == [2, 5, 9]
    assert snapshots(tmp_path / "none") == []


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_snapshot_that_cannot_be_written_is_none(tmp_path: Path, call: str) -> None:
    faulty = FaultyFiles()
    faulty.fail(call, 28)

    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, [State(0, 0, 1, b"x")], now=lambda: 1, files=faulty)

    assert snapshots(tmp_path) == []


def test_a_snapshot_of_nothing_needs_the_record_from_its_beginning(tmp_path: Path) -> None:
    taken = write(tmp_path, [], now=lambda: 4, files=UnsyncedFiles())

    assert (taken.position, taken.taken_ns) == (0, 4)
    assert list(taken.states()) == []
    assert list(taken.series()) == []
