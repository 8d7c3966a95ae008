"""Checkpoints as files, one per partition and the one before it, each whole or not at all."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import xxhash

from watchkeeper import telemetry
from watchkeeper.bus.base import ALL_PARTITIONS, Checkpoint
from watchkeeper.bus.ports import Disk
from watchkeeper.errors import Retryable
from watchkeeper.model.series import N_PARTITIONS

_log: Final = telemetry.Log(__name__)
_TORN: Final = telemetry.counter(
    "watchkeeper_bus_torn_checkpoints_total", "Checkpoints that could not be read."
)
_HEAD: Final = struct.Struct("<8sQqQ")  # magic checksum fence position
_MAGIC: Final = b"WKCHECK1"


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint as it lies in a file, with the token of who wrote it."""

    fence: int
    checkpoint: Checkpoint


class CheckpointFiles:
    """`<folder>/<topic>.<group>/<partition>` and `<partition>.before`.

    The one before is kept because a disk may lose a file that it called durable; so the log must
    be kept from there on, see `floor`.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def write(
        self, topic: str, group: str, partition: int, *, fence: int, checkpoint: Checkpoint
    ) -> None:
        """Raises Retryable; then the former checkpoint is still there."""
        path = self._path(topic, group, partition)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if _read(path) is not None:
                path.replace(_before(path))
            self._disk.write_whole(path, _pack(fence, checkpoint))
        except OSError as error:
            raise Retryable(
                f"checkpoint: cannot write '{path}': {error.strerror}; free space on its disk"
            ) from error

    def read(
        self, topic: str, group: str, partitions: Collection[int] = ALL_PARTITIONS
    ) -> dict[int, Kept]:
        """The newest whole checkpoint of each of these partitions that has one."""
        found = {}
        for partition in partitions:
            path = self._path(topic, group, partition)
            kept = _read(path) or _read(_before(path))
            if kept is not None:
                found[partition] = kept
        return found

    def floor(self, topic: str, groups: Collection[str]) -> int:
        """Up to here none of these groups would need the log, whatever checkpoint it starts from;
        0 while one of their partitions has no checkpoint to spare."""
        lowest = [
            _position(_before(self._path(topic, group, partition)))
            for group in groups
            for partition in range(N_PARTITIONS)
        ]
        return min(lowest, default=0)

    def _path(self, topic: str, group: str, partition: int) -> Path:
        return self._folder / f"{topic}.{group}" / f"{partition:02d}"


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.before")


def _pack(fence: int, checkpoint: Checkpoint) -> bytes:
    head = _HEAD.pack(_MAGIC, 0, fence, checkpoint.position)
    checksum = _checksum(head, checkpoint.state)
    return _HEAD.pack(_MAGIC, checksum, fence, checkpoint.position) + checkpoint.state


def _read(path: Path) -> Kept | None:
    """None if there is none, or none that is whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    head, state = content[: _HEAD.size], content[_HEAD.size :]
    if len(head) == _HEAD.size:
        magic, checksum, fence, position = _HEAD.unpack(head)
        if magic == _MAGIC and checksum == _checksum(head, state):
            return Kept(fence, Checkpoint(position, state))
    _TORN.add()
    _log.warning("checkpoint not whole, the one before it is used", file=path)
    return None


def _position(path: Path) -> int:
    """The position that a checkpoint covers, without reading its state; 0 if there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except FileNotFoundError:
        return 0
    return int(_HEAD.unpack(head)[3]) if len(head) == _HEAD.size else 0


def _checksum(head: bytes, state: bytes) -> int:
    seed = xxhash.xxh3_64_intdigest(head[16:])
    return xxhash.xxh3_64_intdigest(state, seed)
