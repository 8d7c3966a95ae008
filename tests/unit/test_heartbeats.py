"""The dead man's switch: who is not heard of in time becomes an alert, until they are again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doors import BACKUP, House, house
from watchkeeper import plugins
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.errors import BadInput
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.ingest.heartbeat_stage import Heartbeats
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.ingest.receivers.base import PATH_NAME
from watchkeeper.ingest.receivers.heartbeat import Heartbeat, HeartbeatConfig, alert_about
from watchkeeper.model.alert import Alert, AlertStatus, Urgency
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.store.base import Store

S = 1_000_000_000


def test_a_beat_ends_the_alert_that_it_was_missed() -> None:
    beat = Heartbeat(HeartbeatConfig(beats={"backup": BACKUP}))

    wire = beat.decode(b"anything", {PATH_NAME: "backup"}, now_ns=90 * S)

    missed = alert_about("backup", BACKUP, 60 * S, 90 * S)
    (alert,) = wire.records
    assert isinstance(alert, Alert)
    assert (alert.status, alert.ended_ns) == (AlertStatus.RESOLVED, 90 * S)
    assert alert.fingerprint == missed.fingerprint
    assert wire.is_of_now


def test_a_missed_beat_says_whom_it_is_about() -> None:
    missed = alert_about("backup", BACKUP, 60 * S, 90 * S)

    assert missed.labels == {
        "alertname": "HeartbeatMissed",
        "heartbeat": "backup",
        "service": "db",
        "site": "eu",
    }
    assert (missed.status, missed.urgency) == (AlertStatus.FIRING, Urgency.ERROR)
    assert missed.summary == "backup has not been heard of for 90 s"


def test_a_beat_that_nobody_waits_for_is_404_and_names_those_that_are_known() -> None:
    beat = Heartbeat(HeartbeatConfig(beats={"backup": BACKUP}))

    with pytest.raises(BadInput, match=r"'cron'.*known: backup") as refusal:
        beat.decode(b"", {PATH_NAME: "cron"}, now_ns=0)

    assert refusal.value.status == 404


@dataclass
class World:
    """A door, a store behind it, and who waits."""

    home: House
    store: Store
    waiting: Heartbeats

    async def keep(self) -> None:
        """Bring into the store what the log has."""
        records = self.home.records()
        deliveries = [Delivery(MIXED, at + 1, one) for at, one in enumerate(records)]
        if deliveries:
            await ChangeStage(self.store).handle(deliveries)

    async def after(self, seconds: float) -> int:
        """How many are said to be missed, so much later."""
        self.home.clock.advance(seconds)
        said = await self.waiting.look()
        await self.keep()
        return said

    async def beat(self) -> Accepted:
        accepted = await self.home.send(b"", protocol="heartbeat", headers={PATH_NAME: "backup"})
        await self.keep()
        return accepted

    def alerts(self) -> list[Alert]:
        return [record for record in self.home.records() if isinstance(record, Alert)]


def waiting(home: House, store: Store) -> Heartbeats:
    return Heartbeats(
        {"backup": BACKUP},
        store=store,
        ingest=home.ingest,
        clock=home.clock,
        tenant=DEFAULT_TENANT,
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with house(tmp_path / "home") as home:
        store = plugins.build("store", {"use": "memory"}, data_dir=tmp_path)
        yield World(home, store, waiting(home, store))


async def test_who_is_never_heard_of_is_missed_when_they_were_due(world: World) -> None:
    begun_ns = world.home.clock.now_ns()

    said = [await world.after(89), await world.after(2), await world.after(60)]

    assert said == [0, 1, 0]
    (missed,) = world.alerts()
    assert (missed.status, missed.started_ns) == (AlertStatus.FIRING, begun_ns + 90 * S)
    assert missed.entity.service == "db"


async def test_who_is_heard_of_in_time_is_not_missed(world: World) -> None:
    said = []
    for _ in range(4):
        said.append(await world.after(60))
        await world.beat()

    assert said == [0, 0, 0, 0]
    assert {one.status for one in world.alerts()} == {AlertStatus.RESOLVED}


async def test_the_next_beat_ends_that_very_alert(world: World) -> None:
    await world.beat()
    await world.after(100)

    await world.beat()

    before, missed, ended = world.alerts()
    assert missed.started_ns == (before.ended_ns or 0) + 90 * S
    assert (ended.status, ended.started_ns) == (AlertStatus.RESOLVED, missed.started_ns)
    assert ended.ended_ns == world.home.clock.now_ns()


async def test_who_is_missed_again_is_another_firing(world: World) -> None:
    await world.beat()
    await world.after(100)
    await world.beat()

    await world.after(100)

    firings = [one for one in world.alerts() if one.status is AlertStatus.FIRING]
    assert len({one.started_ns for one in firings}) == 2


async def test_what_is_still_missed_is_said_again_after_an_hour(world: World) -> None:
    await world.after(100)

    said = [await world.after(3000), await world.after(700)]

    assert said == [0, 1]
    first, again = world.alerts()
    assert again.started_ns == first.started_ns


async def test_a_restart_neither_forgets_nor_repeats_what_is_missed(world: World) -> None:
    await world.beat()
    await world.after(100)
    world.waiting = waiting(world.home, world.store)

    said = await world.after(60)

    assert said == 0
