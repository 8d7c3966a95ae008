"""Which files are the lake. One small file says so, and is replaced whole.

Writing a segment, compacting and dropping all follow one order: new files are written and synced,
then the manifest is replaced, then files that it no longer names are removed. A crash in between
leaves files that no manifest names; opening removes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files

VERSION: Final = 1
FILE_NAME: Final = "manifest.json"
SEGMENTS: Final = "segments"


class SegmentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One segment: samples of one window of time, and perhaps their five-minute cells."""

    id: int
    window: int
    """Which multiple of the window's length it lies in. Segments of two windows never overlap."""
    order: int
    """Of arrival, within the window: where two segments hold the same time, the lower one wins."""
    tier: int
    """How often its samples were merged."""
    n_rows: int
    n_series: int
    start_ns: int
    end_ns: int
    """Of the first and the last sample; both belong to it."""
    n_bytes: int
    """Of all its files."""
    has_raw: bool = True
    """False: retention took the samples, the cells are left."""
    has_cells: bool = False
    considered: bool = False
    """A compaction has decided whether cells are worth keeping."""

    @property
    def names(self) -> list[str]:
        names = [self.index_name]
        if self.has_raw:
            names.append(self.raw_name)
        if self.has_cells:
            names += [self.cells_name, self.cells_index_name]
        return names

    @property
    def raw_name(self) -> str:
        return f"{self.id:08}.parquet"

    @property
    def index_name(self) -> str:
        return f"{self.id:08}.index"

    @property
    def cells_name(self) -> str:
        return f"{self.id:08}.5m.parquet"

    @property
    def cells_index_name(self) -> str:
        return f"{self.id:08}.5m.index"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is in files. Segments are sorted by window and order."""

    version: int = VERSION
    stored: int = 0
    """The log position up to which everything is in these files."""
    next_id: int = 1
    next_order: int = 1
    window_ns: int = 0
    segments: tuple[SegmentInfo, ...] = ()

    def changed(
        self,
        *,
        added: tuple[SegmentInfo, ...] = (),
        removed: frozenset[int] = frozenset(),
        stored: int | None = None,
    ) -> Manifest:
        """With some segments instead of others. Numbers that were given out are not given again."""
        kept = [segment for segment in self.segments if segment.id not in removed]
        segments = sorted([*kept, *added], key=lambda segment: (segment.window, segment.order))
        return msgspec.structs.replace(
            self,
            segments=tuple(segments),
            stored=self.stored if stored is None else stored,
            next_id=max([self.next_id, *(segment.id + 1 for segment in added)]),
            next_order=max([self.next_order, *(segment.order + 1 for segment in added)]),
        )


def load(folder: Path, window_ns: int) -> Manifest:
    """The manifest of a lake's folder; an empty one where there is none."""
    path = folder / FILE_NAME
    if not path.exists():
        return Manifest(window_ns=window_ns)
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Permanent(f"lake: {path} is damaged ({error}); restore it from a backup") from error
    if manifest.version != VERSION:
        raise Permanent(
            f"lake: {path} is of version {manifest.version}, this program reads {VERSION}; "
            "run the version that wrote it"
        )
    return manifest


def save(files: Files, folder: Path, manifest: Manifest) -> None:
    """Replace the manifest durably; the files it names are synced, their names not yet."""
    files.sync_folder(folder / SEGMENTS)
    files.write_whole(folder / FILE_NAME, msgspec.json.encode(manifest))


def remove_orphans(files: Files, folder: Path, manifest: Manifest) -> int:
    """Remove what no manifest names: leftovers of a crash. How many there were."""
    named = {name for segment in manifest.segments for name in segment.names}
    orphans = [path for path in (folder / SEGMENTS).iterdir() if path.name not in named]
    for path in orphans:
        files.remove(path)
    return len(orphans)
