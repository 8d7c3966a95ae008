"""What people decided about detection, from the log into the store, each with its entry in the
audit trail. What is in force is decided by the log alone, so it is the same wherever it is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from watchkeeper.clock import Clock
from watchkeeper.know.audit_stage import Audit, Decided
from watchkeeper.model.audit import Act
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.ruling import FROM_FILE, DetectionSet, Maintenance, Verdict, Word
from watchkeeper.model.silence import AlertSilence
from watchkeeper.store.base import Filter, Store

_LONGEST: Final = 500
"""Of what the audit trail tells of a silence, in characters."""


class Decisions:
    """Takes records in the order of the log, perhaps more than once. Each has its position."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._audit = Audit(store, clock)

    async def settle(self, settings: DetectionSet) -> None:
        """Give it its version, if it follows what is in force."""

        async def decide() -> Decided[None]:
            newest = await newest_settings(self._store)
            version, position = _of(newest)
            if settings.position <= position or not settings.follows(version):
                return Decided(None)
            numbered = replace(settings, version=version + 1)
            return Decided(None, [numbered], _set(numbered))

        await self._audit.change(decide)

    async def hold(self, window: Maintenance) -> None:
        """As it is told now, whatever it was before."""

        async def decide() -> Decided[None]:
            before = await self._store.get(Maintenance, window.tenant, window.id)
            if before is not None and before.position >= window.position:
                return Decided(None)
            return Decided(None, [window], _held(window, before))

        await self._audit.change(decide)

    async def mute(self, silence: AlertSilence) -> None:
        """As it is told now, whatever it was before."""

        async def decide() -> Decided[None]:
            before = await self._store.get(AlertSilence, silence.tenant, silence.id)
            if before is not None and before.position >= silence.position:
                return Decided(None)
            return Decided(None, [silence], _muted(silence, before))

        await self._audit.change(decide)

    async def note(self, verdict: Verdict) -> None:
        """It replaces what the same principal said of the same anomaly before."""

        async def decide() -> Decided[None]:
            key = f"{verdict.anomaly}/{verdict.principal}"
            before = await self._store.get(Verdict, verdict.tenant, key)
            if before is not None and before.position >= verdict.position:
                return Decided(None)
            return Decided(None, [verdict], _said(verdict, before))

        await self._audit.change(decide)


def _of(newest: DetectionSet | None) -> tuple[int, int]:
    return (FROM_FILE, 0) if newest is None else (newest.version, newest.position)


async def newest_settings(store: Store) -> DetectionSet | None:
    """What was set last; None while what the file says is in force."""
    page = await store.list(DetectionSet, Filter(INSTALLATION, limit=1))
    return page.items[0] if page.items else None


def _set(settings: DetectionSet) -> Act:
    after = {"version": str(settings.version), "changed": settings.changed}
    return Act(
        principal=settings.principal,
        action=settings.action,
        target="detection",
        tenant=INSTALLATION,
        before={"version": str(settings.version - 1)},
        after={name: text for name, text in after.items() if text},
        request_id=settings.request_id,
    )


def _held(window: Maintenance, before: Maintenance | None) -> Act:
    ended = {"until_ns": str(window.to_ns)}
    match = ", ".join(f"{name}={wanted}" for name, wanted in sorted(window.match.items()))
    begun = {"match": match, "from_ns": str(window.from_ns), **ended, "reason": window.reason}
    return Act(
        principal=window.principal,
        action="maintenance.add" if before is None else "maintenance.end",
        target=f"maintenance:{window.id}",
        tenant=window.tenant,
        before={} if before is None else {"until_ns": str(before.to_ns)},
        after=begun if before is None else ended,
        request_id=window.request_id,
    )


def _muted(silence: AlertSilence, before: AlertSilence | None) -> Act:
    taken = ", ".join(f"{one.name}{one.op}{one.value}" for one in silence.matchers)
    times = {"from_ns": str(silence.from_ns), "until_ns": str(silence.to_ns)}
    told = {"matchers": taken, **times, "comment": silence.comment, "author": silence.author}
    return Act(
        principal=silence.principal,
        action="silence.add" if before is None else "silence.change",
        target=f"silence:{silence.id}",
        tenant=silence.tenant,
        before={} if before is None else {"until_ns": str(before.to_ns)},
        after={name: text[:_LONGEST] for name, text in told.items() if text},
        request_id=silence.request_id,
    )


def _said(verdict: Verdict, before: Verdict | None) -> Act:
    withdrawn = verdict.word is Word.WITHDRAWN
    after = {} if withdrawn else {"verdict": verdict.word.value, "comment": verdict.comment}
    was = before is not None and before.word is not Word.WITHDRAWN
    return Act(
        principal=verdict.principal,
        action="verdict.withdraw" if withdrawn else "verdict.give",
        target=f"anomaly:{verdict.anomaly}",
        tenant=verdict.tenant,
        before={"verdict": before.word.value} if before is not None and was else {},
        after={name: text for name, text in after.items() if text},
        request_id=verdict.request_id,
    )
