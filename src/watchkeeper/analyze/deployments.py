"""What was deployed lately, and what begins then because of it: kept and shown, and no page.

A new version may answer faster or slower, take more memory or fewer calls; that is news, and no
reason to be woken. That it fails, is full or says nothing is one, so errors, saturation and silence
are told as ever. Decided by event time: what begins within a while from when it was deployed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from watchkeeper.model.change import Change
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity, TenantId

DEPLOYMENT: Final = "deployment"
LABEL: Final = "after_deploy"
"""What reasons begin with."""
KEPT_NS: Final = 2 * 86_400_000_000_000
"""After the end of what was told of it: what began within it may come late."""
MOST: Final = 1024
"""Of one partition; the oldest are let go of."""
EXPECTED: Final = frozenset({"traffic", "surge", "latency"})
"""Symptoms that a new version may bring along and be well."""
UNEXPECTED: Final = frozenset({MetricClass.ERRORS})
"""Classes of series whose shifts are never a new version's right."""


class Deployment(msgspec.Struct, frozen=True, array_like=True):
    """From its first telling to its last: `started` and `success` are one."""

    id: str
    tenant: str
    service: str
    environment: str
    version: str
    first_ns: int
    last_ns: int

    @classmethod
    def of(cls, change: Change) -> Self:
        return cls(
            change.id,
            change.tenant,
            change.entity.service or change.service,
            change.entity.environment,
            change.version,
            change.time_ns,
            change.time_ns,
        )

    def told_again(self, later: Deployment) -> Deployment:
        """The same deployment, with another status."""
        return msgspec.structs.replace(
            later,
            first_ns=min(self.first_ns, later.first_ns),
            last_ns=max(self.last_ns, later.last_ns),
        )

    def concerns(self, tenant: TenantId, entity: Entity) -> bool:
        """Whether it is theirs; who does not say an environment may be in any."""
        if (self.tenant, self.service) != (tenant, entity.service):
            return False
        return self.environment in ("", entity.environment) or not entity.environment


def reason(
    known: Iterable[Deployment], tenant: TenantId, entity: Entity, *, began_ns: int, quiet_ns: int
) -> str:
    """By which deployment of theirs, the newest, it is explained that something began then; empty
    if by none."""
    after = [
        one
        for one in known
        if one.first_ns <= began_ns < one.last_ns + quiet_ns and one.concerns(tenant, entity)
    ]
    if not after:
        return ""
    newest = max(after, key=lambda one: (one.last_ns, one.id))
    what = f"{newest.version} of {newest.service}" if newest.version else newest.service
    return f"{LABEL}: {what}"


def is_after(reason: str) -> bool:
    """Whether a reason of being muted is a deployment."""
    return reason.startswith(f"{LABEL}: ")
