"""A process of a command's own. It hears no Ctrl-C, and ends with whoever started it."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_STOP_S: Final = 20.0
_LOG_LINES: Final = 8
_SET_PDEATHSIG: Final = 1


class Child:
    """Python by the interpreter that we are; what it says goes to a file."""

    def __init__(self, words: Sequence[str], log: Path, folder: Path | None = None) -> None:
        self._log = log
        with log.open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, by its full path
                [sys.executable, *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us: we stop it ...
                preexec_fn=_end_with_parent,  # ... and where we cannot any more, the system does
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    @property
    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

    def stop(self) -> None:
        """Gracefully, then not. Safe twice."""
        if self.is_over:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _end_with_parent() -> None:
    """Linux sends SIGTERM to a process whose starter is gone, even if that was killed."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_SET_PDEATHSIG, signal.SIGTERM)
