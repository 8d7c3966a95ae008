"""The form of a partition's checkpoint: what was learned, by identity, fit for other processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from watchkeeper.analyze import rulings
from watchkeeper.analyze.absent import States
from watchkeeper.model.series import U64, Mask


class Packed(msgspec.Struct, array_like=True):
    """An array."""

    kind: str
    shape: list[int]
    data: bytes
    rows: bytes = b""
    """Where some rows are all zeros and left out: a bit for each, set for those that are there."""


class Kept(msgspec.Struct, array_like=True):
    """Of one partition. What others append, older ones do without."""

    identities: bytes
    detectors: dict[str, tuple[int, dict[str, Packed]]]
    """By name, the version and the arrays."""
    derived: bytes
    watchers: dict[str, tuple[int, bytes]] = {}
    red: bytes = b""
    ruled: bytes = b""
    """What people decided; see `rulings.py`."""
    ledger: bytes = b""
    """What is open; see `ledger.py`."""

    @property
    def identity(self) -> U64:
        return np.frombuffer(self.identities, np.uint64).reshape(-1, 2)

    def states(self, versions: Mapping[str, int]) -> States:
        """Of those detectors whose version is the one that was kept."""
        return {
            name: {column: _unpacked(array) for column, array in arrays.items()}
            for name, (version, arrays) in self.detectors.items()
            if versions.get(name) == version
        }


_decoder = msgspec.msgpack.Decoder(Kept)


class Beside(msgspec.Struct, frozen=True):
    """What a checkpoint holds besides what detectors learned."""

    derived: bytes
    watchers: Mapping[str, tuple[int, bytes]]
    red: bytes
    ruled: bytes
    ledger: bytes


def encode(identity: U64, states: States, versions: Mapping[str, int], beside: Beside) -> bytes:
    """`decode` reads it."""
    detectors = {
        name: (versions[name], {column: _packed(array) for column, array in arrays.items()})
        for name, arrays in states.items()
    }
    identities = np.ascontiguousarray(identity).tobytes()
    of = dict(beside.watchers)
    kept = Kept(identities, detectors, beside.derived, of, beside.red, beside.ruled, beside.ledger)
    return msgspec.msgpack.encode(kept)


def decode(state: bytes) -> Kept:
    return _decoder.decode(state)


def without_settings(state: bytes) -> bytes:
    """The same, judged by the settings of whoever loads it."""
    kept = decode(state)
    kept.ruled = rulings.without_settings(kept.ruled)
    return msgspec.msgpack.encode(kept)


def _packed(array: np.ndarray[Any, Any]) -> Packed:
    shape = list(array.shape)
    there: Mask = np.ones(len(array), np.bool_)
    if array.size:
        flat = np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)
        there = np.asarray(flat.any(axis=1))
    rows = b""
    if not there.all():
        array, rows = array[there], np.packbits(there).tobytes()
    return Packed(array.dtype.str, shape, np.ascontiguousarray(array).tobytes(), rows)


def _unpacked(packed: Packed) -> np.ndarray[Any, Any]:
    kept = np.frombuffer(packed.data, np.dtype(packed.kind))
    if not packed.rows:
        return kept.reshape(packed.shape)
    n = packed.shape[0]
    there = np.unpackbits(np.frombuffer(packed.rows, np.uint8), count=n).astype(np.bool_)
    whole = np.zeros(packed.shape, packed.kind)
    whole[there] = kept.reshape(-1, *packed.shape[1:])
    return whole
