"""The other ends that spans name in their attributes: databases, queues, and who is called."""

from __future__ import annotations

import ipaddress
from typing import Final

import msgspec
import numpy as np

from watchkeeper.lake import red_kernel as kernel
from watchkeeper.lake.red_services import Services
from watchkeeper.model.series import I32, I64, U8, U64
from watchkeeper.model.signal import SpanBatch

ADDRESS: Final = "address"
"""Stands for all peers that are called by their IP address, which tells no service."""
_MAX_PEERS: Final = 20_000
_TABLE: Final = 1 << 16


class Peers:
    """Names by key. For one thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.names: dict[int, str] = {}
        self._table = (np.zeros(_TABLE, np.uint64), np.zeros(_TABLE, np.int32))

    def name(self, key: int) -> str:
        """Empty where it is not known."""
        return self.names.get(key, "")

    def named(self, batch: SpanBatch, service: I32) -> tuple[U64, U8]:
        """The keys of the edges that spans tell of by themselves, 0 for none, and their sorts.
        `service` is by origin, -1 for spans that are left out."""
        key, sort = np.empty(len(batch), np.uint64), np.empty(len(batch), np.uint8)
        kernel.peers(
            (batch.origin, batch.kind),
            (batch.attributes.data, batch.attributes.offset),
            np.where(service >= 0, self._services.hash[service], np.uint64(0)),
            key,
            sort,
        )
        known = np.empty(len(batch), np.int32)
        if kernel.look_up(self._table, key, known):
            for row in strangers(known, key).tolist():
                self.remember(int(key[row]), _peer(batch.attributes[row], int(sort[row])))
        return key, sort

    def remember(self, key: int, name: str) -> None:
        if len(self.names) == _MAX_PEERS:  # those that still come are soon known again
            self.names.clear()
            self._table[0][:] = 0
        self.names[key] = name
        kernel.put_all(self._table, np.array([key], np.uint64), np.zeros(1, np.int32))


def strangers(group: I32, key: U64) -> I64:
    """The first row of each key that has no group."""
    rows = np.empty(len(group), np.int64)
    return rows[: kernel.strangers(group, key, rows)]


_attributes = msgspec.json.Decoder(dict[str, str])


def peer_of(attributes: bytes) -> str:
    """The peer that a span names, of whatever sort it is; empty for none."""
    found = (_peer(attributes, sort) for sort in (kernel.DATABASE, kernel.QUEUE, kernel.CALL))
    return next((name for name in found if name), "")


def _peer(attributes: bytes, sort: int) -> str:
    """The name of a peer, as one of `kernel.peers` has found it."""
    try:
        told = _attributes.decode(attributes)
    except msgspec.MsgspecError:
        return ""
    first, second = {
        kernel.DATABASE: (("db.system.name", "db.system"), ("db.namespace", "db.name")),
        kernel.QUEUE: (
            ("messaging.system",), ("messaging.destination.name", "messaging.destination")
        ),
        kernel.CALL: (("peer.service", "server.address", "net.peer.name"), ()),
    }[sort]  # fmt: skip
    parts = [
        next((told[name] for name in names if told.get(name)), "") for names in (first, second)
    ]
    if sort == kernel.CALL and _is_address(parts[0]):
        return ADDRESS
    return "/".join(part for part in parts if part)[: kernel.LONGEST]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
