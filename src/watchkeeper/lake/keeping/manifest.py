"""Which files there are, and up to where they hold the log. One small file, replaced whole.

Writing out, merging and dropping all follow one order: new files are written and synced, then the
manifest is replaced, then files that it no longer names are removed. A crash in between leaves
files that no manifest names; opening removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files

VERSION: Final = 1
FILE_NAME: Final = "manifest.json"
SEGMENTS: Final = "segments"
"""The folder of the files that a manifest names."""


class Info(Protocol):
    """What a manifest says of a segment: rows of one window of time, in files of its own."""

    @property
    def id(self) -> int: ...

    @property
    def window(self) -> int:
        """Which multiple of the window's length it lies in."""
        ...

    @property
    def place(self) -> tuple[int, int]:
        """What segments are sorted by: their window, and their order within it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Its files."""
        ...


I = TypeVar("I", bound=Info)  # noqa: E741 - an Info


class Manifest(msgspec.Struct, Generic[I], frozen=True, kw_only=True):
    """Everything that is in files."""

    version: int = VERSION
    stored: int = 0
    """The log position up to which everything is in these files."""
    next_number: int = 1
    """Of the first row behind `stored`."""
    next_id: int = 1
    window_ns: int = 0
    segments: tuple[I, ...] = ()
    """Sorted by place."""

    def up_to(self, stored: int, next_number: int) -> Manifest[I]:
        """With another head's rows in it."""
        return msgspec.structs.replace(self, stored=stored, next_number=next_number)

    def changed(
        self, *, added: tuple[I, ...] = (), removed: frozenset[int] = frozenset()
    ) -> Manifest[I]:
        """With some segments instead of others. Ids that were given out are not given again."""
        kept = [one for one in self.segments if one.id not in removed]
        return msgspec.structs.replace(
            self,
            segments=tuple(sorted([*kept, *added], key=lambda one: one.place)),
            next_id=max([self.next_id, *(one.id + 1 for one in added)]),
        )


def load(decoder: msgspec.json.Decoder[Manifest[I]], folder: Path, window_ns: int) -> Manifest[I]:
    """The manifest of a folder; an empty one where there is none."""
    path = folder / FILE_NAME
    if not path.exists():
        return Manifest(window_ns=window_ns)
    try:
        manifest = decoder.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Permanent(f"lake: {path} is damaged ({error}); restore it from a backup") from error
    if manifest.version != VERSION:
        raise Permanent(
            f"lake: {path} is of version {manifest.version}, this program reads {VERSION}; "
            "run the version that wrote it"
        )
    return manifest


def save(files: Files, folder: Path, manifest: Manifest[I]) -> None:
    """Replace the manifest durably; the files it names are synced, their names not yet."""
    files.sync_folder(folder / SEGMENTS)
    files.write_whole(folder / FILE_NAME, msgspec.json.encode(manifest))


def remove_orphans(files: Files, folder: Path, manifest: Manifest[I]) -> int:
    """Remove what no manifest names: leftovers of a crash. How many there were."""
    named = {name for segment in manifest.segments for name in segment.names}
    orphans = [path for path in (folder / SEGMENTS).iterdir() if path.name not in named]
    for path in orphans:
        files.remove(path)
    return len(orphans)
