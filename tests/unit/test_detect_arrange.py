"""Detection that goes on by another document, and what watchers have to say in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.minutes import DEEP, QUEUE, Minutes
from tests.watching import Loudest, WatchedCatalog
from watchkeeper.analyze.absent import Absent
from watchkeeper.analyze.judge import SURE, believed
from watchkeeper.analyze.watchers.base import Belief
from watchkeeper.errors import ConfigError
from watchkeeper.model.anomaly import AnomalyStatus, InfoReason, Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS
from watchkeeper.store.memory import MemoryStore

BOTH: Mapping[str, Any] = {"detectors": [{"use": "basic"}, {"use": "fk"}], "watchers": []}


@pytest.fixture
def watching(loudest: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A document with the plain watcher of the tests."""
    return {**BOTH, "watchers": loudest}


class Process(Minutes):
    """Its series are those of three services."""

    def __init__(
        self,
        executor: Executor,
        document: Mapping[str, Any],
        *,
        absent: Absent | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        super().__init__(executor, document, WatchedCatalog(), store=store, absent=absent)

    async def calm(self, n: int) -> None:
        """A queue of about ten, for so many minutes."""
        rows = np.arange(n)
        value = 10 + np.random.default_rng(self.minute).standard_normal(n)
        await self.queue(*value[rows])

    async def state(self) -> list[bytes]:
        return [await self.stage.dump(partition) for partition in range(N_PARTITIONS)]


def document(**content: Any) -> Mapping[str, Any]:
    return {**BOTH, **content}


async def test_an_anomaly_says_by_whom_and_of_what_class_it_is(executor: Executor) -> None:
    one = Process(executor, BOTH)
    await one.calm(300)

    await one.queue(DEEP)

    (anomaly,) = await one.anomalies()
    assert (anomaly.detector, anomaly.version, anomaly.tier) == ("basic", 1, "T1")
    assert anomaly.metric_class is MetricClass.QUEUE
    assert anomaly.info_reason is InfoReason.TIER
    assert anomaly.n_learned > 250
    assert anomaly.learning_s > 0.0
    assert anomaly.residual == pytest.approx(DEEP - 10, rel=0.05)


async def test_another_document_takes_effect_at_once_and_can_be_taken_back(
    executor: Executor,
) -> None:
    one = Process(executor, BOTH)
    await one.calm(300)

    one.arrange(document(rules=[{"match": {"class": "queue"}, "muted": True}]))
    await one.queue(DEEP, 10.0, 10.0)
    muted = await one.anomalies()
    one.arrange(BOTH)
    await one.calm(120)
    await one.queue(2 * DEEP)

    assert muted == []
    assert [anomaly.value for anomaly in await one.anomalies()] == [2 * DEEP]


async def test_the_same_document_again_changes_nothing(executor: Executor) -> None:
    one, other = Process(executor, BOTH), Process(executor, BOTH)
    for process in (one, other):
        await process.calm(100)

    other.arrange(BOTH)

    assert await other.state() == await one.state()
    for process in (one, other):
        await process.calm(100)
    assert await other.state() == await one.state()


async def test_what_was_learned_survives_other_settings_of_its_detector(executor: Executor) -> None:
    one, other = Process(executor, BOTH), Process(executor, BOTH)
    for process in (one, other):
        await process.calm(200)
    before = other.stage.tiers.detectors[1]

    other.arrange(document(detectors=[{"use": "basic"}, {"use": "fk", "budget_per_week": 1.0}]))

    assert other.stage.tiers.detectors[1] is not before
    assert await other.state() == await one.state()


async def test_a_detector_comes_and_goes(executor: Executor) -> None:
    one = Process(executor, BOTH)
    await one.calm(50)

    one.arrange(document(detectors=[{"use": "basic"}, {"use": "rex"}]))
    await one.calm(50)

    names = [detector.name for detector in one.stage.tiers.detectors]
    assert names == ["basic", "rex"]
    kept = b"".join(await one.state())
    assert b"rex" in kept
    assert b"histogram" not in kept, "fk has gone"


async def test_rows_of_another_size_begin_anew_and_come_back_empty(executor: Executor) -> None:
    """`rex` with two streams more keeps more of a series: what it learned with six is no use."""
    six = document(detectors=[{"use": "basic"}, {"use": "rex"}])
    rex = {"use": "rex", "weights": {"slow_level": 1.0}}
    one, fresh = Process(executor, six), Process(executor, six)
    await one.calm(50)
    slot = np.array([QUEUE], np.int32)

    one.arrange(document(detectors=[{"use": "basic"}, rex]))
    wide = one.stage.tiers.detectors[1].dump(slot)["row"]
    await one.calm(50)
    heard = one.stage.tiers.detectors[1].dump(slot)["row"]
    one.arrange(six)

    assert not wide.any()
    assert heard.any()
    narrow = one.stage.tiers.detectors[1].dump(slot)["row"]
    assert narrow.tobytes() == fresh.stage.tiers.detectors[1].dump(slot)["row"].tobytes()


async def test_detection_is_switched_off_and_on(executor: Executor) -> None:
    one = Process(executor, BOTH)
    await one.calm(300)

    one.arrange(document(detectors=[]))
    await one.queue(DEEP)
    off = await one.anomalies()
    one.arrange(BOTH)
    await one.calm(300)
    await one.queue(DEEP)

    assert off == []
    assert len(await one.anomalies()) == 1


async def test_a_document_that_makes_no_sense_changes_nothing(executor: Executor) -> None:
    one = Process(executor, BOTH)
    plan, detectors = one.stage.tiers.routes.plan, one.stage.tiers.detectors

    for wrong in (document(detectors=[{"use": "fk"}]),
                  document(detectors=[{"use": "basic", "grid": 1}]),
                  document(watchers=[{"use": "nobody"}])):  # fmt: skip
        with pytest.raises(ConfigError):
            one.arrange(wrong)

    assert one.stage.tiers.routes.plan is plan
    assert one.stage.tiers.detectors == detectors


async def test_who_waits_for_its_series_waits_for_new_detectors_too(executor: Executor) -> None:
    learned = Process(executor, BOTH)
    await learned.calm(100)
    partition = int(learned.catalog.partition[QUEUE])
    other = Process(executor, BOTH, absent=Absent())
    other.catalog.forget(other.catalog.identity[QUEUE].tobytes())
    await other.stage.load(partition, 2, await learned.stage.dump(partition))

    other.arrange(document(detectors=[{"use": "basic"}, {"use": "rex"}]))

    third = Process(executor, document(detectors=[{"use": "basic"}, {"use": "rex"}]))
    await third.stage.load(partition, 2, await other.stage.dump(partition))
    slot = np.array([QUEUE], np.int32)
    for mine, theirs in zip(third.stage.tiers.detectors[:1], learned.stage.tiers.detectors[:1],
                            strict=True):  # fmt: skip
        assert mine.dump(slot)["row"].tobytes() == theirs.dump(slot)["row"].tobytes()


# Watchers.


async def test_what_a_watcher_sees_becomes_an_anomaly_of_the_service(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(10.0, DEEP)
    opened = await one.anomalies()

    await one.queue(10.0)

    (before,), (after,) = opened, await one.anomalies()
    assert (before.status, before.severity) == (AnomalyStatus.OPEN, Severity.PAGE)
    assert (before.series, before.entity.service, before.tier) == ("", "checkout", "T3")
    assert dict(before.labels) == {"service": "checkout", "symptom": "queue"}
    assert (after.id, after.status) == (before.id, AnomalyStatus.CLOSED)
    assert (after.value, after.started_ns) == (DEEP, before.started_ns)
    assert after.ended_ns == make.tick(180.0).now_ns


async def test_a_watcher_goes_on_over_a_restart(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(10.0, DEEP)
    kept = await one.state()
    two = Process(executor, watching, store=one.store)
    two.position, two.minute = one.position, one.minute

    for partition, state in enumerate(kept):
        await two.stage.load(partition, two.position, state)
    await two.queue(10.0)

    (anomaly,) = await two.anomalies()
    assert anomaly.status is AnomalyStatus.CLOSED


async def test_ticks_that_a_checkpoint_covers_are_not_asked_again(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(10.0, DEEP)
    again = Process(executor, watching)
    for partition, state in enumerate(await one.state()):
        await again.stage.load(partition, one.position, state)

    await again.queue(10.0, DEEP)

    assert await again.anomalies() == []
    assert await again.state() == await one.state()


async def test_a_watcher_with_other_settings_keeps_what_it_knows(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, watching)
    await one.queue(10.0, 500.0)

    one.arrange({**watching, "watchers": [{"use": Loudest.name, "limit": 5_000.0}]})
    await one.queue(DEEP)

    (anomaly,) = await one.anomalies()
    assert anomaly.status is AnomalyStatus.CLOSED


async def test_without_detectors_no_watcher_is_asked(
    executor: Executor, watching: Mapping[str, Any]
) -> None:
    one = Process(executor, {**watching, "detectors": []})

    await one.queue(10.0, DEEP)

    assert await one.anomalies() == []


# What the others of a service say.


def belief(confidence: float) -> Belief:
    anomaly = make.anomaly()
    return Belief(DEFAULT_TENANT, anomaly.id, confidence, make.START_NS, {"joint": 2.0})


@pytest.mark.parametrize(
    ("severity", "reason", "confidence", "now", "why"),
    [
        (Severity.EVIDENCE, None, 0.5, Severity.EVIDENCE, None),
        (Severity.EVIDENCE, None, SURE, Severity.EVIDENCE, None),
        (Severity.EVIDENCE, None, 0.01, Severity.INFO, InfoReason.ALONE),
        (Severity.INFO, InfoReason.ALONE, 0.99, Severity.EVIDENCE, None),
        (Severity.INFO, InfoReason.NOISY, 0.99, Severity.EVIDENCE, None),
        (Severity.INFO, InfoReason.LEARNING, 0.99, Severity.INFO, InfoReason.LEARNING),
        (Severity.INFO, InfoReason.TIER, 0.5, Severity.INFO, InfoReason.TIER),
        (Severity.PAGE, None, 0.01, Severity.PAGE, None),
    ],
)
def test_what_others_say_changes_what_is_claimed_and_ends_nothing(
    severity: Severity,
    reason: InfoReason | None,
    confidence: float,
    now: Severity,
    why: InfoReason | None,
) -> None:
    known = make.anomaly(severity=severity, info_reason=reason, evidence={"fast": 7.0})

    anomaly = believed(belief(confidence), 9, known)

    assert (anomaly.severity, anomaly.info_reason) == (now, why)
    assert (anomaly.confidence, anomaly.position) == (confidence, 9)
    assert anomaly.evidence == {"fast": 7.0, "joint": 2.0}
    assert anomaly.status is AnomalyStatus.OPEN
