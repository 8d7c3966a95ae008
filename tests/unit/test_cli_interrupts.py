"""Ctrl-C reaches a command wherever it comes in."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from watchkeeper.cli.interrupts import heard


def interrupted_in(file_name: str) -> None:
    """A signal comes in code of this file, and the code goes on for a while."""
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nreached.append(1)"
    reached: list[int] = []
    exec(compile(code, file_name, "exec"), {"reached": reached})
    assert reached == [1]
    threading.Event().wait(5)


def test_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), heard():
        os.kill(os.getpid(), signal.SIGINT)


def test_where_it_would_be_lost_it_is_raised_a_moment_later() -> None:
    with pytest.raises(KeyboardInterrupt), heard():
        interrupted_in("<frozen importlib._bootstrap>")


def test_behind_a_command_signals_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)

    with heard():
        inside = signal.getsignal(signal.SIGINT)

    assert inside is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_elsewhere_than_in_the_main_thread_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def command() -> None:
        with heard():
            seen.append(signal.getsignal(signal.SIGINT))

    other = threading.Thread(target=command)
    other.start()
    other.join()

    assert seen == [before]
