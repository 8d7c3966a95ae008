"""Changes of state with the entry that tells of them: both in one transaction, or neither."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from watchkeeper.clock import Clock
from watchkeeper.errors import Retryable
from watchkeeper.know.audit import sealed
from watchkeeper.model.audit import Act, AuditEntry
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.store.base import Filter, Occupied, Store

T = TypeVar("T")

_ATTEMPTS: Final = 20
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Decided(Generic[T]):
    """What a change comes to; nothing is saved where there is no act."""

    result: T
    records: Sequence[Any] = ()
    act: Act | None = None


class Audit:
    """The only way to change state on somebody's behalf."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def change(self, decide: Callable[[], Awaitable[Decided[T]]]) -> T:
        """Have `decide` read and decide, and save what it says.

        It is asked again if anybody changed anything meanwhile: a place in the trail is given
        once, so all changes of an installation happen one after the other.
        """
        for _ in range(_ATTEMPTS):
            newest = await self.newest()
            decided = await decide()
            if decided.act is None:
                return decided.result
            entry = sealed(decided.act, self._clock.now_ns(), newest)
            try:
                await self._store.save([*decided.records, entry])
            except Occupied:
                continue
            return decided.result
        raise Retryable("audit: too many changes at once; nothing was changed")

    async def newest(self) -> AuditEntry | None:
        page = await self._store.list(AuditEntry, Filter(INSTALLATION, limit=1))
        return page.items[0] if page.items else None

    async def backwards(self) -> AsyncIterator[AuditEntry]:
        """The whole trail, newest first."""
        cursor = None
        while True:
            asked = Filter(INSTALLATION, limit=_PAGE, cursor=cursor)
            page = await self._store.list(AuditEntry, asked)
            for entry in page.items:
                yield entry
            cursor = page.cursor
            if cursor is None:
                return
