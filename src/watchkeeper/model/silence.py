"""Alerts as they stand now, and the silences over them: what people want to hear nothing of."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.model.alert import Alert
from watchkeeper.model.series import Matcher, TenantId


@dataclass(frozen=True, slots=True)
class AlertState:
    """What was said last of an alert; it is the same one by its fingerprint."""

    alert: Alert
    heard_ns: int
    """When that was, by the ticks."""


@dataclass(frozen=True, slots=True)
class AlertSilence:
    """Alerts whose labels all matchers take are told of to nobody for a time. They stay alerts.

    Told again under the same id, it is as it is told then: one that is ended early ends sooner.
    """

    id: str
    tenant: TenantId
    matchers: tuple[Matcher, ...]
    from_ns: int
    to_ns: int
    author: str
    """Whom its sender names; who was let in is `principal`."""
    comment: str
    principal: str
    time_ns: int
    """When it was told so."""
    request_id: str = ""
    position: int = 0

    def state(self, now_ns: int) -> str:
        """As Alertmanager calls it."""
        if now_ns < self.from_ns:
            return "pending"
        return "active" if now_ns < self.to_ns else "expired"
