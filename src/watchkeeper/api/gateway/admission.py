"""The decision at the gate: from headers and a peer to a principal and a tenant, or a refusal.

It knows no HTTP server, so whatever carries requests can ask it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.gateway.credentials import HOW, shown
from watchkeeper.api.gateway.keyring import Keyring
from watchkeeper.api.gateway.limits import Buckets, over
from watchkeeper.errors import BadInput, Denied, Retryable
from watchkeeper.model.principal import ALL_TENANTS, Principal, Scope
from watchkeeper.model.series import TenantId

ADMITTED: Final = "watchkeeper.admitted"
"""Where in an ASGI scope the decision is."""

LOCAL: Final = Principal("local", frozenset(Scope), (ALL_TENANTS,))
"""Whoever asks from this machine, where that is let through."""

NOBODY: Final = Principal("nobody", frozenset(), ())
"""Whoever asks for what everybody may have, and does not say or prove who they are."""

CREDENTIALS: Final = (b"authorization", b"x-api-key", b"api-key")
PROXIED: Final = frozenset({
    b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
    b"x-real-ip",
})  # fmt: skip
"""Headers that tell of somebody behind the peer."""

_TENANT: Final = re.compile(r"[A-Za-z0-9!\-_.()']{1,150}")
"""As Mimir and Loki have it, without the asterisk, which means all of them here."""


@dataclass(frozen=True, slots=True)
class Admitted:
    principal: Principal
    tenant: TenantId


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gate looks at."""

    headers: Mapping[bytes, bytes]
    """By names in small letters."""
    peer: str | None
    """The address at the other end of the connection."""
    needs: Scope | None = None
    is_open: bool = False
    """Everybody may have it; who says who they are may see more."""
    n_bytes: int = 0
    """Of the body, where that was told."""


class Gate:
    """Recognises, permits, and meters."""

    def __init__(
        self,
        config: AuthConfig,
        keyring: Keyring,
        *,
        host: str,
        tenant_header: str,
        default_tenant: str,
    ) -> None:
        self.keyring = keyring
        self.lets_local_in = config.anonymous == "loopback" and is_loopback(host)
        """Whether it may do without credentials."""
        self._tenant_header = tenant_header.lower().encode("latin-1")
        self._default = TenantId(default_tenant)
        self._process_key = secrets.token_bytes(16)
        self._requests = Buckets()
        self._bytes = Buckets()

    async def admit(self, asked: Asked, now_ns: int) -> Admitted:
        """Raises Denied (401: nobody we know, 403: may not), OverLimit, BadInput (no name of a
        tenant), or Retryable while the store cannot be asked."""
        if asked.is_open:
            return await self._welcome(asked, now_ns)
        principal = await self._recognise(asked, now_ns)
        if asked.needs is not None and asked.needs not in principal.scopes:
            raise Denied(
                f"{principal.name} may not do this: it needs {asked.needs}; ask for a key that has",
                status=403,
            )
        tenant = self._tenant(asked, principal)
        if principal.limits.requests_per_s is not None or principal.limits.bytes_per_s is not None:
            self._meter(principal, asked.n_bytes, now_ns)
        return Admitted(principal, tenant)

    def used(self, principal: Principal, n_bytes: int, now_ns: int) -> None:
        """Count a body whose size was not told beforehand."""
        per_s = principal.limits.bytes_per_s
        if per_s is not None:
            self._bytes.of(principal.name, per_s, now_ns).take(n_bytes)

    async def _welcome(self, asked: Asked, now_ns: int) -> Admitted:
        try:
            principal = await self._recognise(asked, now_ns)
        except (Denied, Retryable):
            principal = NOBODY
        return Admitted(principal, self._default)

    async def _recognise(self, asked: Asked, now_ns: int) -> Principal:
        headers = asked.headers
        for name in CREDENTIALS:
            text = headers.get(name)
            if text is not None:
                key = self._process_key
                proof = hashlib.blake2b(name + text, digest_size=16, key=key).digest()
                known = self.keyring.remembered(proof, now_ns)
                if known is not None:
                    return known
                told = shown(headers)
                assert told is not None  # noqa: S101 - one of these headers is there
                return await self.keyring.ask(told, proof, now_ns)
        if self.lets_local_in and is_local(asked):
            return LOCAL
        raise Denied(f"who are you? {HOW}", status=401)

    def _tenant(self, asked: Asked, principal: Principal) -> TenantId:
        text = asked.headers.get(self._tenant_header, b"").decode("latin-1")
        if not text:
            first = principal.tenants[0]
            return self._default if first == ALL_TENANTS else first
        tenant = TenantId(text)
        if tenant in principal.tenants and tenant != ALL_TENANTS:
            return tenant
        if not _TENANT.fullmatch(text) or text in (".", ".."):
            raise BadInput(no_tenant(text))
        if not principal.has_all_tenants:
            raise Denied(f"{principal.name} may not enter tenant '{tenant}'", status=403)
        return tenant

    def _meter(self, principal: Principal, n_bytes: int, now_ns: int) -> None:
        """One of two limits that refuses takes nothing from the other."""
        limits, taken = principal.limits, []
        for what, per_s, buckets, amount, least in (
            ("requests", limits.requests_per_s, self._requests, 1, 1 - 1e-9),
            ("bytes", limits.bytes_per_s, self._bytes, n_bytes, 0.0),
        ):
            if per_s is not None:
                bucket = buckets.of(principal.name, per_s, now_ns)
                wait_s = bucket.wait_s(now_ns, least)
                if wait_s:
                    raise over(what, per_s, wait_s)
                taken.append((bucket, amount))
        for bucket, amount in taken:
            bucket.take(amount)


def is_tenant(text: str) -> bool:
    """Whether a tenant may be called so."""
    return _TENANT.fullmatch(text) is not None and text not in (".", "..")


def no_tenant(text: str) -> str:
    return (
        f"tenant: '{text[:80]}' is no name of a tenant; use up to 150 letters, digits and any of "
        "! - _ . ( ) '"
    )


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether an address or a name means this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_local(asked: Asked) -> bool:
    """Whether a request without credentials comes from a program on this machine, and neither
    through a proxy nor out of a page of somebody else that a browser on this machine has open."""
    headers = asked.headers
    if asked.peer is None or not is_loopback(asked.peer) or not PROXIED.isdisjoint(headers):
        return False
    host = headers.get(b"host", b"").decode("latin-1")
    if host and not is_loopback(_name(host)):
        return False  # a name of somebody else's that was made to point here
    origin = headers.get(b"origin")
    return origin is None or origin.decode("latin-1").partition("://")[2] == host


@lru_cache(1024)
def _name(host: str) -> str:
    """A Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
