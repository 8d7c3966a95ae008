"""Asks a shop's supervisor, over its socket in the shop's folder: who runs, and to begin anew."""

from __future__ import annotations

import http.client
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisor.states import ProcessStates
from supervisor.xmlrpc import Faults, SupervisorTransport

END_S = 30.0
SOCKET = "supervisor.sock"
LONGEST = 100
"""Bytes of a socket's path; the system takes 107."""


class NoAnswer(Exception):
    """The supervisor is not there, or refuses."""


def pids(home: Path) -> dict[str, int]:
    """Of all processes that run now, by their names."""
    with _supervisor(home) as supervisor:
        return {one["name"]: one["pid"] for one in supervisor.getAllProcessInfo() if one["pid"]}


def restart(home: Path, name: str) -> None:
    """It is stopped, and started as what it is to be now."""
    with _supervisor(home) as supervisor:
        group = {one["name"]: one["group"] for one in supervisor.getAllProcessInfo()}
        whole = f"{group.get(name, name)}:{name}"
        try:
            supervisor.stopProcess(whole)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise
            _await_end(supervisor, whole)
        supervisor.startProcess(whole)


def _await_end(supervisor: Any, whole: str) -> None:
    """Somebody else may have told it to stop, and be gone; until it has it cannot be started."""
    until = time.monotonic() + END_S
    while supervisor.getProcessInfo(whole)["state"] == ProcessStates.STOPPING:
        if time.monotonic() > until:
            return
        time.sleep(0.05)


@contextmanager
def _supervisor(home: Path) -> Iterator[Any]:
    transport = SupervisorTransport(None, None, f"unix://{home / SOCKET}")
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        yield proxy.supervisor
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"the shop's supervisor in {home} does not answer: {error}") from error
    except xmlrpc.client.Fault as fault:
        raise NoAnswer(
            f"the supervisor of the shop in {home} refuses: {fault.faultString}"
        ) from fault
    finally:
        transport.close()
