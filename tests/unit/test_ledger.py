"""Anomalies whose end nobody would tell any more: they end all the same, and say why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from tests import make
from tests.minutes import DEEP, MINUTE_NS, QUEUE, Minutes
from tests.watching import Loudest, Slots
from watchkeeper.analyze import detect_state
from watchkeeper.analyze.absent import Absent
from watchkeeper.model.anomaly import AnomalyStatus, Gone
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS

OTHER = 3
"""A series of the first service that is never in trouble."""
DETECTORS = [{"use": "basic"}, {"use": "ewma"}]
"""The second one knows a series after ten minutes."""
BOTH: Mapping[str, Any] = {"detectors": DETECTORS, "watchers": []}
BASIC: Mapping[str, Any] = {"detectors": DETECTORS[:1], "watchers": []}
STUCK: Mapping[str, Any] = {**BOTH, "watchers": [{"use": "flatline"}]}


@pytest.fixture
def watching(loudest: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A document with the plain watcher of the tests."""
    return {**BASIC, "watchers": loudest}


class Process(Minutes):
    """Its series are those of three services, and leave."""

    def __init__(
        self,
        executor: Executor,
        document: Mapping[str, Any] = BASIC,
        *,
        before: Process | None = None,
        absent: Absent | None = None,
    ) -> None:
        """`before` is the one whose store this goes on with."""
        store = None if before is None else before.store
        super().__init__(executor, document, Slots(), store=store, absent=absent)
        if before is not None:
            self.position, self.minute = before.position, before.minute

    async def in_trouble(self, *, every: int = 1) -> None:
        """A queue of about ten, and then far too long."""
        chance = np.random.default_rng(1)
        await self.queue(*(10 + chance.standard_normal(300)), DEEP, every=every)

    async def wait(self, n_minutes: int) -> None:
        """Nothing but ticks."""
        first, self.minute = self.minute + 1, self.minute + n_minutes
        await self.send(*(make.tick(60.0 * at) for at in range(first, self.minute + 1)))

    async def dumps(self) -> Mapping[int, bytes]:
        return {partition: await self.stage.dump(partition) for partition in range(N_PARTITIONS)}

    async def load(self, dumps: Mapping[int, bytes]) -> None:
        for partition, state in dumps.items():
            await self.stage.load(partition, self.position, state)


def now_ns(one: Process) -> int:
    return make.START_NS + one.minute * MINUTE_NS


async def test_of_a_silent_series_an_anomaly_ends_when_the_series_leaves_memory(
    executor: Executor,
) -> None:
    one = Process(executor)
    await one.in_trouble()

    await one.wait(59)
    (before,) = await one.anomalies()
    await one.wait(1)

    (after,) = await one.anomalies()
    assert before.status is AnomalyStatus.OPEN
    assert (after.status, after.gone) == (AnomalyStatus.CLOSED, Gone.SILENT)
    assert after.ended_ns == now_ns(one)
    assert after.position == one.position
    assert replace(after, status=before.status, ended_ns=None, gone=None) == replace(
        before, position=after.position
    )


@pytest.mark.parametrize("leaves", [False, True])
async def test_it_makes_no_difference_when_the_catalog_lets_go_of_the_series(
    executor: Executor, leaves: bool
) -> None:
    """That is decided by a clock, and the log knows nothing of it."""
    one = Process(executor)
    await one.in_trouble()

    if leaves:
        one.catalog.leave(QUEUE)
    await one.wait(59)
    (before,) = await one.anomalies()
    await one.wait(1)

    (after,) = await one.anomalies()
    assert (before.gone, after.gone) == (None, Gone.SILENT)


async def test_a_series_that_comes_back_within_the_hour_is_seen_to_the_end(
    executor: Executor,
) -> None:
    one = Process(executor)
    await one.in_trouble()

    for _ in range(3):
        await one.wait(50)
        await one.queue(DEEP)
    (before,) = await one.anomalies()
    await one.queue(*np.full(60, 10.0))
    await one.wait(2)

    (after,) = await one.anomalies()
    assert before.status is AnomalyStatus.OPEN
    assert (after.status, after.gone) == (AnomalyStatus.CLOSED, None)
    assert after.ended_ns is not None
    assert after.ended_ns < now_ns(one)


async def test_a_series_that_is_slow_by_nature_is_waited_for_longer(executor: Executor) -> None:
    one = Process(executor)
    await one.in_trouble(every=40)

    await one.wait(100)
    (before,) = await one.anomalies()
    await one.wait(30)

    (after,) = await one.anomalies()
    assert (before.status, after.gone) == (AnomalyStatus.OPEN, Gone.SILENT)


async def test_what_is_strange_of_a_series_that_came_back_late_is_another_anomaly(
    executor: Executor,
) -> None:
    one = Process(executor)
    await one.in_trouble()
    await one.wait(61)

    await one.queue(3.0 * DEEP, 1e5, 1e6)

    first, second = await one.anomalies()
    assert (first.gone, second.status) == (Gone.SILENT, AnomalyStatus.OPEN)


async def test_a_time_in_which_nobody_listened_is_no_silence(executor: Executor) -> None:
    one = Process(executor)
    await one.in_trouble()
    await one.wait(10)

    one.minute += 300
    await one.wait(45)
    (before,) = await one.anomalies()
    await one.wait(10)

    (after,) = await one.anomalies()
    assert (before.status, after.gone) == (AnomalyStatus.OPEN, Gone.SILENT)


async def test_an_anomaly_of_a_detector_that_is_taken_away_ends_within_a_minute(
    executor: Executor,
) -> None:
    one = Process(executor, BOTH)
    await one.in_trouble()
    await one.queue(*np.full(3, DEEP))
    before = await one.anomalies()

    one.arrange(BASIC)
    await one.wait(1)

    after = {each.detector: each for each in await one.anomalies()}
    assert {each.status for each in before} == {AnomalyStatus.OPEN}
    assert (after["ewma"].gone, after["ewma"].ended_ns) == (Gone.SETTINGS, now_ns(one))
    assert after["basic"].status is AnomalyStatus.OPEN


async def test_an_anomaly_of_a_class_that_its_detector_judges_no_more_ends_and_is_not_resumed(
    executor: Executor,
) -> None:
    one = Process(executor, BOTH)
    await one.in_trouble()
    await one.queue(*np.full(3, DEEP))

    one.arrange({**BOTH, "classes": {"queue": {"detectors": []}}})
    await one.wait(1)
    (ended,) = [each for each in await one.anomalies() if each.detector == "ewma"]
    one.arrange(BOTH)
    await one.queue(*np.full(60, 10.0))

    after = [each for each in await one.anomalies() if each.detector == "ewma"]
    assert ended.gone is Gone.SETTINGS
    assert after[0] == ended


async def test_an_anomaly_of_a_watcher_that_is_taken_away_ends(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(DEEP)

    one.arrange(BASIC)
    await one.wait(1)

    (anomaly,) = await one.anomalies()
    assert (anomaly.detector, anomaly.gone) == (Loudest.name, Gone.SETTINGS)


async def test_an_anomaly_of_other_settings_ends_after_a_restart_with_these(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(DEEP)

    again = Process(executor, BASIC, before=one)
    await again.load(await one.dumps())
    await again.wait(1)

    (anomaly,) = await again.anomalies()
    assert (anomaly.status, anomaly.gone) == (AnomalyStatus.CLOSED, Gone.SETTINGS)


async def test_without_detectors_nothing_is_watched(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(DEEP)

    one.arrange({**watching, "detectors": []})
    await one.wait(1)

    assert {each.gone for each in await one.anomalies()} == {Gone.SETTINGS}


async def test_an_anomaly_of_a_series_that_begins_anew_ends(executor: Executor) -> None:
    one = Process(executor)
    await one.in_trouble()

    await one.send(replace(one.catalog.new, donor=np.full(len(one.catalog.new), -1, np.int32)))
    await one.wait(1)

    (anomaly,) = await one.anomalies()
    assert (anomaly.gone, anomaly.ended_ns) == (Gone.UNWATCHED, now_ns(one))


async def test_what_a_watcher_says_of_a_silent_series_ends_too_and_is_not_resumed(
    executor: Executor,
) -> None:
    one = Process(executor, STUCK)
    chance = np.random.default_rng(1)
    await one.queue(*(10 + chance.standard_normal(600)), *np.full(30, 10.0))
    (stuck,) = [each for each in await one.anomalies() if each.detector == "flatline"]

    await one.wait(61)
    await one.queue(*(10 + chance.standard_normal(5)))

    (after,) = [each for each in await one.anomalies() if each.detector == "flatline"]
    assert (stuck.status, after.status) == (AnomalyStatus.OPEN, AnomalyStatus.CLOSED)
    assert after.gone is Gone.SILENT


async def test_what_waits_for_its_series_behind_a_take_over_is_not_ended(
    executor: Executor,
) -> None:
    """The process before had waited for most of an hour already."""
    one = Process(executor)
    await one.in_trouble()
    await one.wait(55)

    absent = Absent()
    again = Process(executor, BASIC, before=one, absent=absent)
    identity = again.catalog.identity[QUEUE].tobytes()
    again.catalog.leave(QUEUE)
    await again.load(await one.dumps())
    await again.wait(60)
    (before,) = await again.anomalies()
    partition = int(again.catalog.partition_of(DEFAULT_TENANT, "checkout"))
    waited = absent.waits(partition, identity)
    await again.wait(3)

    (after,) = await again.anomalies()
    assert waited
    assert not absent.waits(partition, identity)
    assert (before.status, after.gone) == (AnomalyStatus.OPEN, Gone.SILENT)


@pytest.mark.parametrize("worsens", [False, True])
async def test_what_an_older_checkpoint_has_open_is_known_from_its_next_change_on(
    executor: Executor, worsens: bool
) -> None:
    one = Process(executor, BOTH)
    await one.in_trouble()
    await one.queue(DEEP)
    dumps = {at: without_ledger(state) for at, state in (await one.dumps()).items()}

    again = Process(executor, BOTH, before=one)
    await again.load(dumps)
    await again.queue(*np.full(2, 10.0 * DEEP if worsens else DEEP))
    await again.wait(61)

    (anomaly,) = [each for each in await again.anomalies() if each.detector == "ewma"]
    assert anomaly.gone is (Gone.SILENT if worsens else None)


def without_ledger(state: bytes) -> bytes:
    fields = msgspec.msgpack.decode(state)
    assert len(fields) == len(detect_state.Kept.__struct_fields__)
    return msgspec.msgpack.encode(fields[:-1])


async def test_the_ledger_is_empty_when_all_is_over(executor: Executor) -> None:
    one, calm = Process(executor), Process(executor)
    await one.in_trouble()
    await one.wait(61)
    await calm.wait(one.minute)

    kept = [detect_state.decode(state).ledger for state in (await one.dumps()).values()]

    assert kept == [detect_state.decode(each).ledger for each in (await calm.dumps()).values()]
