"""Which files are a table, and up to where they hold the log. Replaced whole, as the lake's is."""

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
    """One file of rows with its index beside it; rows of one window of time."""

    id: int
    window: int
    tier: int
    """How often its rows were merged."""
    n_rows: int
    start_ns: int
    end_ns: int
    """Of the oldest and the newest row; both belong to it."""
    n_bytes: int

    @property
    def names(self) -> tuple[str, str]:
        return self.rows_name, self.index_name

    @property
    def rows_name(self) -> str:
        return f"{self.id:08}.parquet"

    @property
    def index_name(self) -> str:
        return f"{self.id:08}.index"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is in files."""

    version: int = VERSION
    stored: int = 0
    """The log position up to which everything is in these files."""
    next_number: int = 1
    """Of the first row behind `stored`."""
    next_id: int = 1
    window_ns: int = 0
    segments: tuple[SegmentInfo, ...] = ()
    """Sorted by window and age."""

    def up_to(self, stored: int, next_number: int) -> Manifest:
        """With another head's rows in it."""
        return msgspec.structs.replace(self, stored=stored, next_number=next_number)

    def changed(
        self, *, added: tuple[SegmentInfo, ...] = (), removed: frozenset[int] = frozenset()
    ) -> Manifest:
        """With some segments instead of others."""
        kept = [one for one in self.segments if one.id not in removed]
        return msgspec.structs.replace(
            self,
            segments=tuple(sorted([*kept, *added], key=lambda one: (one.window, one.start_ns))),
            next_id=max([self.next_id, *(one.id + 1 for one in added)]),
        )


def load(folder: Path, window_ns: int) -> Manifest:
    """The manifest of a table's folder; an empty one where there is none."""
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


def remove_orphans(files: Files, folder: Path, manifest: Manifest) -> None:
    """Remove what no manifest names: leftovers of a crash."""
    named = {name for segment in manifest.segments for name in segment.names}
    for path in (folder / SEGMENTS).iterdir():
        if path.name not in named:
            files.remove(path)
