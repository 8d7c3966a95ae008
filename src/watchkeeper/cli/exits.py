"""What a command's exit status means."""

from __future__ import annotations

from enum import IntEnum

from watchkeeper.errors import BadInput, ConfigError, Retryable, WatchkeeperError


class Exit(IntEnum):
    OK = 0
    NO = 1
    """The command worked, and its answer is no: a check failed, nothing was found."""
    USAGE = 2
    """Flags or configuration are wrong; nothing was done."""
    REFUSED = 3
    """The server refused what was sent or asked; the same again would be refused again."""
    LATER = 4
    """The server cannot be reached or cannot do it now; try again."""
    NEVER = 5
    """It cannot be done as asked, now or later."""
    STOPPED = 130
    """Stopped by Ctrl-C."""


MEANINGS = (
    "exit status: 0 done; 1 done, and the answer is no; 2 wrong flags or configuration; "
    "3 refused by the server; 4 not now, try again; 5 impossible; 130 stopped"
)


def exit_of(error: WatchkeeperError) -> Exit:
    """The status that tells a script what kind of failure it was."""
    match error:
        case ConfigError():
            return Exit.USAGE
        case BadInput():
            return Exit.REFUSED
        case Retryable():
            return Exit.LATER
        case _:
            return Exit.NEVER
