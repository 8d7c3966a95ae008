"""A block of series that have left memory: an index of labels as one file, mapped when searched."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np
import xxhash

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.lake import series_layout_kernel as layout
from watchkeeper.lake.files import Files
from watchkeeper.lake.series_index import CHUNK, U16, Columns, IndexLimits, SeriesIndex
from watchkeeper.model.series import I64, U8, U64, LabelBlock

MAGIC: Final = b"wkgone01"
_ALIGNMENT: Final = 64
_HEAD: Final = struct.Struct("<8sQQ")  # magic, size and checksum of the header
_MAX_LABELS: Final = 250
_LEAST_LABEL_BYTES: Final = 6
"""A label takes at least so many bytes, so there are no more of them than bytes divided by it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Series that left memory together."""

    tenants: Sequence[str]
    """By number."""
    tenant: U16
    identity: U64
    seen_ns: I64
    labels: LabelBlock

    def __len__(self) -> int:
        return len(self.tenant)


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    tenants: tuple[str, ...]
    n: int
    last_seen_ns: int
    replaces: tuple[str, ...]
    """Names of the files that were merged into this one."""
    arrays: dict[str, tuple[str, tuple[int, ...], int]]
    """Kind, shape and offset of each."""
    checksum: int
    """Of all bytes behind the header."""


_decoder = msgspec.msgpack.Decoder(_Header)


@dataclass(slots=True, eq=False)
class Block:
    """Gone series, searchable. In memory, or in a file and then mapped while it is searched."""

    tenants: tuple[str, ...]
    last_seen_ns: int
    replaces: tuple[str, ...]
    path: Path | None
    opened: Callable[[], tuple[SeriesIndex, I64]]
    """The index, and when each of its series was last seen."""
    _n: int

    def __len__(self) -> int:
        return self._n

    @classmethod
    def of(cls, gone: Sequence[Gone], replaces: tuple[str, ...] = ()) -> Self:
        """In memory. A series that left several times is kept once, with its latest time."""
        tenants: dict[str, int] = {}
        index = _room(gone)
        seen_ns = np.zeros(len(index.columns.n_labels), np.int64)
        for one in gone:
            for number, name in enumerate(one.tenants):
                rows = np.flatnonzero(one.tenant == number)
                if len(rows):
                    number_here = tenants.setdefault(name, len(tenants))
                    _enter(index, seen_ns, one, rows, number_here)
        n = index.high_slot
        seen_ns = seen_ns[:n]
        last_seen_ns = int(seen_ns.max(initial=0))
        return cls(tuple(tenants), last_seen_ns, replaces, None, lambda: (index, seen_ns), n)

    @classmethod
    def merged(cls, blocks: Sequence[Self], oldest_ns: int) -> Self:
        """All of some blocks, but for what was last seen before `oldest_ns`."""
        replaces = tuple(block.path.name for block in blocks if block.path is not None)
        return cls.of([gone for block in blocks for gone in block.series(oldest_ns)], replaces)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the header alone."""
        file = _File(path)
        header = file.header
        return cls(
            header.tenants, header.last_seen_ns, header.replaces, path, file.opened, header.n
        )

    def save(self, path: Path, files: Files) -> Self:
        """The same block, from its file."""
        index, seen_ns = self.opened()
        arrays = {**_trimmed(index.columns), "seen_ns": seen_ns}
        parts: list[bytes] = []
        placed, offset = {}, 0
        for name, array in arrays.items():
            placed[name] = (array.dtype.str, array.shape, offset)
            parts += (array.tobytes(), bytes(-array.nbytes % _ALIGNMENT))
            offset += len(parts[-2]) + len(parts[-1])
        body = b"".join(parts)
        header = msgspec.msgpack.encode(
            _Header(
                tenants=self.tenants,
                n=len(self),
                last_seen_ns=self.last_seen_ns,
                replaces=self.replaces,
                arrays=placed,
                checksum=xxhash.xxh3_64_intdigest(body),
            )
        )
        head = _HEAD.pack(MAGIC, len(header), xxhash.xxh3_64_intdigest(header))
        padding = bytes(_begin(len(header)) - len(head) - len(header))
        try:
            files.write_whole(path, b"".join((head, header, padding, body)))
        except OSError as error:
            raise Retryable(
                f"catalog: {path}: {error.strerror}; check free space and permissions"
            ) from error
        return type(self).load(path)

    def series(self, oldest_ns: int) -> list[Gone]:
        """What was last seen at or after `oldest_ns`, in chunks."""
        index, seen_ns = self.opened()
        slots = np.flatnonzero(seen_ns >= oldest_ns).astype(np.int32)
        found = []
        for first in range(0, len(slots), CHUNK):
            some = slots[first : first + CHUNK]
            found.append(
                Gone(
                    self.tenants,
                    index.columns.tenant[some],
                    index.columns.identity[some],
                    seen_ns[some],
                    index.label_block(some),
                )
            )
        return found


def _room(gone: Sequence[Gone]) -> SeriesIndex:
    n = sum(map(len, gone))
    n_bytes = sum(int((one.labels.end - one.labels.start).sum()) for one in gone)
    n_labels = n_bytes // _LEAST_LABEL_BYTES + 1
    return SeriesIndex.empty(
        IndexLimits(
            n_slots=n,
            n_pairs=n_labels,
            n_names=min(n_labels, 1 << 20),
            text_bytes=3 * n_bytes + 64,
            labels=_MAX_LABELS,
            run_bytes=n_bytes,
        ),
        # As secret as the installation's key, so senders cannot choose labels that collide here.
        seed=int(gone[0].identity[0, 0]) if n else 0,
    )


def _enter(index: SeriesIndex, seen_ns: I64, gone: Gone, rows: I64, tenant: int) -> None:
    index.make_room(len(rows))
    verdict: U8 = np.zeros(len(rows), np.uint8)
    labels = LabelBlock(gone.labels.buffer, gone.labels.start[rows], gone.labels.end[rows])
    slots, is_new = index.claim(
        gone.identity[rows], verdict, budget=(len(rows), len(rows)), refusals=(1, 1)
    )
    index.place(labels, np.flatnonzero(is_new), slots, tenant=tenant, verdict=verdict)
    np.maximum.at(seen_ns, slots, gone.seen_ns[rows])


def _trimmed(columns: Columns) -> dict[str, np.ndarray[Any, Any]]:
    """What is in use of each array; what only serves growth is left out."""
    counters = columns.counters
    used = {
        "pair": int(counters[layout.N_POSITIONS]),
        "links": int(counters[layout.N_POSITIONS]),
        "text": int(counters[layout.TEXT_END]) + READ_SLACK,
        "free_slots": 1,
        "row_free": 1,
        "text_free": 1,
    }
    by_prefix = {
        "pair_": int(counters[layout.N_PAIRS]),
        "name_": int(counters[layout.N_NAMES]),
    }
    n = int(counters[layout.HIGH])
    arrays = {}
    for name, array in columns._asdict().items():
        if name == "counters" or name.endswith("_table"):
            arrays[name] = array
        else:
            arrays[name] = array[: used.get(name, by_prefix.get(name[:5], n))]
    return arrays


class _File:
    """A block's file. It is checked as a whole the first time that it is searched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_checked = False
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            magic, size, checksum = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
            header = file.read(size) if magic == MAGIC else b""
        if magic != MAGIC or xxhash.xxh3_64_intdigest(header) != checksum:
            raise _damaged(path)
        self.header = _decoder.decode(header)
        self._begin = _begin(size)

    def opened(self) -> tuple[SeriesIndex, I64]:
        """Mapped, and unmapped when the caller lets go: gone series take no memory for long."""
        with self._path.open("rb") as file:
            # A private copy: to kernels, arrays that cannot be written to are of another type.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if not self._is_checked:
            with memoryview(mapped) as view, view[self._begin :] as body:
                if xxhash.xxh3_64_intdigest(body) != self.header.checksum:
                    raise _damaged(self._path)
            self._is_checked = True
        arrays = {
            name: np.frombuffer(
                mapped, np.dtype(kind), int(np.prod(shape)), self._begin + offset
            ).reshape(shape)
            for name, (kind, shape, offset) in self.header.arrays.items()
        }
        seen_ns = arrays.pop("seen_ns")
        return SeriesIndex(Columns(**arrays)), seen_ns


def _begin(header_bytes: int) -> int:
    """Where the arrays begin."""
    return -(-(_HEAD.size + header_bytes) // _ALIGNMENT) * _ALIGNMENT


def _damaged(path: Path) -> Permanent:
    return Permanent(
        f"catalog: {path} is damaged; restore it from a backup, or remove it: then queries do "
        "not find the series that left memory around its time"
    )
