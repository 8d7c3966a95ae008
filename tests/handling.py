"""What tests of incidents share: a stage over a memory store, alerts in its log, and people."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests import make
from tests.alerting import SHOP, grouper
from watchkeeper import plugins
from watchkeeper.analyze.correlate import CorrelateConfig
from watchkeeper.analyze.incident_stage import IncidentStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import Clock, FakeClock
from watchkeeper.know.incidents_stage import IncidentKeeping
from watchkeeper.model.alert import Alert
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.handling import (
    Handling,
    IncidentEntry,
    IncidentHead,
    IncidentMembers,
    Verb,
)
from watchkeeper.model.incident import IncidentId
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import Tick
from watchkeeper.store.base import Filter, Store

S = make.NS_PER_S


def memory(folder: Path, **settings: Any) -> Store:
    found: Store = plugins.build("store", {"use": "memory", **settings}, data_dir=folder)
    return found


def stage_of(
    store: Store, executor: ThreadPoolExecutor, *, clock: Clock | None = None, **settings: Any
) -> IncidentStage:
    return IncidentStage(
        msgspec.convert(settings, CorrelateConfig),
        grouper=grouper(),
        partition_of=lambda tenant, service: 3,
        executor=executor,
        keeping=IncidentKeeping(store, clock or FakeClock()),
        topology=lambda _: SHOP,
    )


def handling(incident: str, verb: Verb, **fields: Any) -> Handling:
    """By ann, a minute in, unless something else is said."""
    usual: dict[str, Any] = {
        "id": f"{verb.value}-1",
        "incident": IncidentId(incident),
        "tenant": DEFAULT_TENANT,
        "verb": verb,
        "principal": "ann",
        "time_ns": make.START_NS + 60 * S,
    }
    return Handling(**(usual | fields))


@dataclass
class Desk:
    """A stage, its store, and a log that is written by hand."""

    store: Store
    stage: IncidentStage
    log: list[Delivery] = field(default_factory=list)

    async def hear(self, *records: object) -> None:
        """Next in the log, and at once in the stage."""
        begin = len(self.log) + 1
        came = [Delivery(MIXED, begin + n, record) for n, record in enumerate(records)]
        self.log += came
        await self.stage.handle(came)

    async def tick(self, at_s: float) -> None:
        await self.hear(Tick(make.START_NS + round(at_s * S)))

    async def watch(
        self, alerts: Sequence[Alert], *, until_s: float, from_s: float = 0.0, every_s: float = 10.0
    ) -> None:
        """Alerts as they come, with ticks."""
        left = list(alerts)
        for n in range(round((until_s - from_s) / every_s) + 1):
            now_ns = make.START_NS + round((from_s + n * every_s) * S)
            while left and left[0].started_ns <= now_ns:
                await self.hear(left.pop(0))
            await self.hear(Tick(now_ns))

    async def heads(self) -> list[IncidentHead]:
        """Oldest first; without what became another one."""
        query = Filter(DEFAULT_TENANT, where={"shown": "listed"})
        page = await self.store.list(IncidentHead, query)
        return list(reversed(page.items))

    async def head(self, incident: str) -> IncidentHead:
        found = await self.store.get(IncidentHead, DEFAULT_TENANT, incident)
        assert found is not None
        return found

    async def services(self, incident: str) -> list[str]:
        found = await self.store.get(IncidentMembers, DEFAULT_TENANT, incident)
        assert found is not None
        return [member.node for member in found.members]

    async def timeline(self, incident: str) -> list[IncidentEntry]:
        """Oldest first."""
        page = await self.store.list(
            IncidentEntry, Filter(DEFAULT_TENANT, service=incident, limit=1000)
        )
        return list(reversed(page.items))

    async def audit(self) -> list[AuditEntry]:
        page = await self.store.list(AuditEntry, Filter(INSTALLATION, limit=1000))
        return list(reversed(page.items))
