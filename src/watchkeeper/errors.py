"""The errors we raise, and what a caller may do about each.

WatchkeeperError
├── ConfigError   the operator's file or flags are wrong; nothing was started or changed
├── BadInput      the sender's bytes are wrong; sending them again would be refused again
│   ├── TooLarge  ... because they are larger than a limit that the operator set
│   └── Denied    ... because of who sends them
├── Retryable     we cannot do it now; ask again after `after_s`
│   └── OverLimit ... because this sender has used up what it may
└── Permanent     it will never work as asked, and no input is to blame
"""

from __future__ import annotations


class WatchkeeperError(Exception):
    """Everything that we raise on purpose."""


class ConfigError(WatchkeeperError):
    """One or more faults in configuration, all of them reported at once."""

    def __init__(self, faults: str | list[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class BadInput(WatchkeeperError):
    """A sender's request that would be refused again if it were sent again.

    `status` is the HTTP status that says so: 400 unless the protocol has a better one (415 for an
    encoding we do not speak, 413 for size).
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class TooLarge(BadInput):
    """A body, label or batch above a limit; the message names the limit and its setting."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=413)


class Denied(BadInput):
    """Nobody we know (401), or somebody who may not do this (403)."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, status=status)


class Retryable(WatchkeeperError):
    """Not now: overloaded, disk full, a peer is away. Nothing of the request was kept."""

    def __init__(self, message: str, *, after_s: float = 1.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class OverLimit(Retryable):
    """A sender's own limit; others are served."""


class Permanent(WatchkeeperError):
    """It cannot be done, now or later, and the message says why and what would help."""
