"""What people say of anomalies, and when detection is to be quiet: into the log, and read back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from watchkeeper.clock import Clock
from watchkeeper.errors import BadInput
from watchkeeper.know.settings_stage import By, Writing
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.ruling import Maintenance, Verdict, Word, subject_of
from watchkeeper.model.series import TenantId
from watchkeeper.store.base import Filter, Store

MAX_WINDOWS: Final = 1000
"""Of a tenant, that are not over."""
_MANY: Final = 1000


class Verdicts:
    """Of each principal one on an anomaly: the newest."""

    def __init__(self, store: Store, clock: Clock, writing: Writing) -> None:
        self._store = store
        self._clock = clock
        self._writing = writing

    async def give(
        self, tenant: TenantId, anomaly_id: str, word: Word, by: By, *, comment: str = ""
    ) -> Verdict:
        """It replaces what the same principal said before."""
        anomaly = await self.anomaly(tenant, anomaly_id)
        verdict = Verdict(
            anomaly=anomaly.id,
            tenant=tenant,
            word=word,
            principal=by.principal,
            time_ns=self._clock.now_ns(),
            subject=subject_of(tenant, anomaly.series, anomaly.labels),
            detector=anomaly.detector,
            started_ns=anomaly.started_ns,
            entity=anomaly.entity,
            partition=self._writing.partition_of(tenant, anomaly.entity.service),
            comment=comment,
            request_id=by.request_id,
        )
        return await self._log(verdict)

    async def withdraw(self, tenant: TenantId, anomaly_id: str, by: By) -> Verdict:
        """Raises BadInput (404) where there is none of this principal's."""
        there = await self.of(tenant, anomaly_id)
        own = next((one for one in there if one.principal == by.principal), None)
        if own is None:
            raise BadInput(
                f"anomaly '{anomaly_id}' has no verdict of {by.principal}; it has those of "
                f"{', '.join(one.principal for one in there) or 'nobody'}",
                status=404,
            )
        return await self._log(  # of its own words, for the anomaly may be forgotten by now
            replace(
                own,
                word=Word.WITHDRAWN,
                time_ns=self._clock.now_ns(),
                comment="",
                request_id=by.request_id,
            )
        )

    async def of(self, tenant: TenantId, anomaly_id: str) -> Sequence[Verdict]:
        """Those in force on an anomaly, newest first."""
        return await self._listed(Filter(tenant, service=anomaly_id, limit=_MANY))

    async def on(self, tenant: TenantId, subject: str) -> Sequence[Verdict]:
        """Those in force on a subject, newest first."""
        return await self._listed(Filter(tenant, detector=subject, limit=_MANY))

    async def anomaly(self, tenant: TenantId, anomaly_id: str) -> Anomaly:
        found = await self._store.get(Anomaly, tenant, anomaly_id)
        if found is None:
            raise BadInput(
                f"there is no anomaly '{anomaly_id}'; GET /api/v1/anomalies lists them", status=404
            )
        return found

    async def _log(self, verdict: Verdict) -> Verdict:
        position = await self._writing.log(verdict)
        await self._writing.caught_up(position)
        return replace(verdict, position=position)

    async def _listed(self, query: Filter) -> Sequence[Verdict]:
        page = await self._store.list(Verdict, query)
        return [one for one in page.items if one.word is not Word.WITHDRAWN]


class MaintenanceWindows:
    """Those that were told by a call; the settings may have others."""

    def __init__(self, store: Store, clock: Clock, writing: Writing) -> None:
        self._store = store
        self._clock = clock
        self._writing = writing

    async def add(
        self,
        tenant: TenantId,
        match: Mapping[str, str],
        by: By,
        *,
        from_ns: int,
        to_ns: int,
        reason: str,
    ) -> Maintenance:
        if len(await self.listed(tenant)) >= MAX_WINDOWS:
            raise BadInput(
                f"maintenance: {MAX_WINDOWS} windows are not over yet; end some, or let one match "
                "more",
                status=409,
            )
        return await self._log(
            Maintenance(
                id=secrets.token_hex(8),
                tenant=tenant,
                match=dict(match),
                from_ns=from_ns,
                to_ns=to_ns,
                reason=reason,
                principal=by.principal,
                time_ns=self._clock.now_ns(),
                request_id=by.request_id,
            )
        )

    async def end(self, tenant: TenantId, window_id: str, by: By) -> Maintenance:
        """Now; one that has not begun never does. One that is over stays as it was."""
        found = await self._store.get(Maintenance, tenant, window_id)
        now_ns = self._clock.now_ns()
        if found is None:
            raise BadInput(
                f"there is no maintenance window '{window_id}'; GET /api/v1/maintenance lists them",
                status=404,
            )
        if found.to_ns <= now_ns:
            return found
        return await self._log(
            replace(
                found,
                to_ns=max(now_ns, found.from_ns),
                principal=by.principal,
                time_ns=now_ns,
                request_id=by.request_id,
            )
        )

    async def listed(self, tenant: TenantId, *, over: bool = False) -> Sequence[Maintenance]:
        """By their beginning, newest first; those that are over, if they are asked for."""
        since_ns = None if over else self._clock.now_ns() + 1
        page = await self._store.list(
            Maintenance, Filter(tenant, since_ns=since_ns, limit=MAX_WINDOWS)
        )
        return page.items

    async def _log(self, window: Maintenance) -> Maintenance:
        position = await self._writing.log(window)
        await self._writing.caught_up(position)
        return replace(window, position=position)
