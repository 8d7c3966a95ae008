"""What processes of one installation over Redis have in common."""

from __future__ import annotations

from pathlib import Path

from watchkeeper import plugins
from watchkeeper.bus.base import Bus
from watchkeeper.bus.ports import Ports
from watchkeeper.clock import SystemClock
from watchkeeper.ingest.enrich import Enrich, EnrichConfig
from watchkeeper.lake.files import Files
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.telemetry import Secret

KEY = b"0123456789abcdef"
"""The installation's, shared by its processes."""


def catalog() -> Catalog:
    return Catalog(KEY, CatalogConfig(max_series=1000, max_donors=10), Enrich(EnrichConfig()))


def redis_bus(url: str, prefix: str, folder: Path, known: Catalog) -> Bus:
    ports = Ports(clock=SystemClock(), data_dir=folder, disk=Files(), catalog=known)
    plugin = plugins.load("bus", "redis")
    bus: Bus = plugin(plugin.Config(url=Secret(url), prefix=prefix), ports=ports)
    return bus
