"""Runs a scenario's commands, and sees to it that whoever interrupts leaves nothing broken."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final, NamedTuple

LONGEST_S: Final = 180.0
"""For one command."""
LACKING: Final = 3
"""The status of a command for which this machine lacks a means."""
_LOOK_S: Final = 0.5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Done(NamedTuple):
    status: int | None
    """None where it could not be run, or did not end."""
    said: str = ""
    """The last line on standard error."""

    @property
    def is_well(self) -> bool:
        return self.status == 0


def perform(
    words: Sequence[str],
    meanwhile: Callable[[], None],
    *,
    longest_s: float = LONGEST_S,
    folder: Path | None = None,
) -> Done:
    """Run a command to its end, in that folder or our own, and in a session of its own, so that
    Ctrl-C is for us alone. What it leaves in the background stays; where it is too slow, all of its
    session is killed."""
    if not words:
        return Done(0)
    with tempfile.TemporaryFile() as heard:  # a pipe would be held open by what it leaves behind
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own words, without a shell
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=heard,
                start_new_session=True,
            )
        except OSError as error:
            return Done(None, f"{words[0]}: {error.strerror}; name a program that is there")
        try:
            status = _wait(process, meanwhile, longest_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status is None:
            return Done(None, f"{words[0]} did not end within {longest_s:g} s")
        return Done(status, _last_line(heard))


def _wait(
    process: subprocess.Popen[Any], meanwhile: Callable[[], None], longest_s: float
) -> int | None:
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        try:
            return process.wait(min(_LOOK_S, longest_s))
        except subprocess.TimeoutExpired:
            meanwhile()
    return None


def _last_line(heard: IO[bytes]) -> str:
    heard.seek(0)
    lines = heard.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:500] if lines else ""


class Interrupts:
    """Who asks us to stop is heard once, and never while something is being mended."""

    def __init__(self) -> None:
        self.is_asked = False
        self._is_mending = False
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Signals are ours within; elsewhere than in the main thread Python has none to give."""
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._hear) for one in _SIGNALS}
        try:
            yield
        finally:
            for one, handler in self._before.items():
                signal.signal(one, handler)
            self._before = {}

    @contextmanager
    def mending(self) -> Iterator[None]:
        """Nothing interrupts this; who asked meanwhile is answered at its end."""
        was_asked, self._is_mending = self.is_asked, True
        try:
            yield
        finally:
            self._is_mending = False
        if self.is_asked and not was_asked:
            raise KeyboardInterrupt

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        was_asked, self.is_asked = self.is_asked, True
        if not was_asked and not self._is_mending:
            raise KeyboardInterrupt
