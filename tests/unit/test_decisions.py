"""What people decided about detection, on its way from the log into the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import make
from watchkeeper import plugins
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import FakeClock
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.know.decisions_stage import Decisions, newest_settings
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, Word
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.store.base import Filter, Store


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    found: Store = plugins.build("store", {"use": request.param}, data_dir=tmp_path)
    return found


def stage(store: Store) -> ChangeStage:
    return ChangeStage(store, Decisions(store, FakeClock()))


async def versions(store: Store) -> list[DetectionSet]:
    page = await store.list(DetectionSet, Filter(INSTALLATION))
    return list(reversed(page.items))


async def trail(store: Store) -> list[AuditEntry]:
    page = await store.list(AuditEntry, Filter(INSTALLATION))
    return list(reversed(page.items))


def at(position: int, record: object, partition: int = MIXED) -> Delivery:
    return Delivery(partition, position, record)


async def test_settings_are_numbered_in_the_order_of_the_log(store: Store) -> None:
    await stage(store).handle([at(5, make.settings("{}")), at(9, make.settings('{"a": 1}'))])

    found = await versions(store)

    assert [(one.version, one.position) for one in found] == [(1, 5), (2, 9)]
    assert await newest_settings(store) == found[-1]


async def test_of_two_who_wanted_to_follow_the_same_version_the_first_does(store: Store) -> None:
    first, second = (make.settings(text, expected=0) for text in ("{}", '{"a": 1}'))

    await stage(store).handle([at(5, first), at(6, second)])

    assert [one.document for one in await versions(store)] == ["{}"]


async def test_a_replay_numbers_and_seals_nothing_anew(store: Store) -> None:
    told = [at(5, make.settings("{}")), at(6, make.verdict()), at(7, make.settings('{"a": 1}'))]
    await stage(store).handle(told)

    await stage(store).handle(told)

    assert [one.version for one in await versions(store)] == [1, 2]
    assert len(await trail(store)) == 3


async def test_settings_that_come_in_every_partition_count_once(store: Store) -> None:
    await stage(store).handle([at(5 + p, make.settings("{}"), p) for p in range(4)])

    assert [(one.version, one.position) for one in await versions(store)] == [(1, 5)]


async def test_the_trail_tells_who_set_what(store: Store) -> None:
    wanted = make.settings("{}", changed="sensitivity: low -> high", request_id="r1")

    await stage(store).handle([at(5, wanted)])

    (entry,) = await trail(store)
    assert (entry.act.principal, entry.act.action) == ("user:ops", "detection.set")
    assert entry.act.before == {"version": "0"}
    assert entry.act.after == {"version": "1", "changed": "sensitivity: low -> high"}
    assert entry.act.request_id == "r1"


async def test_a_principals_newest_verdict_replaces_the_one_before(store: Store) -> None:
    other = make.verdict(Word.REAL, principal="user:else")
    told = [make.verdict(Word.REAL), other, make.verdict(Word.EXPECTED)]

    await stage(store).handle([at(5 + n, one) for n, one in enumerate(told)])

    page = await store.list(Verdict, Filter(DEFAULT_TENANT, service=make.anomaly().id))
    assert {one.principal: one.word for one in page.items} == {
        "user:ops": Word.EXPECTED,
        "user:else": Word.REAL,
    }
    last = (await trail(store))[-1].act
    assert (last.before, last.after) == ({"verdict": "real"}, {"verdict": "expected"})


async def test_a_withdrawn_verdict_is_known_as_withdrawn(store: Store) -> None:
    await stage(store).handle([at(5, make.verdict()), at(6, make.verdict(Word.WITHDRAWN))])

    key = f"{make.anomaly().id}/user:ops"
    found = await store.get(Verdict, DEFAULT_TENANT, key)
    assert found is not None
    assert (found.word, found.position) == (Word.WITHDRAWN, 6)
    assert (await trail(store))[-1].act.action == "verdict.withdraw"


async def test_a_window_that_is_ended_early_is_the_same_window(store: Store) -> None:
    window = make.maintenance()
    sooner = make.maintenance(to_ns=window.from_ns + 60, principal="user:else")

    await stage(store).handle([at(5, window), at(6, sooner), at(5, window)])

    page = await store.list(Maintenance, Filter(DEFAULT_TENANT))
    assert [(one.to_ns, one.position) for one in page.items] == [(sooner.to_ns, 6)]
    assert [one.act.action for one in await trail(store)] == ["maintenance.add", "maintenance.end"]
