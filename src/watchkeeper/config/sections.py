"""The one table of what can be configured: section -> where its type is.

Strings keep imports lazy, as in `plugins.py`: a command that talks to a server needs none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from watchkeeper import plugins
from watchkeeper.model.part import EVERY, Part

if TYPE_CHECKING:
    from watchkeeper.analyze.correlate import CorrelateConfig
    from watchkeeper.analyze.detection_config import DetectionConfig
    from watchkeeper.analyze.template_groups import TemplatesConfig
    from watchkeeper.api.auth import AuthConfig
    from watchkeeper.api.services import ServerConfig
    from watchkeeper.bus.share import ShareConfig
    from watchkeeper.config.aiops import AiopsConfig
    from watchkeeper.ingest.enrich import EnrichConfig
    from watchkeeper.ingest.stage import IngestConfig
    from watchkeeper.ingest.upkeep_stage import UpkeepConfig
    from watchkeeper.lake.remote_config import RemoteConfig
    from watchkeeper.lake.series_config import CatalogConfig
    from watchkeeper.lake.tables.config import (
        ExemplarsConfig,
        HistogramsConfig,
        LogsConfig,
        SpansConfig,
    )
    from watchkeeper.lake.wal import WalConfig
    from watchkeeper.runtime import RuntimeConfig
    from watchkeeper.telemetry import LogConfig


@dataclass(frozen=True, slots=True)
class Chosen:
    """A plugin that the configuration chose, with its settings."""

    kind: str
    use: str
    settings: msgspec.Struct

    def build(self, **ports: Any) -> Any:
        """The plugin itself; `ports` are handed on by keyword."""
        return plugins.load(self.kind, self.use)(self.settings, **ports)


class Top(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands at the top of the file, outside of any section."""

    data_dir: Annotated[
        Path,
        msgspec.Meta(
            description="Folder of everything that is kept: log, telemetry, state, keys. One "
            "process at a time uses it."
        ),
    ] = Path("data")
    parts: Annotated[
        Sequence[Part],
        msgspec.Meta(
            description="Which parts of the whole this process is. Fewer than all need `bus.use: "
            "redis` and `store.use: postgres`.",
        ),
    ] = EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be configured, checked: what `Top` has, and one attribute per section."""

    data_dir: Path
    parts: Sequence[Part]
    server: ServerConfig
    auth: AuthConfig
    ingest: IngestConfig
    receivers: Mapping[str, Chosen]
    enrich: EnrichConfig
    catalog: CatalogConfig
    log: WalConfig
    lake: Chosen
    logs: LogsConfig
    templates: TemplatesConfig
    spans: SpansConfig
    histograms: HistogramsConfig
    exemplars: ExemplarsConfig
    remote: RemoteConfig
    store: Chosen
    bus: Chosen
    share: ShareConfig
    detection: DetectionConfig
    correlation: CorrelateConfig
    grouper: Chosen
    runtime: RuntimeConfig
    upkeep: UpkeepConfig
    telemetry: LogConfig
    aiops: AiopsConfig


@dataclass(frozen=True, slots=True)
class Section:
    """A top-level key. Either `target` names its type, or `kind` says whose plugins it is about."""

    text: str
    target: str = ""
    kind: str = ""
    use: str = ""
    """The plugin where none is chosen. Without one, all plugins of the kind are active, and the
    section has the settings of each under its name."""
    proof: str = ""
    """What is built of the settings to see whether they make sense together; raises ConfigError."""

    def type(self, use: str = "") -> type[msgspec.Struct]:
        """The type of its settings; of a plugin, those of `use`."""
        if self.kind:
            settings: type[msgspec.Struct] = plugins.load(self.kind, use or self.use).Config
            return settings
        found: type[msgspec.Struct] = _imported(self.target)
        return found

    def prove(self, settings: msgspec.Struct) -> None:
        """Raises ConfigError where settings are well-formed one by one, but not together."""
        if self.proof:
            _imported(self.proof)(settings)


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


SECTIONS: Final[Mapping[str, Section]] = {
    "server": Section(
        "Where it listens, and what it takes in one request.",
        "watchkeeper.api.services:ServerConfig",
    ),
    "auth": Section(
        "Who may ask without saying who they are.",
        "watchkeeper.api.auth:AuthConfig",
    ),
    "ingest": Section(
        "How much may wait at the door, and what is let in.",
        "watchkeeper.ingest.stage:IngestConfig",
    ),
    "receivers": Section("Limits on what each protocol's bodies may hold.", kind="receiver"),
    "enrich": Section(
        "Whom a series speaks of: labels that tell it, and rules.",
        "watchkeeper.ingest.enrich:EnrichConfig",
        proof="watchkeeper.ingest.enrich:Enrich",
    ),
    "catalog": Section(
        "How many series there may be, and what their labels mean.",
        "watchkeeper.lake.series_config:CatalogConfig",
    ),
    "log": Section("The write-ahead log.", "watchkeeper.lake.wal:WalConfig"),
    "lake": Section("Where samples are kept.", kind="lake", use="disk"),
    "logs": Section(
        "How log lines are kept.",
        "watchkeeper.lake.tables.config:LogsConfig",
    ),
    "templates": Section(
        "How log lines are grouped.",
        "watchkeeper.analyze.template_groups:TemplatesConfig",
    ),
    "spans": Section(
        "How spans are kept.",
        "watchkeeper.lake.tables.config:SpansConfig",
    ),
    "histograms": Section(
        "How native histograms are kept.",
        "watchkeeper.lake.tables.config:HistogramsConfig",
    ),
    "exemplars": Section(
        "How exemplars are kept.",
        "watchkeeper.lake.tables.config:ExemplarsConfig",
    ),
    "remote": Section(
        "Where telemetry is asked for by a process that keeps none.",
        "watchkeeper.lake.remote_config:RemoteConfig",
    ),
    "store": Section("Where state is kept.", kind="store", use="sqlite"),
    "bus": Section("What joins the stages.", kind="bus", use="memory"),
    "share": Section(
        "A Redis in which other programs read what happens.",
        "watchkeeper.bus.share:ShareConfig",
    ),
    "detection": Section(
        "Which detectors judge what arrives, and how readily.",
        "watchkeeper.analyze.detection_config:DetectionConfig",
        proof="watchkeeper.analyze.plan:Plan",
    ),
    "correlation": Section(
        "How alerts become incidents.",
        "watchkeeper.analyze.correlate:CorrelateConfig",
    ),
    "grouper": Section("Which alerts are taken for one trouble.", kind="grouper", use="root_cover"),
    "runtime": Section(
        "How patient stages are, and how often they keep their state.",
        "watchkeeper.runtime:RuntimeConfig",
    ),
    "upkeep": Section(
        "How often what is kept is put in order.",
        "watchkeeper.ingest.upkeep_stage:UpkeepConfig",
    ),
    "telemetry": Section("What it says of itself.", "watchkeeper.telemetry:LogConfig"),
    "aiops": Section(
        "Ingestion, models, remediation and notifications in one document.",
        "watchkeeper.config.aiops:AiopsConfig",
    ),
}

ALIASES: Final[Mapping[str, str]] = {
    "aiops.ingestion.log_level": "telemetry.level",
    "aiops.ingestion.trace_sampling": "telemetry.trace_share",
}
"""Settings that stand for another one where that is not given."""

UNUSED: Final = ("aiops",)
"""Sections of which this version uses nothing but what `ALIASES` names."""
