"""The HTTP application: hot routes first, everything else through FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from watchkeeper import __version__
from watchkeeper.api import anomalies, health, metrics, problems, sources
from watchkeeper.api.doors import (
    DOORS,
    Answer,
    Door,
    Receive,
    Scope,
    Send,
    headers_of,
    read_body,
    send_answer,
)
from watchkeeper.api.services import Services
from watchkeeper.errors import WatchkeeperError
from watchkeeper.ingest.prepare import Request
from watchkeeper.model.series import TenantId


class Front:
    """ASGI: a door if the path has one, else the FastAPI app."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.described = create_app(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            door = DOORS.get(scope["path"])
            if door is not None:
                await send_answer(send, await self._enter(door, scope, receive))
                return
        await self.described(scope, receive, send)  # type: ignore[arg-type]  # ASGI's own types

    async def _enter(self, door: Door, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return Answer(405, b"use POST\n", ((b"allow", b"POST"),))
        headers = headers_of(scope)
        config = self.services.config
        # In small letters, as ASGI has all names of headers.
        tenant = TenantId(headers.get(config.tenant_header.lower()) or config.default_tenant)
        try:
            body = await read_body(scope, receive, config.body_bytes)
            accepted = await self.services.ingest.accept(
                Request(door.receiver, body, headers, tenant)
            )
        except WatchkeeperError as error:
            return door.words.refused(error, headers)
        return door.words.accepted(accepted, headers)


def create_app(services: Services) -> FastAPI:
    """Everything but the doors, which are described here and served by `Front`."""
    app = FastAPI(
        title="Watchkeeper",
        version=__version__,
        description="Self-hosted AIOps engine.",
        docs_url=None,  # these pages fetch scripts from elsewhere; we do without anything outside
        redoc_url=None,
    )
    app.state.services = services
    problems.install(app)
    app.include_router(metrics.router)
    app.include_router(anomalies.router)
    app.include_router(sources.router)
    app.include_router(health.router)
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        for path, door in DOORS.items():
            schema["paths"][path] = {"post": _operation(door)}
        return schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _operation(door: Door) -> dict[str, Any]:
    return {
        "summary": door.says,
        "tags": ["ingest"],
        "requestBody": {"required": True, "content": {"application/octet-stream": {}}},
        "responses": {
            "2XX": {"description": "Durable."},
            "400": {"description": "Not accepted, or not all of it; the answer says what and why."},
            "413": {"description": "Too large."},
            "415": {"description": "A content type or encoding that is not spoken here."},
            "503": {"description": "Not now; nothing was kept. Retry-After says when."},
        },
    }
