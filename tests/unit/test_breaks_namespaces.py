"""Namespaces in which the system loses packets: who has which wire, and that nothing is left."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

pytest.importorskip("flask")

from shop.breaks import namespaces
from shop.breaks.processes import Failed
from shop.directory import NAMESPACES


def test_shops_beside_each_other_have_wires_of_their_own() -> None:
    wires = [namespaces.wire(pid) for pid in (1, 2, 63, 64, 4_194_303)]

    assert wires[0] == ("wk1", "198.18.0.5", "198.18.0.6")
    assert wires[3] == ("wk64", "198.18.1.1", "198.18.1.2")
    assert len({address for _, *both in wires for address in both}) == 10
    assert all(len(one.name) < 16 for one in wires)


def test_programs_that_are_missing_are_named_with_their_packages(tmp_path: Path) -> None:
    assert namespaces.lacks(str(tmp_path)) == (
        "ip (iproute2), nsenter (util-linux), unshare (util-linux), nft (nftables)"
    )


def test_what_cannot_be_entered_is_told() -> None:
    with pytest.raises((Failed, FileNotFoundError)):
        namespaces.door("no-namespace-of-that-name", namespaces.wire(1))


def test_a_door_behind_a_wire_is_reached_while_nothing_is_lost_and_all_of_it_goes() -> None:
    if missing := namespaces.lacks():
        pytest.skip(missing)
    name, wire = f"watchkeeper-test-{os.getpid()}", namespaces.wire(os.getpid())

    try:
        namespaces.make(name, wire, 0.0)
        with (
            namespaces.door(name, wire) as door,
            socket.create_connection(door.getsockname(), timeout=10) as near,
        ):
            door.accept()[0].close()
            said = near.recv(1)
    finally:
        namespaces.remove(name, wire.name)
        namespaces.remove(name, wire.name)

    assert said == b""
    assert not (NAMESPACES / name).exists()
    assert not (namespaces.WIRES / wire.name).exists()
