"""The part `detect`: what is accepted is judged."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any

from watchkeeper.act.share_stage import Sharing, Sources
from watchkeeper.analyze.absent import Absent
from watchkeeper.analyze.derivation import deriving
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import Bus
from watchkeeper.bus.ports import fingerprint
from watchkeeper.bus.share import Share, ShareConfig
from watchkeeper.lake.series import Catalog
from watchkeeper.parts.ground import Ground
from watchkeeper.store.base import Store


def judging(ground: Ground) -> DetectStage:
    """The part `detect`. Where a partition may come from another process, its series come later."""
    return detecting(
        ground.config.detection,
        catalog=ground.catalog,
        store=ground.store,
        executor=ground.thread("detect"),
        absent=Absent() if ground.log is None else None,
    )


def detecting(
    document: DetectionConfig,
    *,
    catalog: Catalog,
    store: Store,
    executor: Executor,
    absent: Absent | None = None,
) -> DetectStage:
    """A stage of this installation, or of a replay."""
    return DetectStage(
        document,
        catalog=catalog,
        store=store,
        executor=executor,
        derived=deriving(catalog, len(catalog.kind)),
        absent=absent,
    )


def sharing(
    ground: Ground, bus: Bus, detect: DetectStage, executor: Executor
) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """Telling other programs, where that is wanted."""
    config = ground.config.share
    if config.url is None:
        return []
    share = _share(config, ground.key)
    ground.stack.push_async_callback(share.close)
    sources = Sources(bus, ground.catalog, detect, ground.clock, executor)
    return [Sharing(config, ground.config.runtime, share, sources).run]


def _share(config: ShareConfig, key: bytes) -> Share:
    from watchkeeper.bus.redis_share import RedisShare  # few need its driver

    return RedisShare(config, fingerprint(key))
