"""The whole `detection:` document: what judges which series, and how readily it speaks.

Each part's own settings are defined beside the part. `analyze/plan.py` says what follows from it
for a series, and whether it makes sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.maintenance import MaintenanceWindow
from watchkeeper.model.metric_class import MetricClass

NotNegative = Annotated[float, Meta(ge=0.0)]


class Sensitivity(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Seasonality(StrEnum):
    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"


class Judging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How some series are judged. What is left out stays as it was."""

    detectors: Annotated[
        list[str] | None,
        Meta(
            description="Which of the configured detectors judge them beside `basic`, by name. "
            "Left out, all that are made for the class."
        ),
    ] = None
    sensitivity: Annotated[
        Sensitivity | None,
        Meta(
            description="How readily they are told of: `low` is ten times as rare as `normal`, "
            "`high` three times as frequent."
        ),
    ] = None
    direction: Annotated[
        Direction | None, Meta(description="On which side of what was expected trouble lies.")
    ] = None
    least_ratio: Annotated[
        NotNegative | None,
        Meta(
            description="Distances from what was expected that are a smaller part of it are not "
            "told."
        ),
    ] = None
    least_change: Annotated[
        NotNegative | None,
        Meta(
            description="Smaller distances from what was expected are not told. Of the class "
            "`latency` in seconds, else in the series' own unit."
        ),
    ] = None
    seasonality: Annotated[
        Seasonality | None,
        Meta(
            description="What repeats in them: the day, the week (from the second on; `fk` alone "
            "has one, for 2.7 KB a series), or nothing."
        ),
    ] = None
    time_zone: Annotated[
        str | None,
        Meta(
            description="By whose clocks, as `Europe/Berlin`: `fk` takes days and weeks as they "
            "are there, whenever clocks change. Left out, universal time."
        ),
    ] = None


class DetectionRule(Judging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says how the series are judged that it fits."""

    match: Annotated[
        dict[str, str],
        Meta(
            min_length=1,
            description="Label -> value; `*` in it stands for any text, `?` for one character. "
            "All must fit. `service`, `environment`, `node` and `owner` stand for whom the series "
            "speaks of, `__name__` for the metric's name, `class` for the class it has so far.",
        ),
    ]
    metric_class: Annotated[
        MetricClass | None, Meta(description="The class that they belong to.")
    ] = msgspec.field(name="class", default=None)
    muted: Annotated[bool, Meta(description="Learned, and never told of.")] = False


class DetectionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which detectors judge what arrives, and how readily."""

    detectors: Annotated[
        list[dict[str, Any]],
        Meta(
            description="Detectors by tier: `basic` judges every sample and makes the grid that "
            "the others judge. An empty list switches detection off.",
            extra={"plugins": "detector"},
        ),
    ] = msgspec.field(default_factory=lambda: [{"use": "basic"}, {"use": "fk"}, {"use": "rex"}])
    watchers: Annotated[
        list[dict[str, Any]],
        Meta(
            description="What looks at several series at a time, or at the time itself.",
            extra={"plugins": "watcher"},
        ),
    ] = msgspec.field(
        default_factory=lambda: [
            {"use": "no_data"},
            {"use": "ramp"},
            {"use": "flatline"},
            {"use": "symptoms"},
            {"use": "joint"},
        ]
    )
    sensitivity: Annotated[
        Sensitivity, Meta(description="How readily all of them speak: `low`, `normal` or `high`.")
    ] = Sensitivity.NORMAL
    classes: Annotated[
        dict[str, Judging],
        Meta(
            description="How series of a class are judged, by its name: resource, latency, "
            "traffic, errors, queue, business, state, log_rate, other."
        ),
    ] = {}
    maintenance: Annotated[
        list[MaintenanceWindow],
        Meta(description="When nobody is to be woken: what begins then is found and shown, muted."),
    ] = []
    rules: Annotated[
        list[DetectionRule],
        Meta(description="For some series; applied in order, later ones override earlier ones."),
    ] = []
    deploy_quiet_s: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86_400.0,
            description="After a deployment of a service, how long what begins in its traffic, its "
            "latency and its series is shown and does not page. Errors, saturation and silence do.",
        ),
    ] = 900.0
    logs: LogWatchConfig = LogWatchConfig()


CLASSES: Final[Mapping[MetricClass, Judging]] = {
    MetricClass.RESOURCE: Judging(least_ratio=0.1),
    MetricClass.LATENCY: Judging(direction=Direction.UP, least_ratio=0.2, least_change=0.02),
    MetricClass.TRAFFIC: Judging(least_ratio=0.2),
    MetricClass.ERRORS: Judging(direction=Direction.UP),
    MetricClass.QUEUE: Judging(direction=Direction.UP),
    MetricClass.BUSINESS: Judging(least_ratio=0.1),
}
"""What holds where the document says nothing of a class, or of a class' setting."""

SPECIALISTS: Final[Mapping[str, frozenset[MetricClass]]] = {
    "ar": frozenset({MetricClass.LATENCY, MetricClass.TRAFFIC}),
    "rex": frozenset({MetricClass.LATENCY, MetricClass.QUEUE, MetricClass.BUSINESS}),
}
"""Detectors that are made for some classes; others judge every class."""

DOCUMENTS: Final = msgspec.json.Decoder(DetectionConfig)
"""Reads the document. Made here, by one thread: several that meet a type for the first time at once
find half of what msgspec has to know of it, and the process ends."""
