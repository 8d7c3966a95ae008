"""Incidents into the store, and what people do about them with its entry in the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from watchkeeper.clock import Clock
from watchkeeper.know.audit_stage import Audit, Decided
from watchkeeper.model.audit import Act
from watchkeeper.model.handling import Handling, IncidentEntry, IncidentHead, entry_key
from watchkeeper.store.base import Store


class IncidentKeeping:
    """Takes what follows from the log, in its order, perhaps more than once."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._audit = Audit(store, clock)

    async def keep(self, records: Sequence[Any]) -> None:
        await self._store.save(records)

    async def decide(
        self,
        handling: Handling,
        decide: Callable[[IncidentHead | None], Sequence[Any]],
    ) -> None:
        """Once: what was done has its entry in the incident's timeline."""

        async def change() -> Decided[None]:
            tenant, entry = handling.tenant, entry_key(handling.incident, handling.id)
            if await self._store.get(IncidentEntry, tenant, entry) is not None:
                return Decided(None)
            before = await self._store.get(IncidentHead, tenant, handling.incident)
            records = decide(before)
            if not records:
                return Decided(None)
            return Decided(None, records, _act(handling, before, records))

        await self._audit.change(change)


def _act(handling: Handling, before: IncidentHead | None, records: Sequence[Any]) -> Act:
    heads = (one for one in records if isinstance(one, IncidentHead))
    after = next((one for one in heads if one.id == handling.incident), None)
    said = {
        "comment": handling.text[:200],
        "into": handling.into or "",
        "alerts": ", ".join(handling.complaints)[:500],
    }
    return Act(
        principal=handling.principal,
        action=f"incident.{handling.verb.value}",
        target=f"incident:{handling.incident}",
        tenant=handling.tenant,
        before=_told(before),
        after=_told(after) | {name: text for name, text in said.items() if text},
        request_id=handling.request_id,
    )


def _told(head: IncidentHead | None) -> dict[str, str]:
    if head is None:
        return {}
    until = "" if head.snoozed_until_ns is None else str(head.snoozed_until_ns)
    found = {"status": head.status.value, "assignee": head.assignee, "snoozed_until_ns": until}
    return {name: text for name, text in found.items() if text}
