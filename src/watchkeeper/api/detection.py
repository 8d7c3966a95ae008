"""The settings of detection: read, set, and taken back, while it runs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from watchkeeper import telemetry
from watchkeeper.api.problems import problem
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import admitted
from watchkeeper.api.times import iso
from watchkeeper.errors import BadInput, ConfigError, Denied
from watchkeeper.know.settings_stage import By, Difference, Settings, differences
from watchkeeper.model.ruling import FROM_FILE, DetectionSet

router = APIRouter(prefix="/api/v1/config/detection", tags=["detection"])

_ETAG: Final = re.compile(r'(?:W/)?"?(\d{1,9})"?')
_SPOKEN: Final = ("application/json", "application/yaml", "application/x-yaml", "text/yaml")
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {media: {"schema": {"type": "object"}} for media in _SPOKEN[:2]},
}
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    412: {"description": "Another version is in force than was expected; nothing was changed."}
}


@router.get("")
async def current_settings(request: Request) -> Response:
    """What is in force, since when, and by whom. The answer's ETag is its version."""
    check_all_tenants(request)
    settings = settings_of(request)
    return _told(await settings.current(), settings)


@router.put("", openapi_extra={"requestBody": _BODY}, responses=_REFUSED)
async def set_settings(
    request: Request,
    expected: Annotated[
        int | None, Query(ge=0, lt=10**9, description="Only if this version is in force.")
    ] = None,
    dry_run: Annotated[bool, Query(description="Only check, and say what would change.")] = False,
    if_match: Annotated[
        str | None, Header(description="As `expected`: the ETag of what was read.")
    ] = None,
) -> Response:
    """Set the whole document, as JSON or as YAML. In force at once, without a restart."""
    by, services, settings = whole(request), services_of(request), settings_of(request)
    expected = expected_version(if_match) if expected is None else expected
    media = request.headers.get("content-type", _SPOKEN[0]).split(";")[0].strip().lower()
    if media not in _SPOKEN:
        return problem(415, f"settings come as {' or '.join(_SPOKEN[:2])}, not as '{media[:80]}'")
    body = await request.body()
    try:
        document = await _read(services, body, media)
    except ConfigError as error:
        return problem(422, "; ".join(error.faults), errors=error.faults)
    before = await settings.expect(expected)
    changed = differences(settings.text(before), document)
    if dry_run:
        return JSONResponse({
            "dry_run": True, "version": before.version, "changed": _listed(changed),
        })  # fmt: skip
    return _told(await settings.set(document, by, expected=expected), settings, changed)


@router.get("/versions")
async def list_versions(
    request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> JSONResponse:
    """Newest first, without their documents. Version 0 is what the configuration file says."""
    check_all_tenants(request)
    settings = settings_of(request)
    found = await settings.versions(limit)
    return JSONResponse({"items": [_head(one) for one in found]})


@router.get("/versions/{version}")
async def one_version(request: Request, version: str) -> Response:
    """A version with its document."""
    check_all_tenants(request)
    settings = settings_of(request)
    return _told(await settings.version(_number(version)), settings)


@router.post("/versions/{version}/restore", responses=_REFUSED)
async def restore_version(
    request: Request,
    version: str,
    expected: Annotated[
        int | None, Query(ge=0, lt=10**9, description="Only if this version is in force.")
    ] = None,
) -> Response:
    """Set again what was in force then; 0 is the configuration file, which then counts again."""
    by, settings = whole(request), settings_of(request)
    wanted = await settings.version(_number(version))
    try:  # another release may have taken what this one does not
        if wanted.document:
            await _read(services_of(request), wanted.document.encode(), _SPOKEN[0])
    except ConfigError as error:
        return problem(422, "; ".join(error.faults), errors=error.faults)
    before = await settings.current()
    restored = await settings.set(
        wanted.document, by, expected=expected, action="detection.restore"
    )
    changed = differences(settings.text(before), settings.text(restored))
    return _told(restored, settings, changed)


async def _read(services: Services, body: bytes, media: str) -> str:
    """A document as it is logged. Raises ConfigError with every fault."""
    reading = partial(services.deciding.read, body, media)
    return await asyncio.get_running_loop().run_in_executor(services.queries, reading)


def services_of(request: Request) -> Services:
    services: Services = request.state.services
    return services


def settings_of(request: Request) -> Settings:
    services = services_of(request)
    return Settings(services.store, services.clock, services.deciding)


def by_of(request: Request) -> By:
    return By(admitted(request).principal.name, telemetry.request_id.get())


def whole(request: Request) -> By:
    """Who asks, if they may change what counts for every tenant."""
    check_all_tenants(request)
    return by_of(request)


def check_all_tenants(request: Request) -> None:
    """Settings name services of all tenants, and count for all of them."""
    principal = admitted(request).principal
    if not principal.has_all_tenants:
        raise Denied(
            f"{principal.name} may not see or change settings: they count for tenants that it may "
            "not enter; ask with a key of all tenants",
            status=403,
        )


def _told(
    settings: DetectionSet, of: Settings, changed: Sequence[Difference] | None = None
) -> Response:
    told = {**_head(settings), "document": json.loads(of.text(settings))}
    if changed is not None:
        told["changed"] = _listed(changed)
    return JSONResponse(told, headers={"etag": f'"{settings.version}"'})


def _head(settings: DetectionSet) -> dict[str, Any]:
    is_set = settings.time_ns > 0
    return {
        "version": settings.version,
        "source": "run time" if settings.document else "file",
        "since": iso(settings.time_ns) if is_set else None,
        "by": settings.principal,
        "action": settings.action,
        "position": settings.position,
        "is_in_force": settings.version == FROM_FILE or settings.position > 0,
    }


def _listed(changed: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{"path": one.path, "before": one.before, "after": one.after} for one in changed]


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadInput(f"version: '{text[:80]}' is no number of a version", status=404)
    return int(text)


def expected_version(if_match: str | None) -> int | None:
    """The version that a request's If-Match names."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise BadInput(f"if-match: {if_match[:80]} is no version; send the ETag of what was read")
    return int(found[1])
