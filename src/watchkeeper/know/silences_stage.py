"""Silences over alerts: into the log, and read back. They follow Alertmanager's rules."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from watchkeeper.clock import Clock
from watchkeeper.errors import BadInput
from watchkeeper.know.settings_stage import By, Writing
from watchkeeper.model.series import Matcher, TenantId
from watchkeeper.model.silence import AlertSilence
from watchkeeper.store.base import Filter, Store

_NS_PER_MS: Final = 1_000_000
"""Clients give back a beginning that they read in milliseconds."""
MAX_SILENCES: Final = 1000
"""Of a tenant, that are not over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A silence as somebody wants it; with an id, instead of the one that has it."""

    matchers: tuple[Matcher, ...]
    from_ns: int
    to_ns: int
    author: str
    comment: str
    id: str = ""


class Silences:
    """What is over stays over: another one is made instead."""

    def __init__(self, store: Store, clock: Clock, writing: Writing) -> None:
        self._store = store
        self._clock = clock
        self._writing = writing

    async def set(self, tenant: TenantId, wanted: Wanted, by: By) -> AlertSilence:
        """Raises BadInput: 404 for an id that is not known, 400 for times that cannot be."""
        now_ns = self._clock.now_ns() // _NS_PER_MS * _NS_PER_MS
        if wanted.to_ns <= wanted.from_ns:
            raise BadInput("Failed to create silence: start time must be before end time")
        if wanted.to_ns <= now_ns:
            raise BadInput("Failed to create silence: end time can't be in the past")
        before = await self.get(tenant, wanted.id) if wanted.id else None
        if before is None and len(await self.listed(tenant)) >= MAX_SILENCES:
            raise BadInput(f"{MAX_SILENCES} silences are not over yet; let some expire first")
        is_same = before is not None and _is_kept(before, wanted, now_ns)
        if before is not None and not is_same and before.state(now_ns) != "expired":
            await self.expire(tenant, before.id, by)
        return await self._log(
            AlertSilence(
                id=before.id if before is not None and is_same else str(uuid.uuid4()),
                tenant=tenant,
                matchers=wanted.matchers,
                from_ns=wanted.from_ns if is_same else max(wanted.from_ns, now_ns),
                to_ns=wanted.to_ns,
                author=wanted.author,
                comment=wanted.comment,
                principal=by.principal,
                time_ns=now_ns,
                request_id=by.request_id,
            )
        )

    async def expire(self, tenant: TenantId, silence_id: str, by: By) -> AlertSilence:
        """Now; one that has not begun never does. One that is over stays as it was."""
        found = await self.get(tenant, silence_id)
        now_ns = self._clock.now_ns()
        if found.to_ns <= now_ns:
            return found
        ended = replace(
            found,
            from_ns=min(found.from_ns, now_ns),
            to_ns=now_ns,
            principal=by.principal,
            time_ns=now_ns,
            request_id=by.request_id,
        )
        return await self._log(ended)

    async def get(self, tenant: TenantId, silence_id: str) -> AlertSilence:
        found = await self._store.get(AlertSilence, tenant, silence_id)
        if found is None:
            raise BadInput(f"silence {silence_id[:80]} not found", status=404)
        return found

    async def listed(self, tenant: TenantId, *, over: bool = False) -> Sequence[AlertSilence]:
        """By their beginning, newest first; those that are over, if they are asked for."""
        since_ns = None if over else self._clock.now_ns() + 1
        query = Filter(tenant, since_ns=since_ns, limit=MAX_SILENCES)
        return (await self._store.list(AlertSilence, query)).items

    async def _log(self, silence: AlertSilence) -> AlertSilence:
        position = await self._writing.log(silence)
        await self._writing.caught_up(position)
        return replace(silence, position=position)


def _is_kept(before: AlertSilence, wanted: Wanted, now_ns: int) -> bool:
    """Whether what is wanted is still the silence that is there, and not another one."""
    state = before.state(now_ns)
    if state == "expired" or set(before.matchers) != set(wanted.matchers):
        return False
    return wanted.from_ns == before.from_ns if state == "active" else wanted.from_ns >= now_ns
