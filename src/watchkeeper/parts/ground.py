"""What every part stands on: the folder, the key, the state, the series, the bus."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.bus.base import Bus
from watchkeeper.bus.ports import Ports, fingerprint
from watchkeeper.clock import Clock
from watchkeeper.config.sections import Config
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.files import Files
from watchkeeper.lake.recording.recording import KEPT_FOLDER
from watchkeeper.lake.series import Catalog
from watchkeeper.lake.wal import WriteAheadLog, own
from watchkeeper.model.part import Part
from watchkeeper.model.series import TenantId
from watchkeeper.store.base import SharedStore, Store
from watchkeeper.store.installation import check_key, installation_key, shared_key


@dataclass(frozen=True, slots=True)
class Ground:
    """What every part stands on."""

    config: Config
    clock: Clock
    stack: AsyncExitStack
    """Where each registers how it is taken down."""
    key: bytes
    store: Store
    enrich: Enrich
    catalog: Catalog
    log: WriteAheadLog | None
    """None where the bus is the log."""
    queries: Executor

    @property
    def data_dir(self) -> Path:
        return self.config.data_dir

    @property
    def tenant(self) -> TenantId:
        """Of what names none."""
        return TenantId(self.config.server.default_tenant)

    def has(self, *parts: Part) -> bool:
        """Whether this process is any of these."""
        return not set(parts).isdisjoint(self.config.parts)

    def thread(self, name: str) -> Executor:
        """One thread of that name, which ends with the process."""
        return self.stack.enter_context(ThreadPoolExecutor(1, name))


async def lay_ground(config: Config, clock: Clock, stack: AsyncExitStack) -> Ground:
    """The folder, the key, the state, and the catalog of series."""
    data_dir = config.data_dir
    check_key(data_dir)
    store: Store = config.store.build(data_dir=data_dir)
    stack.push_async_callback(store.close)
    if isinstance(store, SharedStore):
        key = await shared_key(data_dir, store)
    else:
        key = installation_key(data_dir)
    keeps = not {Part.INGEST, Part.STORE}.isdisjoint(config.parts)
    log = None
    if config.bus.use == "memory":
        kept = data_dir / "log" / KEPT_FOLDER if config.log.replay.is_on else None
        log = WriteAheadLog(data_dir / "log", config.log, kept=kept)
        stack.callback(log.close)
    elif keeps:
        stack.callback(os.close, own(data_dir / "log"))
    queries = stack.enter_context(ThreadPoolExecutor(2, "query"))
    enrich = Enrich(config.enrich)
    catalog = Catalog(key, config.catalog, enrich)
    if keeps:
        catalog.open(data_dir / "catalog", clock.now_ns())
    stack.callback(catalog.close)
    return Ground(config, clock, stack, key, store, enrich, catalog, log, queries)


async def open_bus(ground: Ground) -> Bus:
    """Ready to be asked."""
    ports = Ports(
        clock=ground.clock,
        data_dir=ground.data_dir,
        disk=Files(),
        log=ground.log,
        catalog=ground.catalog,
        installation=fingerprint(ground.key),
    )
    bus: Bus = ground.config.bus.build(ports=ports)
    ground.stack.push_async_callback(bus.close)
    await bus.open()
    if ground.has(Part.STORE):
        await bus.release(0, ())  # others may: what we have stored is not known to them yet
    return bus
