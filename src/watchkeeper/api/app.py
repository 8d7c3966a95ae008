"""The HTTP application: hot routes first, everything else through FastAPI."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from watchkeeper import __version__
from watchkeeper.api import (
    alertmanager,
    anomalies,
    anomaly_traces,
    audit,
    band,
    causes,
    changes,
    detection,
    handling,
    health,
    incidents,
    internal,
    judging,
    keys,
    logs,
    maintenance,
    metrics,
    pages,
    problems,
    prometheus,
    sources,
    topology,
    traces,
    verdicts,
)
from watchkeeper.api.description import complete
from watchkeeper.api.door_table import door_at
from watchkeeper.api.doors import (
    Answer,
    Door,
    Receive,
    Scope,
    Send,
    headers_of,
    read_body,
    send_answer,
)
from watchkeeper.api.gateway.admission import ADMITTED, CREDENTIALS, Gate
from watchkeeper.api.gateway.asgi import Gateway
from watchkeeper.api.gateway.keyring import Keyring
from watchkeeper.api.gateway.table import check
from watchkeeper.api.services import Services
from watchkeeper.errors import WatchkeeperError
from watchkeeper.ingest.prepare import Request
from watchkeeper.ingest.receivers.base import PATH_NAME
from watchkeeper.model.series import TenantId

ROUTERS: Final = (
    alertmanager.router,
    metrics.router,
    prometheus.router,
    anomalies.router,
    verdicts.router,
    anomaly_traces.router,
    logs.router,
    traces.router,
    changes.router,
    incidents.router,
    handling.router,
    causes.router,
    topology.router,
    detection.router,
    band.router,
    maintenance.router,
    judging.router,
    pages.router,
    sources.router,
    keys.router,
    audit.router,
    health.router,
    internal.router,
)


class Front:
    """ASGI: through the gateway, then the door of what is posted, else the FastAPI app."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.described = described()
        config, auth = services.config, services.auth
        keyring = Keyring(auth, services.store, services.clock, services.queries)
        self.gate = Gate(
            auth,
            keyring,
            host=config.host,
            tenant_header=config.tenant_header,
            default_tenant=config.default_tenant,
        )
        self.state = {"services": services, "keyring": keyring}
        """What each request brings along to its route."""
        self._gateway = Gateway(config, self.gate, services.clock, self._route, services.parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gateway(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = door_at(scope["path"], scope["method"])
        if found is not None:
            await send_answer(send, await self._enter(*found, scope, receive))
            return
        known = {**scope, "state": self.state}
        await self.described(known, receive, send)  # type: ignore[arg-type]  # ASGI's own types

    async def _enter(self, door: Door, name: str, scope: Scope, receive: Receive) -> Answer:
        headers = headers_of(scope)
        if name:
            headers[PATH_NAME] = name
        for credential in CREDENTIALS:  # nobody behind the gateway needs them
            headers.pop(credential.decode(), None)
        config = self.services.config
        tenant: TenantId = scope[ADMITTED].tenant
        try:
            body = await read_body(scope, receive, config.body_bytes, config.body_s)
            accepted = await self.services.door.accept(
                Request(door.receiver, body, headers, tenant)
            )
        except WatchkeeperError as error:
            return door.words.refused(error, headers)
        return door.words.accepted(accepted, headers)


@functools.cache
def described() -> FastAPI:
    """Everything but the doors, which are described here and served by `Front`.

    It takes a tenth of a second to make, and knows of no services: each request brings them along.
    """
    app = FastAPI(
        title="Watchkeeper",
        version=__version__,
        description="Self-hosted AIOps engine.",
        docs_url=None,  # these pages fetch scripts from elsewhere; we do without anything outside
        redoc_url=None,
    )
    check(served())
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        return complete(plain())

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def served() -> Iterator[tuple[str, str]]:
    """(method, path) of all that FastAPI answers."""
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)  # noqa: S101 - no other kind is ever added
            yield from ((method, route.path) for method in route.methods or ())
