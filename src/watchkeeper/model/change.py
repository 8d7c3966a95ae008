"""What somebody changed: deployments, and whatever else may be the reason of what is seen later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as its sender told it; as a receiver makes it, tenant and entity are not decided.

    The same change may be told again, with another status: `id` says that it is the same.
    """

    id: str
    """The sender's own, or made of its tenant, service, version and time."""
    kind: str
    """`deployment`, `config`, `feature_flag`, `migration`, `scaling`, or the sender's own word."""
    time_ns: int
    service: str
    version: str = ""
    status: str = ""
    """The sender's word: `started`, `success`, `failed`, `rolled_back` ..."""
    actor: str = ""
    """Who or what did it."""
    summary: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    tenant: TenantId = DEFAULT_TENANT
    entity: Entity = field(default_factory=Entity)
    position: int = 0
    """In the log; 0 until it is there."""
