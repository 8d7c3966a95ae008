"""Sessions of a service that have not ended yet, in bounded memory.

Where more come than there is room for, a share is kept: those whose hashes are divisible by two,
then by four, and so on, so that a session is kept as a whole or not at all. The share grows again
when a service has none open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.template import OTHER

_PATTERNS: Final = 100
"""Of a session; lines of further ones count as OTHER."""
_LONGEST: Final = 30
"""Times the idle time: then a session ends, whatever comes."""


class Session(msgspec.Struct, array_like=True):
    """How often each fingerprint came."""

    began_ns: int
    last_ns: int
    trace: tuple[int, int]
    counts: dict[int, int]


class OpenSessions(msgspec.Struct, array_like=True):
    """By a hash of what they are called."""

    open: dict[int, Session] = {}
    mask: int = 0
    """Bits that are 0 in the hash of those that are kept."""

    def take(
        self, runs: Iterable[tuple[int, int, int, tuple[int, int]]], now_ns: int, limit: int
    ) -> None:
        """Lines of sessions: (hash, fingerprint, lines, trace)."""
        for key, fingerprint, n_lines, trace in runs:
            if key & self.mask:
                continue
            one = self.open.get(key)
            if one is None:
                if len(self.open) >= limit and not self._make_room(key, limit):
                    continue
                one = self.open[key] = Session(now_ns, now_ns, trace, {})
            one.last_ns = now_ns
            if fingerprint not in one.counts and len(one.counts) >= _PATTERNS:
                fingerprint = OTHER
            one.counts[fingerprint] = one.counts.get(fingerprint, 0) + n_lines

    def ended(self, now_ns: int, config: LogWatchConfig) -> list[Session]:
        """Those that are over, in the order in which they began."""
        idle_ns = round(config.session_idle_s * NS_PER_S)
        over = [
            key
            for key, one in self.open.items()
            if one.last_ns <= now_ns - idle_ns or one.began_ns <= now_ns - _LONGEST * idle_ns
        ]
        found = [self.open.pop(key) for key in over]
        if not self.open:
            self.mask = 0  # none has begun that was not seen from its beginning
        return found

    def _make_room(self, key: int, limit: int) -> bool:
        """Whether the new one is among those that are kept."""
        while len(self.open) >= limit and self.mask < (1 << 30):
            self.mask = 2 * self.mask + 1
            self.open = {one: kept for one, kept in self.open.items() if not one & self.mask}
        return not key & self.mask and len(self.open) < limit
