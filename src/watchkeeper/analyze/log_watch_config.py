"""What can be set of the detectors of log lines."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class LogWatchConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How log lines are judged, service by service, by their templates."""

    enabled: Annotated[bool, Meta(description="Whether they are judged at all.")] = True
    learning_s: Annotated[
        float,
        Meta(ge=0, description="So long after the first line of a service nothing is told of it."),
    ] = 86400.0
    after_deploy_s: Annotated[
        float,
        Meta(ge=0, description="After a change of a service its new templates are not told."),
    ] = 1800.0
    again_s: Annotated[
        float,
        Meta(
            gt=0,
            description="In so long a service has one finding of a new template, and one of a "
            "rare one; a graver one has its own.",
        ),
    ] = 3600.0
    evidence_hours_per_week: Annotated[
        int,
        Meta(
            ge=0,
            description="Hours of a week in which lines of a service may be evidence; what is "
            "found beyond is shown as information.",
        ),
    ] = 3
    least_change: Annotated[
        float,
        Meta(ge=0, description="Lines a minute by which a template's rate must be off to be told."),
    ] = 10.0
    least_ratio: Annotated[
        float, Meta(ge=1, description="... and how many times the expected rate, up or down.")
    ] = 2.0
    templates_per_service: Annotated[
        int,
        Meta(ge=0, description="Templates whose rate is judged each; others are judged together."),
    ] = 500
    templates: Annotated[
        int,
        Meta(
            ge=1,
            description="Templates whose rate is judged in one process; some 2 KiB each. Read when "
            "it starts.",
        ),
    ] = 20_000
    rare: Annotated[
        float,
        Meta(
            ge=0,
            description="Rarity from which a template that is hardly ever seen is shown: minus the "
            "logarithm of its share of lines, weighed by how grave it is.",
        ),
    ] = 14.0
    session_keys: Annotated[
        list[str],
        Meta(
            description="Attributes of a line whose values are the names of sessions, such as "
            "`session.id`; the first that a line has counts. Lines of a trace are one session in "
            "any case."
        ),
    ] = []
    session_idle_s: Annotated[
        float, Meta(gt=0, description="A session without a line for so long has ended.")
    ] = 60.0
    sessions_to_learn: Annotated[
        int, Meta(ge=1, description="Sessions of a service before one can be strange.")
    ] = 500
    open_sessions: Annotated[
        int,
        Meta(
            ge=1,
            description="Sessions of a service that are open at once; where more come, every "
            "second one is left out, then three of four, and so on.",
        ),
    ] = 2000
