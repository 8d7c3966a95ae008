"""An alert: what somebody else's rule says, in one form whoever sent it.

The sender says the same again and again while it holds; what is the same is decided later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NewType

from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId

AlertId = NewType("AlertId", str)
"""Hex of a hash of tenant, source, labels and start: of one firing, the same after a replay."""

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_BREAK: Final = 0xFF


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Urgency(IntEnum):
    """How grave its sender says it is; comparable."""

    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True)
class Alert:
    """One message about one alert. As a receiver makes it, tenant and entity are not decided."""

    source: str
    """Who sent it: `alertmanager`, `grafana`, `pagerduty` ..."""
    rule: str
    """Whose condition holds: the label `alertname`, a title, a class."""
    labels: Mapping[str, str]
    """Without empty values."""
    status: AlertStatus
    started_ns: int
    """Event time, by the sender's clock."""
    ended_ns: int | None = None
    """When it ended or, while it fires, when its sender will take it for ended."""
    urgency: Urgency = Urgency.WARNING
    summary: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    """Addresses for people, by what is there: `rule`, `silence`, `dashboard` ..."""
    tenant: TenantId = DEFAULT_TENANT
    entity: Entity = field(default_factory=Entity)
    key: str = ""
    """By which its sender knows it, where that is not its labels."""
    is_start_told: bool = True
    """Else its beginning is when it was first heard of."""
    position: int = 0
    """In the log; 0 until it is there."""

    @property
    def fingerprint(self) -> str:
        """Of all labels, as Alertmanager makes it: what its sender takes for the same alert."""
        return fingerprint(self.labels)


def fingerprint(labels: Mapping[str, str]) -> str:
    """FNV-1a of 64 bits over `name FF value FF`, sorted by name, in 16 hex digits."""
    digest = _FNV_OFFSET
    for name in sorted(labels):
        for part in (name, labels[name]):
            for byte in (*part.encode("utf-8", "surrogatepass"), _BREAK):
                digest = (digest ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


_BY_WORD: Final[Mapping[str, Urgency]] = {
    word: urgency
    for urgency, words in {
        Urgency.INFO: "info informational information notice ok low debug none p4 p5 sev4 sev5",
        Urgency.WARNING: "warning warn minor moderate medium p3 sev3",
        Urgency.ERROR: "error err major high p2 sev2",
        Urgency.CRITICAL: "critical crit fatal page emergency emerg disaster p1 sev1 p0 sev0",
    }.items()
    for word in words.split()
}


def urgency_of(word: str) -> Urgency:
    """What a sender's word means; a word that nobody uses is a warning, and so is none."""
    return _BY_WORD.get(word.strip().lower(), Urgency.WARNING)
