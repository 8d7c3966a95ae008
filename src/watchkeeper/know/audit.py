"""Seals acts into a chain, and finds where a chain was broken.

Each entry carries the hash of the one before, so an entry that was changed, left out or put in
shows, and so does everything behind it. What no chain can show is that its newest entries are
missing, or that all of it was made anew: note the newest hash somewhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from watchkeeper.model.audit import NO_HASH, Act, AuditEntry

_encoder = msgspec.json.Encoder(order="deterministic")


def sealed(act: Act, time_ns: int, newest: AuditEntry | None) -> AuditEntry:
    """The entry that follows `newest`; the first of all, if there is none."""
    position = 1 if newest is None else newest.position + 1
    previous = NO_HASH if newest is None else newest.hash
    return AuditEntry(position, time_ns, act, previous, _hash(position, time_ns, act, previous))


class Verifier:
    """Takes a trail from its newest entry to its first, and says what is wrong with it."""

    def __init__(self) -> None:
        self.n_entries = 0
        self.newest: AuditEntry | None = None
        self._later: AuditEntry | None = None

    def look(self, entry: AuditEntry) -> Iterator[str]:
        """The next older entry."""
        if entry.hash != _hash(entry.position, entry.time_ns, entry.act, entry.previous):
            yield f"entry {entry.position} is not what was sealed: its hash is another"
        if self._later is not None:
            yield from _gap(self._later, entry)
        self.n_entries += 1
        self.newest = self.newest or entry
        self._later = entry

    def finish(self) -> Iterator[str]:
        """There is no older one."""
        if self._later is None:
            return
        if self._later.position != 1:
            yield f"entries 1 to {self._later.position - 1} are missing"
        elif self._later.previous != NO_HASH:
            yield "entry 1 is sealed onto something before it"


def _gap(later: AuditEntry, entry: AuditEntry) -> Iterator[str]:
    if later.position != entry.position + 1:
        yield f"entries {entry.position + 1} to {later.position - 1} are missing"
    elif later.previous != entry.hash:
        yield f"entry {later.position} is not sealed onto entry {entry.position}"


def _hash(position: int, time_ns: int, act: Act, previous: str) -> str:
    return hashlib.sha256(_encoder.encode((position, time_ns, act, previous))).hexdigest()
