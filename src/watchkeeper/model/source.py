"""Who sends to us, and how that goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from watchkeeper.model.series import TenantId


@dataclass(frozen=True, slots=True)
class Source:
    """One sender by one protocol, since this process started. Times are of our clock."""

    tenant: TenantId
    protocol: str
    """The receiver's name."""
    sender: str
    """What it calls itself (User-Agent); empty where it does not."""
    first_seen_ns: int
    last_seen_ns: int
    last_accepted_ns: int | None = None
    """When something of it was last taken."""
    n_bodies: int = 0
    n_bytes: int = 0
    """As they were sent."""
    n_accepted: int = 0
    """Samples, lines, spans, changes or alerts."""
    n_repeated: int = 0
    """Bodies that were known already."""
    n_refused: int = 0
    """Bodies of which nothing was taken, and which are not to be sent again."""
    n_put_off: int = 0
    """Bodies that were to be sent again."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Items that were left out of bodies that were taken, by reason."""
    last_problem: str = ""
    last_problem_ns: int | None = None
