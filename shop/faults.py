"""Delays, errors and wrong answers that somebody asked for, endpoint by endpoint."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

LONGEST_S = 60.0


@dataclass(slots=True)
class Faults:
    """What is simulated just now. An endpoint is a path, and everything below it."""

    chance: random.Random = field(default_factory=random.Random)
    _delay_s: dict[str, float] = field(default_factory=dict)
    _error_rate: dict[str, float] = field(default_factory=dict)
    _wrong_rate: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def delay(self, endpoint: str, milliseconds: float) -> None:
        """From now on its answers come so much later; 0 ends that."""
        if not 0 <= milliseconds <= LONGEST_S * 1e3:
            raise ValueError(f"duration is {milliseconds:g}; give 0 to {LONGEST_S * 1e3:g} ms")
        self._set(self._delay_s, endpoint, milliseconds / 1e3)

    def error(self, endpoint: str, rate: float) -> None:
        """From now on such a share of its answers are errors; 0 ends that."""
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate:g}; give 0 to 1")
        self._set(self._error_rate, endpoint, rate)

    def wrong(self, endpoint: str, rate: float) -> None:
        """From now on such a share of its answers come too early and are wrong; 0 ends that."""
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate:g}; give 0 to 1")
        self._set(self._wrong_rate, endpoint, rate)

    def clear(self) -> None:
        with self._lock:
            self._delay_s.clear()
            self._error_rate.clear()
            self._wrong_rate.clear()

    def of(self, path: str) -> tuple[float, bool]:
        """How long to wait with the answer, and whether it is an error."""
        with self._lock:
            delay_s = _of(self._delay_s, path)
            rate = _of(self._error_rate, path)
        return delay_s, rate > 0 and self.chance.random() < rate

    def is_wrong(self, path: str) -> bool:
        """Whether an answer is to be wrong."""
        with self._lock:
            rate = _of(self._wrong_rate, path)
        return rate > 0 and self.chance.random() < rate

    def told(self) -> dict[str, dict[str, float]]:
        with self._lock:
            return {
                "delay_s": dict(self._delay_s),
                "error_rate": dict(self._error_rate),
                "wrong_rate": dict(self._wrong_rate),
            }

    def _set(self, found: dict[str, float], endpoint: str, value: float) -> None:
        if not endpoint.startswith("/"):
            raise ValueError(f"endpoint is '{endpoint}'; give a path such as /payment")
        with self._lock:
            if value:
                found[endpoint] = value
            else:
                found.pop(endpoint, None)


def _of(found: dict[str, float], path: str) -> float:
    matching = [at for at in found if path == at or path.startswith(f"{at.rstrip('/')}/")]
    return found[max(matching, key=len)] if matching else 0.0
