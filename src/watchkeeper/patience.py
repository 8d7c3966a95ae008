"""Trying again: what fails is told, waited for, and never the end of the process."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from watchkeeper import telemetry
from watchkeeper.clock import Clock
from watchkeeper.errors import Permanent, Retryable

T = TypeVar("T")

_log: Final = telemetry.Log(__name__)
_FAILED: Final = telemetry.counter(
    "watchkeeper_runtime_failures_total", "What failed, and was tried again.", ("stage", "what")
)


@contextmanager
def catching() -> Iterator[list[Exception]]:
    """What the block raises ends up in the list, so that one mistake does not end the process."""
    caught: list[Exception] = []
    try:
        yield caught
    except Exception as error:  # noqa: BLE001 - the one place where all is caught
        caught.append(error)


@dataclass(frozen=True, slots=True)
class Failure:
    error: Exception


class Patience:
    """Tries things, says what fails, and waits longer each time."""

    def __init__(self, name: str, clock: Clock, pause_s: float, limit_s: float) -> None:
        self.failing: str | None = None
        """What is tried again just now, and why; None while all is well."""
        self._name = name
        self._clock = clock
        self._first_s = pause_s
        self._limit_s = limit_s
        self._pause_s = pause_s

    async def attempt(self, what: str, job: Awaitable[T]) -> T | Failure:
        """Whatever a stage, a bus or a store raises, the process goes on, and says what it met."""
        with catching() as caught:
            result = await job
        if caught:
            self._tell(what, caught[0])
            return Failure(caught[0])
        self.failing = None
        self._pause_s = self._first_s
        return result

    async def pause(self, failure: Failure) -> None:
        asked_s = failure.error.after_s if isinstance(failure.error, Retryable) else 0.0
        await self._clock.sleep(min(max(asked_s, self._pause_s), self._limit_s))
        self._pause_s = min(2 * self._pause_s, self._limit_s)

    def _tell(self, what: str, error: Exception) -> None:
        _FAILED.add(1, self._name, what)
        if not isinstance(error, Retryable | Permanent):
            _log.failure("unforeseen failure", error, stage=self._name, what=what)
        elif self.failing is None:  # once, not at every retry
            _log.warning("failed", stage=self._name, what=what, why=error)
        self.failing = f"{what}: {type(error).__name__}: {error}"
