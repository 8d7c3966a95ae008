"""Who asks, and what they may: roles, scopes, keys, users, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from watchkeeper.model.series import TenantId

INSTALLATION: Final = TenantId("")
"""Under which is kept what belongs to no tenant. No request can name it."""
ALL_TENANTS: Final = TenantId("*")
"""In a list of tenants: every one there is and will be. No tenant can be called so."""


class Scope(StrEnum):
    """What a route needs, and what a principal may have."""

    READ = "read"
    WRITE_METRICS = "write:metrics"
    WRITE_LOGS = "write:logs"
    WRITE_TRACES = "write:traces"
    WRITE_CHANGES = "write:changes"
    WRITE_ALERTS = "write:alerts"
    JUDGE = "judge"
    """Verdicts on anomalies, maintenance windows, silences, and what is done about incidents."""
    INTERNAL = "internal"
    """What processes of an installation ask of one another. Of the roles admin alone has it."""
    ADMINISTER = "administer"
    """Keys, users and the audit trail. Comes with the role alone."""


NARROW: Final = frozenset(Scope) - {Scope.ADMINISTER}
"""What a key may be given instead of a role."""


class Role(StrEnum):
    """Each may what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


SCOPES_OF: Final[Mapping[Role, frozenset[Scope]]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: NARROW - {Scope.INTERNAL},
    Role.APPROVER: NARROW - {Scope.INTERNAL},
    Role.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may use in the long run; None is no limit."""

    requests_per_s: float | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a program. Its secret was shown once; only a hash of it is kept."""

    id: str
    name: str
    digest: str = field(repr=False)
    """SHA-256 of the secret in hex. It needs no salt: a secret is 256 bits of chance."""
    role: Role | None
    scopes: frozenset[Scope]
    """Instead of a role."""
    tenants: tuple[TenantId, ...]
    """The first is meant where a request names none."""
    limits: Limits
    created_ns: int
    created_by: str
    expires_ns: int | None = None
    revoked_ns: int | None = None
    used_ns: int | None = None
    """When it was last used, to the minute."""
    revision: int = 0
    """Grows with every change but that of `used_ns`."""


@dataclass(frozen=True, slots=True)
class User:
    """A person, who shows a password."""

    name: str
    password: str = field(repr=False)
    """scrypt's parameters, salt and hash; see `api/gateway/credentials.py`."""
    role: Role
    tenants: tuple[TenantId, ...]
    created_ns: int
    created_by: str
    disabled_ns: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a request comes from, as far as it matters for what they may."""

    name: str
    """`local`, `key:<id>` or `user:<name>`; console commands are `console:<login>`."""
    scopes: frozenset[Scope]
    tenants: tuple[TenantId, ...]
    limits: Limits = field(default_factory=Limits)

    @property
    def has_all_tenants(self) -> bool:
        return ALL_TENANTS in self.tenants

    def may_enter(self, tenant: TenantId) -> bool:
        return tenant in self.tenants or self.has_all_tenants
