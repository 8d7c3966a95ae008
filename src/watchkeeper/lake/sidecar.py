"""Small files of named arrays that are mapped, not read: who is in a segment, and where."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files

Array = np.ndarray[Any, np.dtype[Any]]

_MAGIC: Final = b"WKarray1"
_ALIGN: Final = 64


class _Entry(msgspec.Struct, frozen=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """From the end of the header."""


def write_arrays(files: Files, path: Path, arrays: Mapping[str, Array]) -> int:
    """A new, synced file: magic, size of the header, header (JSON), arrays. Its size in bytes."""
    entries, parts, at = [], [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array)
        entries.append(_Entry(name, content.dtype.str, content.shape, at))
        padding = -content.nbytes % _ALIGN
        parts += [content.tobytes(), bytes(padding)]
        at += content.nbytes + padding
    header = msgspec.json.encode(entries)
    header += b" " * (-(len(header) + 16) % _ALIGN)
    whole = [_MAGIC + len(header).to_bytes(8, "little") + header, *parts]
    size = sum(map(len, whole))
    fd = files.create(path, size)
    try:
        files.write(fd, whole, 0)
        files.sync(fd)
    finally:
        files.close(fd)
    return size


def map_arrays(path: Path) -> dict[str, Array]:
    """The arrays, read only; their pages come in when they are touched."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(content[8:16], "little")
    if content[:8] != _MAGIC or 16 + size > len(content):
        raise Permanent(f"lake: {path} is damaged or of another version; restore it from a backup")
    out = {}
    for entry in msgspec.json.decode(content[16 : 16 + size], type=list[_Entry]):
        n = int(np.prod(entry.shape))
        flat = np.frombuffer(content, entry.dtype, n, 16 + size + entry.offset)
        out[entry.name] = flat.reshape(entry.shape)
    return out
