"""What a save will write, decided on what is stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.store import records
from watchkeeper.store.records import Identity, Known, Row

Group = tuple[str, str]
"""Kind and tenant: whose records are counted together."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a save finds, while nobody else can change it."""

    oldest: int
    last: int
    """Of the events: the oldest that is left, and the newest."""
    known: Mapping[Identity, Known]
    n_records: Mapping[Group, int]


@dataclass(frozen=True, slots=True)
class Limits:
    n_records: int
    n_events: int


@dataclass(frozen=True, slots=True)
class Plan:
    n_changed: int
    latest: Sequence[Row]
    """What is to be stored: of each record its last version."""
    told: Sequence[Row]
    """What is to be announced: every version."""
    n_records: Mapping[Group, int]
    """Of the groups that grow."""
    excess: Mapping[Group, int]
    """How many are to go, if as many have ended."""
    oldest: int
    last: int


def plan(rows: Sequence[Row], stored: Stored, limits: Limits) -> Plan:
    """Raises Occupied where a record that is final would change."""
    changed = records.changes(rows, stored.known)
    told = [row for row in changed if records.is_announced(row)]
    latest = {row.identity: row for row in changed}
    grown = Counter((kind, tenant) for kind, tenant, _ in latest.keys() - stored.known.keys())
    n_records = {group: stored.n_records.get(group, 0) + n for group, n in grown.items()}
    last = stored.last + len(told)
    n_events = last - stored.oldest + 1
    return Plan(
        n_changed=len(changed),
        latest=list(latest.values()),
        told=told,
        n_records=n_records,
        excess={
            group: n - limits.n_records
            for group, n in n_records.items()
            if _is_beyond(n, limits.n_records)
        },
        oldest=last - limits.n_events + 1
        if _is_beyond(n_events, limits.n_events)
        else stored.oldest,
        last=last,
    )


def _is_beyond(n: int, limit: int) -> bool:
    """Deleted in portions, so that a full store does not pay at every save."""
    return n > limit + limit // 50
