"""Changes on their way from the log into the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests import make
from watchkeeper import plugins
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.model.change import Change
from watchkeeper.model.silence import AlertState
from watchkeeper.store.base import Filter, Store

DEPLOYED = Change(id="d1", kind="deployment", time_ns=make.START_NS, service="shop")


def memory(folder: Path) -> Store:
    found: Store = plugins.build("store", {"use": "memory"}, data_dir=folder)
    return found


async def listed(store: Store) -> list[Change]:
    return list((await store.list(Change, Filter(DEPLOYED.tenant))).items)


async def test_a_change_is_saved_with_its_position(tmp_path: Path) -> None:
    store = memory(tmp_path)

    await ChangeStage(store).handle([Delivery(MIXED, 7, DEPLOYED)])

    assert [one.position for one in await listed(store)] == [7]


async def test_a_replay_saves_nothing_anew(tmp_path: Path) -> None:
    store = memory(tmp_path)
    deliveries = [Delivery(MIXED, 7, DEPLOYED), Delivery(MIXED, 8, make.tick())]
    await ChangeStage(store).handle(deliveries)
    before = await listed(store)

    await ChangeStage(store).handle(deliveries)

    assert await listed(store) == before


async def test_records_of_other_kinds_move_the_stage_on(tmp_path: Path) -> None:
    stage = ChangeStage(memory(tmp_path))

    await stage.handle([Delivery(MIXED, 3, make.tick()), Delivery(MIXED, 4, make.samples())])

    await stage.caught_up(4, timeout_s=0.01)
    assert await stage.dump(0)


async def alert_states(store: Store) -> list[AlertState]:
    return list((await store.list(AlertState, Filter(DEPLOYED.tenant))).items)


async def test_of_an_alert_is_kept_what_was_said_last_and_when(tmp_path: Path) -> None:
    store, alert = memory(tmp_path), make.alert()
    ended = make.resolved(alert)
    said = [make.tick(1), alert, make.tick(61), ended]

    await ChangeStage(store).handle([Delivery(MIXED, 7 + at, one) for at, one in enumerate(said)])

    (state,) = await alert_states(store)
    assert state.alert == replace(ended, position=10)
    assert state.heard_ns == make.tick(61).now_ns


async def test_what_was_said_before_changes_no_alert(tmp_path: Path) -> None:
    store, alert = memory(tmp_path), make.alert()
    stage = ChangeStage(store)
    await stage.handle([Delivery(MIXED, 9, make.resolved(alert))])

    await stage.handle([Delivery(MIXED, 7, alert)])

    assert [state.alert.position for state in await alert_states(store)] == [9]
