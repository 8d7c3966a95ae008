"""Small files of named arrays that are mapped, not read: who is in a segment, and where."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from xxhash import xxh3_64, xxh3_64_intdigest

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files

Array = np.ndarray[Any, np.dtype[Any]]

_MAGIC: Final = b"WKarray1"
_HEAD_BYTES: Final = 24
_ALIGN: Final = 64


class _Entry(msgspec.Struct, frozen=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """From the end of the header."""


_decoder = msgspec.json.Decoder(list[_Entry])


def write_arrays(files: Files, path: Path, arrays: Mapping[str, Array]) -> int:
    """A new, synced file: magic, hash of the rest, size of the header, header (JSON), arrays.

    Its size in bytes.
    """
    entries, parts, at = [], [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array)
        entries.append(_Entry(name, content.dtype.str, content.shape, at))
        padding = -content.nbytes % _ALIGN
        parts += [content.tobytes(), bytes(padding)]
        at += content.nbytes + padding
    header = msgspec.json.encode(entries)
    header += b" " * (-(len(header) + _HEAD_BYTES) % _ALIGN)
    rest = [len(header).to_bytes(8, "little"), header, *parts]
    check = xxh3_64()
    for part in rest:
        check.update(part)
    whole = [_MAGIC, check.intdigest().to_bytes(8, "little"), *rest]
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
        is_whole = os.fstat(file.fileno()).st_size >= _HEAD_BYTES
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if is_whole else b""
    rest = memoryview(content)[16:]
    if content[:8] != _MAGIC or xxh3_64_intdigest(rest) != int.from_bytes(content[8:16], "little"):
        raise Permanent(f"lake: {path} is damaged or of another version; restore it from a backup")
    size = int.from_bytes(rest[:8], "little")
    out = {}
    for entry in _decoder.decode(rest[8 : 8 + size]):
        n = int(np.prod(entry.shape))
        flat = np.frombuffer(content, entry.dtype, n, _HEAD_BYTES + size + entry.offset)
        out[entry.name] = flat.reshape(entry.shape)
    return out
