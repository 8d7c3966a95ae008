"""Talk to Watchkeeper from Python: `Client` and `AsyncClient`."""

from __future__ import annotations

from watchkeeper.sdk.answers import (
    Anomaly,
    AnomalyPage,
    Change,
    Check,
    Expected,
    Health,
    QueriedSeries,
    Rejected,
    Source,
    Written,
)
from watchkeeper.sdk.async_client import AsyncClient
from watchkeeper.sdk.client import Client
from watchkeeper.sdk.explained import (
    CauseFound,
    Causes,
    Proof,
    TopologyEdge,
    TopologyGraph,
    TopologyNode,
    TopologySaid,
)
from watchkeeper.sdk.found import (
    AnomalyTraces,
    FoundLine,
    FoundSpan,
    LinePage,
    LinkedTrace,
    LogTemplate,
    TemplateList,
    Trace,
    TraceSummary,
)
from watchkeeper.sdk.incidents import (
    Incident,
    IncidentAlert,
    IncidentEvent,
    IncidentPage,
    IncidentTimeline,
    Joined,
)
from watchkeeper.sdk.paged import (
    BurnRate,
    Noisy,
    NoisySeries,
    NoisyService,
    Objective,
    Objectives,
    Promise,
)
from watchkeeper.sdk.retry import Retry
from watchkeeper.sdk.rows import ChangeNote, LogLine
from watchkeeper.sdk.ruled import (
    DetectionSettings,
    MaintenanceWindow,
    SettingChange,
    Verdict,
    VerdictChanges,
)
from watchkeeper.sdk.series import Sample, TimeSeries, series_of
from watchkeeper.sdk.spans import Span, SpanEvent

__all__ = [
    "Anomaly",
    "AnomalyPage",
    "AnomalyTraces",
    "AsyncClient",
    "BurnRate",
    "CauseFound",
    "Causes",
    "Change",
    "ChangeNote",
    "Check",
    "Client",
    "DetectionSettings",
    "Expected",
    "FoundLine",
    "FoundSpan",
    "Health",
    "Incident",
    "IncidentAlert",
    "IncidentEvent",
    "IncidentPage",
    "IncidentTimeline",
    "Joined",
    "LinePage",
    "LinkedTrace",
    "LogLine",
    "LogTemplate",
    "MaintenanceWindow",
    "Noisy",
    "NoisySeries",
    "NoisyService",
    "Objective",
    "Objectives",
    "Promise",
    "Proof",
    "QueriedSeries",
    "Rejected",
    "Retry",
    "Sample",
    "SettingChange",
    "Source",
    "Span",
    "SpanEvent",
    "TemplateList",
    "TimeSeries",
    "TopologyEdge",
    "TopologyGraph",
    "TopologyNode",
    "TopologySaid",
    "Trace",
    "TraceSummary",
    "Verdict",
    "VerdictChanges",
    "Written",
    "series_of",
]
