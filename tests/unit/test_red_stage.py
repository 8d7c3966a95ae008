"""Detection of what is derived of spans goes on after a restart as if there had been none."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import pytest

from tests.make import NS_PER_S, START_NS
from tests.red import Call, Works, spans
from watchkeeper.analyze.derivation import deriving
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Tick
from watchkeeper.store.memory import MemoryStore


def stage(works: Works, executor: Executor) -> DetectStage:
    return DetectStage(
        catalog=works.catalog,
        store=MemoryStore(MemoryStore.Config()),
        executor=executor,
        derived=deriving(works.catalog, len(works.catalog.kind)),
    )


def records(works: Works, n: int) -> Sequence[Delivery]:
    """A call a second through two services, and ticks."""
    found: list[Delivery] = []
    for second in range(n):
        ends = (
            Call("web", kind=3, span=7, parent=1, trace=second + 1, duration_s=0.01 * second),
            Call("shop", span=8, parent=7, trace=second + 1, failed=second % 5 == 0),
        )
        for number in range(2):
            batch = spans(ends[(number + second) % 2])
            works.let_in(batch)
            found.append(Delivery(MIXED, len(found) + 1, batch))
        tick = Tick(START_NS + second * NS_PER_S)
        found.append(Delivery(MIXED, len(found) + 1, tick))
    for new in works.news:
        found.insert(0, Delivery(MIXED, 0, new))
    return found


@pytest.mark.parametrize("late", [0, 40])
async def test_partitions_go_on_from_checkpoints_of_different_positions(
    executor: Executor, late: int
) -> None:
    """The log is read again from the earliest; what the others have counted is not counted twice.

    A call's ends come to one partition, the edge to another.
    """
    works = Works()
    log = records(works, 60)
    whole, before, after = (stage(works, executor) for _ in range(3))
    await whole.handle(log)
    kept: dict[int, tuple[int, bytes]] = {}
    await before.handle([one for one in log if one.position <= 70])
    for partition in range(0, N_PARTITIONS, 2):
        kept[partition] = 70, await before.dump(partition)
    await before.handle([one for one in log if 70 < one.position <= 70 + late])
    for partition in range(1, N_PARTITIONS, 2):
        kept[partition] = 70 + late, await before.dump(partition)

    for partition, (position, state) in kept.items():
        await after.load(partition, position, state)
    await after.handle([one for one in log if one.position > 70])

    assert [await after.dump(n) for n in range(N_PARTITIONS)] == [
        await whole.dump(n) for n in range(N_PARTITIONS)
    ]
