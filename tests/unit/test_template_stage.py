"""Templates in the order of the log, over checkpoints and restarts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from tests import make
from tests.line_watching import BEGAN, ERROR, MINUTE, lines_of
from tests.templating import S, batch
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.template_stage import TemplateStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.errors import Retryable
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, InfoReason
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.ruling import DetectionSet
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import Tick
from watchkeeper.model.template import template_id
from watchkeeper.store.base import Filter, Store
from watchkeeper.store.memory import MemoryConfig, MemoryStore

PARTITION = {"shop": 3, "bank": 4}
NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay")


def stage(executor: ThreadPoolExecutor, store: Store | None = None) -> TemplateStage:
    return TemplateStage(
        TemplatesConfig(),
        lambda _, service: PARTITION[service],
        executor,
        detection=DetectionConfig(logs=LogWatchConfig(learning_s=0.0)),
        store=store,
    )


def news() -> list[Delivery]:
    """Of a service that was known for three minutes, something new."""
    ticks = [Delivery(MIXED, 2 + minute, Tick(BEGAN + minute * MINUTE)) for minute in range(5)]
    return [
        Delivery(MIXED, 1, lines_of(["begin"], BEGAN)),
        *ticks[:2],
        Delivery(MIXED, 10, lines_of(["no room left"], BEGAN + MINUTE, ERROR)),
        Delivery(MIXED, 11, Tick(BEGAN + 2 * MINUTE)),
        Delivery(MIXED, 12, Tick(BEGAN + 3 * MINUTE)),
    ]


async def anomalies(store: Store) -> list[Anomaly]:
    return list((await store.list(Anomaly, Filter(DEFAULT_TENANT))).items)


async def shown(one: TemplateStage, service: str | None = None) -> dict[str, int]:
    return {found.text: found.n_lines for found in await one.templates(DEFAULT_TENANT, service)}


async def test_lines_are_counted_and_joined_by_ticks(executor: ThreadPoolExecutor) -> None:
    one = stage(executor)

    await one.handle(
        [
            Delivery(MIXED, 1, batch([f"started {name}" for name in NAMES])),
            Delivery(MIXED, 2, Tick(9 * S)),
        ]
    )

    await one.caught_up(2, timeout_s=0.01)
    assert await shown(one) == {"started <*>": 6}
    assert len(await one.fingerprints(DEFAULT_TENANT, template_id("started <*>"))) == 6
    assert await one.fingerprints(DEFAULT_TENANT, 7) == []


async def test_samples_pass_without_work_and_are_behind_it() -> None:
    with ThreadPoolExecutor(1) as closed:
        one = stage(closed)
    deliveries = [Delivery(MIXED, position, make.samples((0, 1, 2.0))) for position in (1, 2)]

    await one.handle(deliveries)

    await one.caught_up(2, timeout_s=0.01)
    with pytest.raises(RuntimeError, match="shutdown"):
        await one.handle([*deliveries, Delivery(MIXED, 3, batch(["a line"]))])


async def test_what_a_checkpoint_covers_is_not_counted_again(
    executor: ThreadPoolExecutor,
) -> None:
    one, restarted = stage(executor), stage(executor)
    deliveries = [
        Delivery(MIXED, 1, batch(["a"])),
        Delivery(MIXED, 2, batch(["b"], service="bank")),
    ]
    await one.handle(deliveries)

    await restarted.load(3, 2, await one.dump(3))
    await restarted.handle(deliveries)

    assert await shown(restarted) == await shown(one) == {"a": 1, "b": 1}
    assert [await restarted.dump(p) for p in (3, 4)] == [await one.dump(p) for p in (3, 4)]


async def test_a_delivery_of_one_partition_speaks_of_no_other(
    executor: ThreadPoolExecutor,
) -> None:
    one = stage(executor)
    lines = [f"started {name}" for name in NAMES]

    await one.handle(
        [
            Delivery(3, 1, batch(lines)),
            Delivery(4, 1, batch(lines, service="bank")),
            Delivery(3, 2, Tick(9 * S)),
        ]
    )

    assert await shown(one, "shop") == {"started <*>": 6}
    assert await shown(one, "bank") == dict.fromkeys(lines, 1)


async def test_a_partition_that_another_process_has_is_forgotten(
    executor: ThreadPoolExecutor,
) -> None:
    one = stage(executor)
    await one.handle([Delivery(MIXED, 1, batch(["a"]))])

    await one.load(3, 0, b"")

    assert await shown(one) == {}


async def test_what_is_new_is_saved_as_an_anomaly_of_its_service(
    executor: ThreadPoolExecutor,
) -> None:
    store = MemoryStore(MemoryConfig())
    one = stage(executor, store)

    await one.handle(news())

    (found,) = await anomalies(store)
    assert (found.detector, found.entity.service, found.series) == ("log_new", "shop", "")
    assert found.labels["pattern"] == "no room left"
    assert found.metric_class is MetricClass.LOG_RATE
    assert found.status is AnomalyStatus.OPEN
    assert found.position == 12


async def test_a_finding_that_could_not_be_saved_is_saved_with_the_next_try(
    executor: ThreadPoolExecutor,
) -> None:
    store = Unsteady(MemoryConfig())
    one = stage(executor, store)

    with pytest.raises(Retryable):
        await one.handle(news())
    await one.handle(news())

    assert len(await anomalies(store)) == 1
    assert await shown(one) == {"begin": 1, "no room left": 1}


async def test_a_finding_is_the_same_after_a_restart_and_ends(executor: ThreadPoolExecutor) -> None:
    store = MemoryStore(MemoryConfig())
    one, restarted = stage(executor, store), stage(executor, store)
    *first, last = news()
    await one.handle(first)
    await restarted.load(3, first[-1].position, await one.dump(3))

    await restarted.handle([*first, last])
    opened = await anomalies(store)
    hour = [Delivery(MIXED, 20 + n, Tick(BEGAN + (4 + n) * MINUTE)) for n in range(62)]
    await restarted.handle(hour)

    (ended,) = await anomalies(store)
    assert [found.id for found in opened] == [ended.id]
    assert ended.status is AnomalyStatus.CLOSED


async def test_where_nobody_keeps_findings_lines_are_not_watched(
    executor: ThreadPoolExecutor,
) -> None:
    one, watched = stage(executor), stage(executor, MemoryStore(MemoryConfig()))

    for each in (one, watched):
        await each.handle(news())

    assert len(await one.dump(3)) < len(await watched.dump(3))


async def test_settings_hold_from_their_position_on_and_after_a_restart(
    executor: ThreadPoolExecutor,
) -> None:
    store = MemoryStore(MemoryConfig())
    one, restarted = stage(executor, store), stage(executor, store)
    document = DetectionConfig(logs=LogWatchConfig(enabled=False))
    off = DetectionSet("1", msgspec.json.encode(document).decode(), BEGAN, "ann", "detection.set")
    first, *rest = news()

    await one.handle([first, Delivery(MIXED, 1, off), *rest])
    await restarted.load(3, 9, await one.dump(3))
    await restarted.handle(rest)

    assert await anomalies(store) == []


async def test_settings_that_do_not_fit_change_nothing(executor: ThreadPoolExecutor) -> None:
    store = MemoryStore(MemoryConfig())
    one = stage(executor, store)
    strange = DetectionSet("1", '{"of_a_newer_release":1}', BEGAN, "ann", "detection.set")

    await one.handle([Delivery(MIXED, 1, strange), *news()])

    assert len(await anomalies(store)) == 1


async def test_what_begins_in_a_window_of_maintenance_is_muted(
    executor: ThreadPoolExecutor,
) -> None:
    store = MemoryStore(MemoryConfig())
    one = stage(executor, store)
    window = make.maintenance(match={"service": "shop"}, from_ns=BEGAN, to_ns=BEGAN + 9 * MINUTE)

    await one.handle([Delivery(MIXED, 1, window), *news()])

    (found,) = await anomalies(store)
    assert found.info_reason is InfoReason.MUTED
    assert found.muted.startswith("maintenance")


class Unsteady(MemoryStore):
    """Fails once."""

    failed = False

    async def save(self, records: Sequence[Any]) -> int:
        if not self.failed:
            self.failed = True
            raise Retryable("busy")
        return await super().save(records)
