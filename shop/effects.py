"""What faults change inside of services: told in the files of those that run just now, so that it
ends with them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

FOLDER = "breaks"
SETTLED_NS = 50_000_000
"""A folder that changed so recently may change once more within one tick of its clock."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is asked, instead of where it is."""

    service: str
    host: str
    port: int
    caller: str = "*"
    """Who is led astray; `*` is everybody."""


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    routes: Sequence[Route] = ()
    timeout_s: Mapping[str, float] = {}
    """How long a service waits for others."""
    retries: Mapping[str, int] = {}
    """How often a service asks again at once."""
    ahead_s: Mapping[str, float] = {}
    """How far the clock of a service is ahead."""


class Told(msgspec.Struct, frozen=True):
    """That part of a fault's file which services read."""

    effects: Effects = Effects()


class Felt:
    """What one service feels now. Looking costs a `stat` while nothing changes."""

    def __init__(self, home: Path, service: str) -> None:
        self._folder = home / FOLDER
        self._service = service
        self._changed_ns = -1
        self._effects: Sequence[Effects] = ()

    def address(self, service: str, host: str, port: int) -> tuple[str, int]:
        """Where to ask a service that is at `host` and `port`. The last fault counts."""
        for effects in self._now():
            for route in effects.routes:
                if route.service == service and route.caller in ("*", self._service):
                    host, port = route.host, route.port
        return host, port

    def timeout_s(self, usual_s: float) -> float:
        return min((e.timeout_s.get(self._service, usual_s) for e in self._now()), default=usual_s)

    def retries(self) -> int:
        return max((e.retries.get(self._service, 0) for e in self._now()), default=0)

    def ahead_s(self) -> float:
        return sum(e.ahead_s.get(self._service, 0.0) for e in self._now())

    def _now(self) -> Sequence[Effects]:
        try:
            changed_ns = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return ()
        if changed_ns != self._changed_ns:
            self._effects = tuple(_read(self._folder))
            is_settled = abs(time.clock_gettime_ns(time.CLOCK_REALTIME) - changed_ns) > SETTLED_NS
            self._changed_ns = changed_ns if is_settled else -1
        return self._effects


def _read(folder: Path) -> list[Effects]:
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(msgspec.json.decode(file.read_bytes(), type=Told).effects)
        except (FileNotFoundError, msgspec.MsgspecError):
            continue  # it ended just now
    return found
