"""A server of a command's own: a child process that is stopped whatever happens."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from watchkeeper.errors import Permanent, Retryable
from watchkeeper.sdk import Client

_HOST: Final = "127.0.0.1"
_START_S: Final = 600.0
"""The first start of all compiles what serves, which takes minutes on a busy machine."""
_STOP_S: Final = 20.0
_LOOK_S: Final = 0.1
_LOG_LINES: Final = 8


class Server:
    """`watchkeeper run` on this machine only. Leaving the `with` stops it."""

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        number = port or _free_port()
        self.url = f"http://{_HOST}:{number}"
        data_dir.mkdir(parents=True, exist_ok=True)
        self.log = data_dir / "server.log"
        command = [sys.executable, "-m", "watchkeeper", "run", "--host", _HOST]
        command += ["--port", str(number), "--data-dir", str(data_dir)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, by its full path
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_well(self, client: Client) -> None:
        """Until it answers that it is well; raises Permanent with its last words if it does not."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Permanent(f"the server ended at once; it said:\n{self._last_words()}")
            try:
                if client.health().is_well:
                    return
            except Retryable:
                pass  # it does not listen yet
            time.sleep(_LOOK_S)
        raise Permanent(
            f"the server was not well within {_START_S:g} s; it said:\n{self._last_words()}"
        )

    def stop(self) -> None:
        """Gracefully, then not. Safe twice."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        # To be terminated is to leave the `with`, else the child would outlive us.
        self._former = signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        signal.signal(signal.SIGTERM, self._former)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
