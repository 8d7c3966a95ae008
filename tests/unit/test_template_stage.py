"""Templates in the order of the log, over checkpoints and restarts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.templating import S, batch
from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.template_stage import TemplateStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import Tick
from watchkeeper.model.template import template_id

PARTITION = {"shop": 3, "bank": 4}
NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def stage(executor: ThreadPoolExecutor) -> TemplateStage:
    return TemplateStage(TemplatesConfig(), lambda _, service: PARTITION[service], executor)


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
