"""Keys, users and requests for tests of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests import make
from tests.fronts import Api
from watchkeeper.api.gateway.credentials import digest, hashed
from watchkeeper.model.principal import Role, Scope
from watchkeeper.model.series import TenantId
from watchkeeper.telemetry import Secret

AWAY = "192.0.2.7"
"""Another machine."""
CHEAP = (2, 8, 1)
"""scrypt's least cost, so that tests do not wait."""
WRONG = f"wk_{'0' * 12}_{'0' * 64}"


@dataclass(frozen=True)
class Shown:
    """A key as its owner has it."""

    id: str
    text: str

    @property
    def header(self) -> dict[str, str]:
        return bearer(self.text)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def key(one: Api, number: int = 1, **fields: Any) -> Shown:
    """A key in the store; a viewer's of all tenants, if nothing else is said."""
    identity, secret = f"{number:012x}", f"{number:064x}"
    given = {"digest": digest(Secret(secret)), **fields}
    if "scopes" in given:
        given = {"role": None, **given}
    if "tenants" in given:
        given["tenants"] = tuple(TenantId(name) for name in given["tenants"])
    await one.store.save([make.api_key(identity, **given)])
    return Shown(identity, f"wk_{identity}_{secret}")


async def admin(one: Api, number: int = 99, **fields: Any) -> Shown:
    return await key(one, number, role=Role.ADMIN, **fields)


async def scoped(one: Api, scope: Scope, number: int = 1, **fields: Any) -> Shown:
    return await key(one, number, scopes=frozenset({scope}), **fields)


async def user(one: Api, name: str, password: str, **fields: Any) -> tuple[str, str]:
    """A user in the store; what they show."""
    await one.store.save([make.user(name, password=hashed(Secret(password), CHEAP), **fields)])
    return name, password
