"""Keys and users: made, listed, revoked; every change with its entry in the audit trail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from watchkeeper.api.gateway.admission import is_tenant, no_tenant
from watchkeeper.api.gateway.credentials import hashed, new_key
from watchkeeper.clock import Clock
from watchkeeper.errors import BadInput, Denied
from watchkeeper.know.audit_stage import Audit, Decided
from watchkeeper.model.audit import Act
from watchkeeper.model.principal import (
    ALL_TENANTS,
    INSTALLATION,
    NARROW,
    ApiKey,
    Limits,
    Principal,
    Role,
    Scope,
    User,
)
from watchkeeper.model.series import TenantId
from watchkeeper.store.base import Filter, Store
from watchkeeper.telemetry import Secret

R = TypeVar("R", ApiKey, User)

SHORTEST_PASSWORD: Final = 12
_NAME: Final = re.compile(r"[\w.@+ -]{1,100}")
_LOGIN: Final = re.compile(r"[\w.@+-]{1,100}")
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, and in which request."""

    principal: Principal
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that is to be made: with a role, or with scopes."""

    name: str
    role: Role | None = None
    scopes: frozenset[Scope] = frozenset()
    tenants: tuple[TenantId, ...] = (ALL_TENANTS,)
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    expires_ns: int | None = None


class Roster:
    """Nobody hands out, or takes away, what they do not have themselves: a principal of some
    tenants sees and changes the keys and users of these alone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._audit = Audit(store, clock)

    async def create_key(self, wanted: Wanted, by: By) -> tuple[ApiKey, Secret]:
        """The key, and its text, which nobody can be told again."""
        now_ns = self._clock.now_ns()
        _check_key(wanted, now_ns)
        _check_tenants(wanted.tenants, by.principal)
        identity, text, kept = new_key()
        key = ApiKey(
            id=identity,
            name=wanted.name,
            digest=kept,
            role=wanted.role,
            scopes=wanted.scopes,
            tenants=wanted.tenants,
            limits=wanted.limits,
            created_ns=now_ns,
            created_by=by.principal.name,
            expires_ns=wanted.expires_ns,
        )

        async def decide() -> Decided[tuple[ApiKey, Secret]]:
            act = _act(by, "key.create", key, after=described(key))
            return Decided((key, text), [key], act)

        return await self._audit.change(decide)

    async def revoke_key(self, identity: str, by: By) -> ApiKey:
        """Again, and nothing changes."""

        async def decide() -> Decided[ApiKey]:
            key = await self._known(ApiKey, identity, by, "key", "watchkeeper keys list")
            if key.revoked_ns is not None:
                return Decided(key)
            after = replace(key, revoked_ns=self._clock.now_ns(), revision=key.revision + 1)
            act = _act(by, "key.revoke", key, {"state": "active"}, {"state": "revoked"})
            return Decided(after, [after], act)

        return await self._audit.change(decide)

    async def keys(self, by: By) -> list[ApiKey]:
        """Newest first, the revoked ones, too."""
        return await self._all(ApiKey, by)

    async def create_user(
        self, name: str, password: Secret, role: Role, tenants: tuple[TenantId, ...], by: By
    ) -> User:
        if not _LOGIN.fullmatch(name):
            raise BadInput(f"name: '{name[:100]}' is no name; use letters, digits and . @ + - _")
        _check_tenants(tenants, by.principal)
        kept = await _hashed(password)
        now_ns = self._clock.now_ns()
        user = User(name, kept, role, tenants, now_ns, by.principal.name)

        async def decide() -> Decided[User]:
            if await self._store.get(User, INSTALLATION, name) is not None:
                raise BadInput(
                    f"user {name} is there already; change the password, or take another name",
                    status=409,
                )
            act = _act(by, "user.create", user, after=described(user))
            return Decided(user, [user], act)

        return await self._audit.change(decide)

    async def disable_user(self, name: str, by: By) -> User:
        """Again, and nothing changes."""

        async def decide() -> Decided[User]:
            user = await self._known(User, name, by, "user", "watchkeeper users list")
            if user.disabled_ns is not None:
                return Decided(user)
            after = replace(user, disabled_ns=self._clock.now_ns(), revision=user.revision + 1)
            act = _act(by, "user.disable", user, {"state": "active"}, {"state": "disabled"})
            return Decided(after, [after], act)

        return await self._audit.change(decide)

    async def set_password(self, name: str, password: Secret, by: By) -> User:
        """Whoever was disabled stays so."""
        kept = await _hashed(password)

        async def decide() -> Decided[User]:
            user = await self._known(User, name, by, "user", "watchkeeper users list")
            after = replace(user, password=kept, revision=user.revision + 1)
            return Decided(after, [after], _act(by, "user.password", user))

        return await self._audit.change(decide)

    async def users(self, by: By) -> list[User]:
        return await self._all(User, by)

    async def _all(self, kind: type[R], by: By) -> list[R]:
        found: list[R] = []
        cursor = None
        while True:
            page = await self._store.list(kind, Filter(INSTALLATION, limit=_PAGE, cursor=cursor))
            found += [one for one in page.items if _is_of(one, by.principal)]
            cursor = page.cursor
            if cursor is None:
                return found

    async def _known(self, kind: type[R], key: str, by: By, noun: str, where: str) -> R:
        found = await self._store.get(kind, INSTALLATION, key)
        if found is None or not _is_of(found, by.principal):
            raise BadInput(f"there is no {noun} '{key[:100]}'; `{where}` tells them", status=404)
        return found


def described(one: ApiKey | User) -> Mapping[str, str]:
    """What the trail tells of it: everything but its secret."""
    told = {"name": one.name, "role": one.role or "", "tenants": ",".join(one.tenants)}
    if isinstance(one, ApiKey):
        told["scopes"] = ",".join(sorted(one.scopes))
        told["requests_per_s"] = _text(one.limits.requests_per_s)
        told["bytes_per_s"] = _text(one.limits.bytes_per_s)
        told["expires_ns"] = _text(one.expires_ns)
    return {name: text for name, text in told.items() if text}


def tenant_in_trail(tenants: Sequence[TenantId]) -> TenantId:
    """Whose entry it is: the one tenant's, or the installation's."""
    return tenants[0] if len(tenants) == 1 and tenants[0] != ALL_TENANTS else INSTALLATION


def _act(
    by: By,
    action: str,
    one: ApiKey | User,
    before: Mapping[str, str] | None = None,
    after: Mapping[str, str] | None = None,
) -> Act:
    target = f"key:{one.id}" if isinstance(one, ApiKey) else f"user:{one.name}"
    return Act(
        principal=by.principal.name,
        action=action,
        target=target,
        tenant=tenant_in_trail(one.tenants),
        before=before or {},
        after=after or {},
        request_id=by.request_id,
    )


def _check_key(wanted: Wanted, now_ns: int) -> None:
    if not _NAME.fullmatch(wanted.name):
        raise BadInput(
            f"name: '{wanted.name[:100]}' is no name; use up to 100 letters, digits, . @ + - _"
        )
    if (wanted.role is None) == (not wanted.scopes):
        raise BadInput("role: give a key either a role or scopes")
    beyond = wanted.scopes - NARROW
    if beyond:
        raise BadInput(f"scopes: {', '.join(sorted(beyond))} comes with the role admin alone")
    if wanted.expires_ns is not None and wanted.expires_ns <= now_ns:
        raise BadInput("expires: lies in the past; give a later time, or none")
    limits = (wanted.limits.requests_per_s, wanted.limits.bytes_per_s)
    if any(limit is not None and not 0 < limit < 1e15 for limit in limits):
        raise BadInput("limits: must be more than nothing; leave them out for no limit")


def _check_tenants(tenants: tuple[TenantId, ...], giver: Principal) -> None:
    if not tenants or len(set(tenants)) != len(tenants):
        raise BadInput("tenants: name at least one, and each once; * is all of them")
    if ALL_TENANTS in tenants and len(tenants) > 1:
        raise BadInput("tenants: * is all of them; name it alone")
    wrong = [one for one in tenants if one != ALL_TENANTS and not is_tenant(one)]
    if wrong:
        raise BadInput(no_tenant(wrong[0]))
    foreign = [one for one in tenants if not giver.may_enter(one)]
    if foreign:
        raise Denied(f"{giver.name} may not let anybody into tenant '{foreign[0]}'", status=403)


def _is_of(one: ApiKey | User, principal: Principal) -> bool:
    return all(principal.may_enter(tenant) for tenant in one.tenants)


async def _hashed(password: Secret) -> str:
    if len(password.reveal()) < SHORTEST_PASSWORD:
        raise BadInput(f"password: must have at least {SHORTEST_PASSWORD} characters")
    return await asyncio.to_thread(hashed, password)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)
