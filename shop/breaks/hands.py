"""What a fault does to a shop. Each act is written down before it is done, with what undoes it, so
that a fault that was killed halfway ends like any other."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shop import directory, release
from shop.breaks import groups, namespaces, record, sql
from shop.breaks.processes import Failed, born, signalled, start_agent
from shop.breaks.record import Record, Undo
from shop.control import pids
from shop.directory import Directory
from shop.effects import Route

TOLD_S = 5.0


def tell(shop: Directory, service: str, path: str, within_s: float = TOLD_S) -> None:
    """A service, past every fault between services. Raises Failed if it refuses."""
    at = shop.services[service]
    request = urllib.request.Request(f"http://{at.host}:{at.port}{path}", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=within_s):
            pass
    except urllib.error.HTTPError as error:
        with error:
            raise Failed(f"{service} refuses {path}: {error.read().decode()}") from error


class Hands:
    """Of one fault."""

    def __init__(self, home: Path, begun: Record) -> None:
        self.home = home.resolve()
        self.shop = directory.read(home)
        self._record = begun
        record.write(begun, home)

    @property
    def file(self) -> Path:
        return record.file_of(self.home, self._record.name)

    def later(self, verb: str, **given: Any) -> None:
        """To be done in the end; the last first."""
        self._write(undo=[*self._record.undo, Undo(verb, given)])

    def pid(self, service: str) -> int:
        try:
            return pids(self.home)[service]
        except KeyError:
            raise Failed(f"{service} does not run; see {self.home}/{service}.log") from None

    def simulate(
        self, service: str, what: str, unit: str, amount: float, *, endpoint: str = ""
    ) -> None:
        """At `/simulate/WHAT` of a service, so much of a unit, of which 0 ends it."""
        path = f"/simulate/{what}?" + (f"endpoint={endpoint}&" if endpoint else "") + f"{unit}="
        self.later("tell", service=service, path=f"{path}0")
        try:
            tell(self.shop, service, f"{path}{amount:g}")
        except OSError as error:
            raise Failed(f"{service} cannot be told {path}{amount:g}: {error}") from error

    def freeze(self, service: str) -> None:
        """It stands still, with everything it holds."""
        pid = self.pid(service)
        born_at = born(pid)
        if born_at is None:
            raise Failed(f"{service} ended just now; try again")
        self.later("continue", pid=pid, born=born_at)
        signalled(pid, born_at, signal.SIGSTOP)

    def effects(self, **more: Any) -> None:
        """What services feel from now on, by `shop.effects`."""
        self._write(effects=msgspec.structs.replace(self._record.effects, **more))

    def divert(self, service: str, host: str, port: int, caller: str = "*") -> None:
        """Whoever asks that service asks there."""
        route = Route(service=service, host=host, port=port, caller=caller)
        self.effects(routes=[*self._record.effects.routes, route])

    def agent(self, kind: str, fds: Sequence[int] = (), **given: Any) -> None:
        """Harm that somebody has to go on doing."""
        self.later("agents")
        start_agent(self.file, kind, given, fds)

    def proxy(self, service: str, caller: str = "*", **harm: float) -> None:
        """Between a service and whoever asks it, with `agents.proxy`'s kinds of harm."""
        at = {**self.shop.services, **self.shop.stores}[service]
        with socket.create_server((at.host, 0)) as door:
            port = door.getsockname()[1]
            self.agent(
                "proxy", [door.fileno()], fd=door.fileno(), host=at.host, port=at.port, **harm
            )
        self.divert(service, at.host, port, caller)

    def lose(self, service: str, lost: float) -> None:
        """Such a share of the packets to a service, from whoever asks it from now on."""
        name = f"{groups.PREFIX}{self._record.name}-{self.shop.pid}"
        at = self.shop.services[service]
        wire = namespaces.wire(self.shop.pid)
        self.later("namespace", name=name, wire_name=wire.name)
        namespaces.make(name, wire, lost)
        with namespaces.door(name, wire) as door:
            port = door.getsockname()[1]
            self.agent("proxy", [door.fileno()], fd=door.fileno(), host=at.host, port=at.port)
        self.divert(service, wire.far, port)

    def confine(self, controller: str, limits: Mapping[str, str], services: Sequence[str]) -> Path:
        """A cgroup of its own with those limits, for those services."""
        pid = self.pid(services[0])
        folder, back = groups.place(controller, pid, f"{self._record.name}-{self.shop.pid}")
        self.later("group", folder=str(folder), back=str(back))
        groups.make(folder, limits)
        for service in services:
            groups.enter(folder, self.pid(service))
        return folder

    def deploy(self, service: str, version: str, *settings: str) -> None:
        """Another release of it, told to whoever watches as any other is."""
        chosen = [word for one in settings for word in ("--set", one)]
        at = ["--home", str(self.home), "--by", "shop.breaks"]
        self.later("release", service=service, version=version)
        if release.main(["deploy", service, version, *chosen, *at]):
            raise Failed(f"{version} of {service} could not be deployed; see {self.home}")

    def sql(self, statements: Sequence[str]) -> None:
        sql.execute(self.shop, self.home, statements)

    def nested(self, name: str) -> str:
        """The name of a fault that an agent begins and ends, time and again."""
        inner = f"{self._record.name}.{name}"
        self.later("fault", name=inner)
        return inner

    def _write(self, **more: Any) -> None:
        self._record = msgspec.structs.replace(self._record, **more)
        record.write(self._record, self.home)
