"""An Alertmanager, for whoever asks one: alerts, groups, silences, status. Alerts are posted at a
door; see `door_table`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from watchkeeper import __version__
from watchkeeper.api.alert_matching import parse_matcher, silencers, taken
from watchkeeper.api.alertmanager_forms import (
    RECEIVER,
    AlertmanagerRoute,
    PostedSilence,
    Shown,
    in_order,
    silence_form,
)
from watchkeeper.api.detection import by_of, services_of
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.know.silences_stage import Silences
from watchkeeper.model.series import Matcher, MatchOp, TenantId
from watchkeeper.model.silence import AlertSilence, AlertState
from watchkeeper.store.base import Filter

router = APIRouter(tags=["alertmanager"], route_class=AlertmanagerRoute)

MAX_ALERTS: Final = 100_000
"""Of one answer."""
_PAGE: Final = 10_000
_GROUPED_BY: Final = "alertname"
_SPOKEN: Final = "0.25.0"
_CONFIG: Final = (
    f"route:\n  receiver: {RECEIVER}\n  group_by: [{_GROUPED_BY}]\nreceivers:\n- name: {RECEIVER}\n"
)
Filters = Annotated[
    list[str], Query(alias="filter", description='Matchers, such as service=~"pay.*".')
]
Flag = Annotated[bool, Query()]
Wanted = Annotated[str | None, Query(alias="receiver", description="A regular expression.")]


@router.get("/api/v2/alerts")
async def list_alerts(
    request: Request,
    filters: Filters = [],  # noqa: B006  # FastAPI copies it
    receiver: Wanted = None,
    *,
    active: Flag = True,
    silenced: Flag = True,
    inhibited: Flag = True,
    unprocessed: Flag = True,
) -> JSONResponse:
    """What fires now, by its fingerprint. Nothing is inhibited here, and nothing unprocessed."""
    now_ns = services_of(request).clock.now_ns()
    shown = await _shown(request, filters, receiver, active=active, silenced=silenced)
    return JSONResponse([one.form(now_ns) for one in shown])


@router.get("/api/v2/alerts/groups")
async def list_groups(
    request: Request,
    filters: Filters = [],  # noqa: B006
    receiver: Wanted = None,
    *,
    active: Flag = True,
    silenced: Flag = True,
    inhibited: Flag = True,
) -> JSONResponse:
    """The same, together where they have one name."""
    now_ns = services_of(request).clock.now_ns()
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in await _shown(request, filters, receiver, active=active, silenced=silenced):
        groups.setdefault(one.state.alert.rule, []).append(one.form(now_ns))
    told = [
        {
            "alerts": groups[rule],
            "labels": {_GROUPED_BY: rule} if rule else {},
            "receiver": {"name": RECEIVER},
        }
        for rule in sorted(groups)
    ]
    return JSONResponse(told)


@router.get("/api/v2/silences")
async def list_silences(
    request: Request,
    filters: Filters = [],  # noqa: B006
) -> JSONResponse:
    """Those that hold, those that will, and those that did. A filter takes silences whose matchers
    name what it names, with a value that it takes."""
    wanted = [parse_matcher(text) for text in filters]
    now_ns = services_of(request).clock.now_ns()
    listed = await _silences(request).listed(tenant_of(request), over=True)
    named = [{one.name: one.value for one in silence.matchers} for silence in listed]
    kept = [one for one, fits in zip(listed, taken(wanted, named), strict=True) if fits]
    return JSONResponse([silence_form(one, now_ns) for one in in_order(kept, now_ns)])


@router.post("/api/v2/silences")
async def set_silence(request: Request, posted: PostedSilence) -> JSONResponse:
    """A new one; or, with an id, instead of the one that has it."""
    silence = await _silences(request).set(tenant_of(request), posted.wanted(), by_of(request))
    return JSONResponse({"silenceID": silence.id})


@router.get("/api/v2/silence/{silence_id}")
async def get_silence(request: Request, silence_id: str) -> JSONResponse:
    """One silence, over or not."""
    found = await _silences(request).get(tenant_of(request), silence_id)
    return JSONResponse(silence_form(found, services_of(request).clock.now_ns()))


@router.delete("/api/v2/silence/{silence_id}")
async def expire_silence(request: Request, silence_id: str) -> Response:
    """It is over now, if it is not yet."""
    await _silences(request).expire(tenant_of(request), silence_id, by_of(request))
    return Response(status_code=200)


@router.get("/api/v2/receivers")
async def list_receivers() -> JSONResponse:
    """The one that all alerts come to."""
    return JSONResponse([{"name": RECEIVER}])


@router.get("/api/v2/status")
async def tell_status(request: Request) -> JSONResponse:
    """What is spoken here: the version is that of the Alertmanager whose words these are."""
    version = {
        "branch": "",
        "buildDate": "",
        "buildUser": "",
        "goVersion": "",
        "revision": f"watchkeeper-{__version__}",
        "version": _SPOKEN,
    }
    return JSONResponse({
        "cluster": {"peers": [], "status": "disabled"},
        "config": {"original": _CONFIG},
        "uptime": iso(services_of(request).clock.now_ns()),
        "versionInfo": version,
    })  # fmt: skip


@router.get("/-/healthy", response_class=PlainTextResponse)
@router.get("/-/ready", response_class=PlainTextResponse)
async def tell_well() -> PlainTextResponse:
    """That it answers."""
    return PlainTextResponse("OK")


async def _shown(
    request: Request, filters: Sequence[str], receiver: str | None, *, active: bool, silenced: bool
) -> list[Shown]:
    matchers = [parse_matcher(text) for text in filters]
    if (
        receiver is not None
        and not taken([Matcher("name", MatchOp.REGEX, receiver)], [{"name": RECEIVER}]).all()
    ):
        return []
    services, tenant = services_of(request), tenant_of(request)
    await services.changes_caught_up(await services.newest())
    now_ns = services.clock.now_ns()
    states = await _firing(request, tenant, now_ns)
    silences = [
        one for one in await _silences(request).listed(tenant) if one.state(now_ns) == "active"
    ]
    return await asyncio.get_running_loop().run_in_executor(
        services.queries,
        partial(_chosen, states, silences, matchers, active=active, silenced=silenced),
    )


def _chosen(
    states: Sequence[AlertState],
    silences: Sequence[AlertSilence],
    matchers: Sequence[Matcher],
    *,
    active: bool,
    silenced: bool,
) -> list[Shown]:
    """On a thread of its own: there may be many."""
    fit = taken(matchers, [one.alert.labels for one in states])
    states = [one for one, fits in zip(states, fit, strict=True) if fits]
    over = silencers(silences, [one.alert.labels for one in states])
    shown = [
        Shown(state, ids)
        for state, ids in zip(states, over, strict=True)
        if (silenced if ids else active)
    ]
    return sorted(shown, key=lambda one: one.state.alert.fingerprint)


async def _firing(request: Request, tenant: TenantId, now_ns: int) -> list[AlertState]:
    store = services_of(request).store
    found: list[AlertState] = []
    query = Filter(tenant, status="firing", since_ns=now_ns + 1, limit=_PAGE)
    while len(found) < MAX_ALERTS:
        page = await store.list(AlertState, query)
        found += page.items
        if page.cursor is None:
            break
        query = Filter(
            tenant, status="firing", since_ns=now_ns + 1, limit=_PAGE, cursor=page.cursor
        )
    return found


def _silences(request: Request) -> Silences:
    services = services_of(request)
    return Silences(services.store, services.clock, services.deciding)
