"""Keys of programs: /api/v1/keys, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper import telemetry
from watchkeeper.api.gateway.keyring import Keyring
from watchkeeper.api.gateway.roster import By, Roster, Wanted
from watchkeeper.api.gateway.told import key_to_json
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import admitted
from watchkeeper.api.times import parse_time
from watchkeeper.model.principal import Limits, Role, Scope
from watchkeeper.model.series import TenantId

router = APIRouter(prefix="/api/v1/keys", tags=["access"])

_LIMIT = Annotated[float | None, Field(gt=0, lt=1e15)]


class NewKey(BaseModel):
    """A key to be made: with a role, or with scopes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "collector", "scopes": ["write:metrics"], "tenants": ["default"]}
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Role | None = None
    scopes: Annotated[list[Scope], Field(max_length=len(Scope))] = []
    tenants: Annotated[list[str] | None, Field(max_length=100)] = None
    """Default: those of whoever makes it."""
    requests_per_s: _LIMIT = None
    bytes_per_s: _LIMIT = None
    expires_at: str | None = None


@router.get("")
async def list_keys(request: Request) -> JSONResponse:
    """Newest first, the revoked ones, too."""
    keys = await _roster(request).keys(_by(request))
    return JSONResponse({"items": [key_to_json(key) for key in keys]})


@router.post("", status_code=201)
async def create_key(request: Request, wanted: NewKey) -> JSONResponse:
    """The answer holds the key's text, which cannot be asked for again."""
    by = _by(request)
    tenants = by.principal.tenants if wanted.tenants is None else wanted.tenants
    expires_at = wanted.expires_at
    key, text = await _roster(request).create_key(
        Wanted(
            name=wanted.name,
            role=wanted.role,
            scopes=frozenset(wanted.scopes),
            tenants=tuple(TenantId(one) for one in tenants),
            limits=Limits(wanted.requests_per_s, wanted.bytes_per_s),
            expires_ns=None if expires_at is None else parse_time(expires_at, "expires_at"),
        ),
        by,
    )
    told = {**key_to_json(key), "key": text.reveal()}
    return JSONResponse(told, 201, {"cache-control": "no-store"})


@router.delete("/{key_id}")
async def revoke_key(request: Request, key_id: str) -> JSONResponse:
    """Refused from now on here, and within `auth.cache_s` by every other process."""
    key = await _roster(request).revoke_key(key_id, _by(request))
    keyring: Keyring = request.state.keyring
    keyring.forget()
    return JSONResponse(key_to_json(key))


def _roster(request: Request) -> Roster:
    services: Services = request.state.services
    return Roster(services.store, services.clock)


def _by(request: Request) -> By:
    return By(admitted(request).principal, telemetry.request_id.get())
