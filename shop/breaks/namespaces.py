"""Network namespaces with a wire into them, on which the system itself loses packets.

A service listens where it always did; a door within the namespace is passed on to it. So nothing
of the machine's own network is touched, and all there is goes with the namespace.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from shop.breaks.processes import Failed
from shop.directory import NAMESPACES

MEANS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "nft": "nftables"}
"""Programs, and Debian's packages that have them."""
_CLONE_NEWNET = 0x40000000
_TIMEOUT_S = 10.0
WIRES = Path("/sys/class/net")


class Wire(NamedTuple):
    """Of one shop, told by its process. RFC 2544 keeps the addresses for trials."""

    name: str
    near: str
    far: str


def wire(shop_pid: int) -> Wire:
    net = f"198.18.{shop_pid >> 6 & 255}"
    first = (shop_pid & 63) * 4
    return Wire(f"wk{shop_pid}", f"{net}.{first + 1}", f"{net}.{first + 2}")


def lacks(path: str | None = None) -> str:
    """What keeps this machine from it; empty if nothing does. `path`: where programs are."""
    missing = [f"{one} ({of})" for one, of in MEANS.items() if shutil.which(one, path=path) is None]
    if missing:
        return ", ".join(missing)
    try:
        _run(["unshare", "--net", "nft", "-f", "-"], _rules("lo", 0))
    except Failed as why:
        return f"network namespaces: {why}"
    return ""


def make(name: str, one: Wire, lost: float) -> None:
    """A namespace with a wire, on which such a share of what is sent into it is lost. Failed where
    that cannot be."""
    _ip("netns", "add", name)
    _ip("link", "add", one.name, "type", "veth", "peer", "name", one.name, "netns", name)
    for at, address in ([], one.near), (["-n", name], one.far):
        _ip(*at, "address", "add", f"{address}/30", "dev", one.name)
        _ip(*at, "link", "set", one.name, "up")
    _run(["nsenter", f"--net={NAMESPACES / name}", "nft", "-f", "-"], _rules(one.name, lost))


def door(name: str, one: Wire) -> socket.socket:
    """Listens within that namespace; whoever has it needs not be there. Only the thread that makes
    it goes in."""
    with ThreadPoolExecutor(1) as inside:
        return inside.submit(_door, name, one.far).result()


def remove(name: str, wire_name: str) -> None:
    """It, its wire and its rules are gone; the wire first, which would go some time later."""
    if (WIRES / wire_name).exists():
        _ip("link", "delete", wire_name)
    if (NAMESPACES / name).exists():
        _ip("netns", "delete", name)


def _rules(wire_name: str, lost_share: float) -> str:
    per_mille = round(lost_share * 1000)
    lost = f'iifname "{wire_name}" numgen random mod 1000 < {per_mille} drop'
    hook = "type filter hook input priority 0;"
    return f"table inet breaks {{\n chain lost {{\n {hook}\n {lost}\n }}\n}}\n"


def _door(name: str, address: str) -> socket.socket:
    with (NAMESPACES / name).open("rb") as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
            raise Failed(f"{name} cannot be entered: {os.strerror(ctypes.get_errno())}")
    return socket.create_server((address, 0))


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(command: list[str], given: str = "") -> None:
    try:
        done = subprocess.run(
            command, input=given, text=True, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
