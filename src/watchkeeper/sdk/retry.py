"""When to send again, and how long to wait before: bounded, and as the server asks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from watchkeeper.errors import Retryable
from watchkeeper.sdk.calls import AGAIN, Call, refusal, retry_after_s

T = TypeVar("T")
Outcome = httpx.Response | httpx.TransportError


@dataclass(frozen=True, slots=True)
class Retry:
    """Waits grow from `first_s` by doubling up to `longest_s`, each with a quarter of chance."""

    attempts: int = 8
    first_s: float = 0.25
    longest_s: float = 15.0
    timeout_s: float = 30.0
    """How long one try may be silent."""
    chance: random.Random = field(default_factory=random.Random)

    def wait_s(self, attempt: int, outcome: Outcome) -> float | None:
        """How long to wait after the `attempt`-th try (from 1); None: do not try again."""
        asked = None
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in AGAIN:
                return None
            asked = retry_after_s(outcome)
        if attempt >= self.attempts:
            return None
        grown = min(self.longest_s, self.first_s * 2.0 ** (attempt - 1))
        longer = max(grown, min(asked or 0.0, self.longest_s * 4))
        return longer * (1 + self.chance.random() / 4)


def settled(
    call: Call[T], policy: Retry, attempt: int, outcome: Outcome, *, url: str
) -> httpx.Response | float:
    """The answer if it is one to read, else how long to wait; raises when trying is over."""
    if isinstance(outcome, httpx.Response) and (
        outcome.is_success or outcome.status_code in call.also
    ):
        return outcome
    wait_s = policy.wait_s(attempt, outcome)
    if wait_s is not None:
        return wait_s
    if isinstance(outcome, httpx.Response):
        raise refusal(outcome)
    raise unreachable(url, outcome) from outcome


def unreachable(url: str, error: httpx.TransportError) -> Retryable:
    """A server that could not be talked to, as our error."""
    why = str(error) or type(error).__name__
    return Retryable(
        f"cannot reach {url} ({why}); start it with `watchkeeper run`, or name another --url"
    )
