"""A server of a command's own: a child process that is stopped whatever happens."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Final, Self

from watchkeeper.cli.child import Child
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.sdk import Client

_HOST: Final = "127.0.0.1"
_START_S: Final = 600.0
"""The first start of all compiles what serves, which takes minutes on a busy machine."""
_LOOK_S: Final = 0.1


class Server:
    """`watchkeeper run` on this machine only. Leaving the `with` stops it."""

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        number = port or _free_port()
        self.url = f"http://{_HOST}:{number}"
        data_dir.mkdir(parents=True, exist_ok=True)
        words = ["-m", "watchkeeper", "run", "--host", _HOST]
        words += ["--port", str(number), "--data-dir", str(data_dir)]
        self._child = Child(words, data_dir / "server.log")

    def wait_until_well(self, client: Client) -> None:
        """Until it answers that it is well; raises Permanent with its last words if it does not."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._child.is_over:
                raise Permanent(f"the server ended at once; it said:\n{self._child.last_words}")
            try:
                if client.health().is_well:
                    return
            except Retryable:
                pass  # it does not listen yet
            time.sleep(_LOOK_S)
        raise Permanent(
            f"the server was not well within {_START_S:g} s; it said:\n{self._child.last_words}"
        )

    def stop(self) -> None:
        """Gracefully, then not. Safe twice."""
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
