"""What a service does to itself when it is told to: threads that compute, memory that grows."""

from __future__ import annotations

import threading
import time
from typing import Any

from flask import Flask, jsonify, request

MOST_THREADS = 32
MOST_MEGABYTES = 1024
LONGEST_S = 3600.0


class Harm:
    """Threads and memory that are wasted now."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._stop = threading.Event()
        self._burning: list[threading.Thread] = []
        self._one_at_a_time = threading.Lock()

    def burn(self, n_threads: int) -> None:
        """So many threads compute from now on; 0 ends that."""
        if not 0 <= n_threads <= MOST_THREADS:
            raise ValueError(f"threads is {n_threads}; give 0 to {MOST_THREADS}")
        with self._one_at_a_time:
            self._burn(n_threads)

    def _burn(self, n_threads: int) -> None:
        self._stop.set()
        for thread in self._burning:
            thread.join()
        self._stop = threading.Event()
        until = time.monotonic() + LONGEST_S
        self._burning = [
            threading.Thread(target=_burn, args=(self._stop, until), daemon=True)
            for _ in range(n_threads)
        ]
        for thread in self._burning:
            thread.start()

    def leak(self, megabytes: int) -> None:
        """So much more is kept; 0 lets go of all."""
        if not 0 <= megabytes <= MOST_MEGABYTES:
            raise ValueError(f"megabytes is {megabytes}; give 0 to {MOST_MEGABYTES}")
        if not megabytes:
            self._kept.clear()
        elif self.told()["leaked_mb"] + megabytes <= MOST_MEGABYTES:
            self._kept.append(b"\1" * (megabytes << 20))  # zeros would not be real pages

    def told(self) -> dict[str, int]:
        return {
            "burning": sum(thread.is_alive() for thread in self._burning),
            "leaked_mb": sum(map(len, self._kept)) >> 20,
        }


def _burn(stop: threading.Event, until: float) -> None:
    n = 1
    while not stop.is_set() and time.monotonic() < until:
        for _ in range(10_000):
            n = n * 1_664_525 % 4_294_967_291


def add(app: Flask) -> Harm:
    """An endpoint for each kind of harm."""
    harm = Harm()

    @app.post("/simulate/burn")
    def burn() -> Any:
        return _answer(harm, "threads")

    @app.post("/simulate/leak")
    def leak() -> Any:
        return _answer(harm, "megabytes")

    return harm


def _answer(harm: Harm, unit: str) -> Any:
    try:
        amount = int(request.args.get(unit, "1"))
        (harm.burn if unit == "threads" else harm.leak)(amount)
    except ValueError as wrong:
        return jsonify(error=str(wrong)), 400
    return harm.told()
