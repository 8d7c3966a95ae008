"""The contract of a store: records saved together with the events that announce them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from watchkeeper.errors import Permanent
from watchkeeper.model.event import Event as Event  # saved changes are what a store announces
from watchkeeper.model.series import TenantId

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records to list. Newest first by start; `cursor` continues an earlier page."""

    tenant: TenantId
    status: str | None = None
    service: str | None = None
    detector: str | None = None
    since_ns: int | None = None
    """Only what had not ended before this."""
    until_ns: int | None = None
    """Only what had started before this."""
    limit: int = 100
    cursor: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    """Words that a record has, by their name: of an incident `status`, `urgency`, `service`,
    `rule` and `assignee`, and `shown`: `listed` unless it
    became another one, `active` until it is resolved. Of some there are several."""
    text: str | None = None
    """What is in its text, in any case of letters."""


@dataclass(frozen=True, slots=True)
class Facets:
    """How many records have which word."""

    n: int
    """Records that were counted, the newest."""
    is_whole: bool
    """Whether those are all that match."""
    counts: Mapping[str, Mapping[str, int]]
    """By name, then by word, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    items: Sequence[R]
    cursor: str | None
    """None on the last page."""


class Occupied(Permanent):
    """A record that is never changed would have been; nothing of the batch was saved.

    Whoever meets it was too late: read again, and take the next place.
    """


class Store(Protocol):
    """Transactional and durable: what `save` returned from is there after a crash.

    Saving the same record again changes nothing and announces nothing, so a replay may save
    everything anew. Entries of the audit trail are only ever added. Closing is safe twice and
    without use.
    """

    async def save(self, records: Sequence[Any]) -> int:
        """Insert or update by id, and write one outbox event per record that changed and is
        announced (keys, users and the audit trail are not), in one transaction; the sequence of
        the last event. Raises Occupied where an entry of the audit trail would change, also when
        another process has just saved it."""
        ...

    async def get(self, kind: type[R], tenant: TenantId, key: str) -> R | None: ...

    async def list(self, kind: type[R], query: Filter) -> Page[R]: ...

    async def facets(self, kind: type[Any], query: Filter) -> Facets:
        """What the words are of what matches: of the newest `query.limit`, without a cursor."""
        ...

    async def events(self, after: int, limit: int) -> Sequence[Event]:
        """The outbox behind a sequence, oldest first. Bounded: very old events are dropped."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class SharedStore(Protocol):
    """A store that the processes of an installation have in common."""

    async def shared_key(self, ours: bytes) -> bytes:
        """The key of the installation: the one that is there, or else ours from now on."""
        ...
