"""Heartbeats: each says that somebody is alive, and ends the alert that they were not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.alerts import NAME, SERVICE, Told, alert_of
from watchkeeper.ingest.receivers.base import PATH_NAME, Noun
from watchkeeper.ingest.receivers.limits import BodyLimit
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import WireRows

SOURCE: Final = "heartbeat"
RULE: Final = "HeartbeatMissed"
_LABEL: Final = "heartbeat"


class Beat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is to say again and again that they are alive."""

    every_s: Annotated[float, Meta(gt=0, description="So often.")] = 60.0
    grace_s: Annotated[float, Meta(ge=0, description="So much later it is an alert.")] = 30.0
    service: Annotated[str, Meta(description="Whom it is about.")] = ""
    severity: Annotated[
        Literal["info", "warning", "error", "critical"], Meta(description="Of the alert.")
    ] = "critical"
    labels: Annotated[dict[str, str], Meta(description="Further labels of the alert.")] = (
        msgspec.field(default_factory=dict)
    )

    @property
    def limit_ns(self) -> int:
        return round((self.every_s + self.grace_s) * NS_PER_S)


class HeartbeatConfig(BodyLimit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is waited for."""

    beats: Annotated[
        dict[str, Beat],
        Meta(max_length=1000, description="By name: /api/v1/heartbeats/{name} is theirs."),
    ] = msgspec.field(default_factory=dict)


class Heartbeat:
    """The receiver of `POST /api/v1/heartbeats/{name}`. What the body says is not looked at."""

    Config = HeartbeatConfig
    makes: ClassVar[Noun] = "alerts"

    def __init__(self, config: HeartbeatConfig | None = None) -> None:
        self._beats = (config or HeartbeatConfig()).beats

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        name = headers.get(PATH_NAME, "")
        beat = self._beats.get(name)
        if beat is None:
            raise BadInput(
                f"nobody waits for a heartbeat '{name[:80]}' (receivers.heartbeat.beats); "
                f"known: {', '.join(sorted(self._beats)) or 'none'}",
                status=404,
            )
        return WireRows((alert_about(name, beat, None, now_ns),), is_of_now=True)


def alert_about(name: str, beat: Beat, missed_ns: int | None, now_ns: int) -> Alert:
    """That it was missed, since when; or its end."""
    alert, _ = alert_of(
        Told(
            source=SOURCE,
            labels={**beat.labels, NAME: RULE, _LABEL: name, SERVICE: beat.service},
            status="resolved" if missed_ns is None else "firing",
            urgency=beat.severity,
            summary=f"{name} has not been heard of for {beat.every_s + beat.grace_s:g} s",
        ),
        now_ns,
    )
    if missed_ns is None:
        return alert
    return replace(alert, started_ns=missed_ns, is_start_told=True)
