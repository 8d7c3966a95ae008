"""The doors of alerts over HTTP in one process: the real receivers and admission, a store that is
asked again, and a log that is full when a test says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from tests.contract.test_alert_receiver import FORMS, NOW_NS, Form
from tests.doors import BACKUP, KEY
from tests.fronts import Api, api
from tests.make import NS_PER_S
from watchkeeper import plugins
from watchkeeper.errors import Retryable
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Accepted, Preparer, Request
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.receivers.heartbeat import Heartbeat, HeartbeatConfig
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.signal import Logged, Tick

FULL = "log: no space left on the device"
AWAY = "192.0.2.7"
_SLOTS = 64


@dataclass(frozen=True)
class Spoken:
    """A path that takes alerts: whose form, and what its protocol answers."""

    path: str
    form: str
    taken: int = 200
    """To a body that is good."""
    half: int = 200
    """To one of which some is good."""
    wrong: str = "title"
    """What its refusal has at the top; nothing where it is a bare string."""


PATHS: Mapping[str, Spoken] = {
    one.path: one
    for one in (
        Spoken("/api/v1/alerts/ingest", "alerts_json"),
        Spoken("/api/v2/alerts", "alertmanager", half=400, wrong=""),
        Spoken("/webhooks/alertmanager", "alertmanager_webhook"),
        Spoken("/webhooks/grafana", "grafana"),
        Spoken("/webhooks/json/mine", "mapped_alerts"),
        Spoken("/webhooks/cloudevents", "cloudevents_alerts", 202, 400, "error"),
        Spoken("/v2/enqueue", "pagerduty", 202, 400, "errors"),
        Spoken("/integrations/v1/alertmanager/team/", "alertmanager_webhook"),
        Spoken("/integrations/v1/grafana/team/", "grafana"),
        Spoken("/integrations/v1/grafana_alerting/team/", "grafana"),
        Spoken("/integrations/v1/formatted_webhook/team/", "oncall"),
        Spoken("/integrations/v1/webhook/team/", "oncall"),
        Spoken("/alerts/event", "keep", 202, 202),
        Spoken("/alerts/event/site", "keep", 202, 202),
    )
}


@dataclass
class Doors:
    """A front whose doors are open, and what came through them into the log."""

    api: Api
    preparer: Preparer
    full: bool = False
    logged: list[Logged] = field(default_factory=list)

    async def accept(self, request: Request) -> Accepted:
        """As the door's stage does it, one body at a time."""
        prepared = self.preparer.prepare(request, self.api.clock.now_ns())
        if self.full:
            self.preparer.take_back([prepared])
            raise Retryable(FULL, after_s=2)
        for record in prepared.records:
            await self.api.deciding.log(record)
            self.logged.append(record)
        return prepared.accepted

    async def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> httpx.Response:
        """As the protocol of this path is sent."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        usual = FORMS[PATHS[path].form].headers if path in PATHS else {}
        sent = {name: text for name, text in usual.items() if not name.startswith(":")}
        return await self.api.http.request(
            method, path, content=content, headers={**sent, **(headers or {})}
        )

    async def say(self, path: str, *items: Any, **headers: str) -> httpx.Response:
        """Items of the path's form in one body."""
        return await self.post(path, form_at(path).listed(list(items)), headers)

    async def firing(self, **headers: str) -> list[dict[str, Any]]:
        """What is read back."""
        answer = await self.api.http.get("/api/v2/alerts", headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    async def pass_s(self, seconds: float) -> None:
        """Time passes, here and in the log."""
        self.api.clock.advance(seconds)
        await self.api.deciding.log(Tick(self.api.clock.now_ns()))

    def alerts(self) -> list[Alert]:
        return [one for one in self.logged if isinstance(one, Alert)]

    def changes(self) -> list[Change]:
        return [one for one in self.logged if isinstance(one, Change)]


def form_at(path: str) -> Form:
    return FORMS[PATHS[path].form]


def ended_at(path: str) -> Any:
    """What says at this path that the alert is over."""
    if PATHS[path].form != "pagerduty":
        return form_at(path).ended
    return {"routing_key": "r", "event_action": "resolve", "dedup_key": "inc-42"}


def one_each() -> list[str]:
    """The first path of each receiver: behind the others is the same."""
    first: dict[str, str] = {}
    for path, spoken in PATHS.items():
        first.setdefault(spoken.form, path)
    return list(first.values())


@cache
def _receivers() -> dict[str, Receiver]:
    """They remember nothing from one body to the next."""
    receivers: dict[str, Receiver] = {
        name: plugins.build("receiver", {"use": name, **form.settings})
        for name, form in FORMS.items()
    }
    receivers["heartbeat"] = Heartbeat(HeartbeatConfig(beats={"backup": BACKUP, "team": BACKUP}))
    for name in ("git_webhook", "cloudevents"):
        receivers[name] = plugins.build("receiver", {"use": name})
    return receivers


@asynccontextmanager
async def doors(folder: Path, **how: Any) -> AsyncIterator[Doors]:
    """Open, at ten o'clock."""
    catalog = Catalog(KEY, CatalogConfig(max_series=_SLOTS, max_donors=2), Enrich())
    rows = RowAdmission(AdmitRowsConfig(), Enrich())
    preparer = Preparer(_receivers(), catalog, Admission(AdmitConfig(), _SLOTS), rows)
    async with api(folder, **how) as one:
        opened = Doors(one, preparer)
        one.door.behind = opened.accept
        one.clock.advance((NOW_NS - one.clock.now_ns()) / NS_PER_S)
        await one.deciding.log(Tick(NOW_NS))
        yield opened
