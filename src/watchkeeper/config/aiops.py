"""The `aiops:` section: one document for ingestion, models, remediation and notifications.

It is read, checked and shown as a whole. What no layer of this version uses is said so by
`watchkeeper config check`; see `sections.ALIASES` for what is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from watchkeeper.config.units import Duration
from watchkeeper.telemetry import Secret


class Ingestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes in, and how much of it."""

    metrics_interval: Annotated[
        Duration, Meta(gt=0, description="How often pulled sources are asked for metrics.")
    ] = 30.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(
            description="Level of our own log; stands for telemetry.level where that is not given."
        ),
    ] = "info"
    trace_sampling: Annotated[
        float, Meta(ge=0, le=1, description="Share of the traces that are kept.")
    ] = 0.1


class FailurePredictor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Foresees failures of components."""

    enabled: Annotated[bool, Meta(description="Whether the model runs.")] = True
    prediction_window: Annotated[
        Duration, Meta(gt=0, description="How far ahead failures are predicted.")
    ] = 48 * 3600.0
    retrain_interval: Annotated[
        Duration, Meta(gt=0, description="How often the model is trained anew.")
    ] = 7 * 86400.0


class ThreatDetector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tells attacks from traffic."""

    enabled: Annotated[bool, Meta(description="Whether the model runs.")] = True
    sensitivity: Annotated[
        Literal["low", "medium", "high"], Meta(description="How little it takes to be a threat.")
    ] = "high"
    false_positive_threshold: Annotated[
        float, Meta(ge=0, le=1, description="Share of false alarms above which it is held back.")
    ] = 0.05


class CapacityForecaster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Foresees how much of a resource will be needed."""

    enabled: Annotated[bool, Meta(description="Whether the model runs.")] = True
    forecast_periods: Annotated[
        Sequence[Annotated[Duration, Meta(gt=0)]], Meta(description="How far ahead to forecast.")
    ] = (30 * 86400.0, 60 * 86400.0, 90 * 86400.0)
    confidence_level: Annotated[
        float, Meta(gt=0, lt=1, description="Share of the outcomes that the interval is to hold.")
    ] = 0.95


class Models(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The models, one by one."""

    failure_predictor: FailurePredictor = msgspec.field(default_factory=FailurePredictor)
    threat_detector: ThreatDetector = msgspec.field(default_factory=ThreatDetector)
    capacity_forecaster: CapacityForecaster = msgspec.field(default_factory=CapacityForecaster)


class Actions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which types of action are eligible. Eligible is not yet permitted: policy decides last."""

    pod_restart: Annotated[bool, Meta(description="Restarting pods is eligible.")] = False
    pod_scale: Annotated[bool, Meta(description="Scaling deployments is eligible.")] = False
    config_update: Annotated[bool, Meta(description="Changing configuration is eligible.")] = False
    certificate_renewal: Annotated[bool, Meta(description="Renewing certificates is eligible.")] = (
        False
    )
    index_creation: Annotated[bool, Meta(description="Creating database indexes is eligible.")] = (
        False
    )
    security_patch: Annotated[bool, Meta(description="Applying security patches is eligible.")] = (
        False
    )


class Remediation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be done about an incident."""

    enabled: Annotated[bool, Meta(description="Whether actions are proposed at all.")] = False
    approval_required: Annotated[
        bool,
        Meta(
            description="Whether a person approves each action. `false` makes actions eligible to "
            "run without; the strictest of action, rule, policy and earned autonomy still decides."
        ),
    ] = True
    rollback_enabled: Annotated[
        bool, Meta(description="Whether an action that did not help is undone.")
    ] = True
    max_actions_per_minute: Annotated[
        int, Meta(ge=0, description="More actions than this wait.")
    ] = 10
    circuit_breaker_threshold: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of successes below which all actions stop."),
    ] = 0.8
    actions: Actions = msgspec.field(default_factory=Actions)


class Notifications(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told, and where."""

    slack_webhook: Annotated[
        Secret | None, Meta(description="URL of an incoming webhook of Slack.")
    ] = None
    pagerduty_key: Annotated[
        Secret | None, Meta(description="Integration key of a PagerDuty service.")
    ] = None
    email_recipients: Annotated[
        str | Sequence[str], Meta(description="Addresses: one, or a list.")
    ] = ()


class AiopsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine's settings in one document."""

    enabled: Annotated[bool, Meta(description="Whether the engine analyses what comes in.")] = True
    ingestion: Ingestion = msgspec.field(default_factory=Ingestion)
    models: Models = msgspec.field(default_factory=Models)
    remediation: Remediation = msgspec.field(default_factory=Remediation)
    notifications: Notifications = msgspec.field(default_factory=Notifications)
