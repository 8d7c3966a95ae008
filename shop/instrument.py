"""How a service is observed: by Watchkeeper's own middleware, by OpenTelemetry's SDK, or not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol

import httpx
from flask import Flask

from shop.database import Watch, nobody
from shop.plan import Plan
from shop.releases import Release
from shop.stores import Missing
from watchkeeper.sdk.middleware import Settings, observe, span, trace_calls

SDK, OTEL = "sdk", "otel"
KINDS = (SDK, OTEL)
ENVIRONMENT = "shop"
_NEEDED = (
    "opentelemetry.sdk",
    "opentelemetry.exporter.otlp.proto.http",
    *(
        f"opentelemetry.instrumentation.{name}"
        for name in ("flask", "httpx", "logging", "psycopg", "redis", "sqlite3")
    ),
)


def check(kind: str, needed: Sequence[str] = _NEEDED) -> None:
    """Raises Missing where a kind needs what is not installed."""
    lacking = [one for one in needed if kind == OTEL and not _is_there(one)]
    if lacking:
        raise Missing(
            f"--instrument otel needs {', '.join(lacking)}; install the extra: "
            "pip install -e '.[shop]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class Instrument(Protocol):
    def watch(self, system: str) -> Watch:
        """Sees the statements that are sent to a database, or a cache."""
        ...

    def observe(self, app: Flask) -> None: ...


class Nothing:
    def watch(self, system: str) -> Watch:
        return nobody

    def observe(self, app: Flask) -> None:
        """Nobody looks."""


class Sdk:
    """One line around the application, one for its calls, and one around each statement."""

    def __init__(self, plan: Plan, name: str, release: Release) -> None:
        self._plan = plan
        self._settings = Settings(
            name,
            plan.watchkeeper,
            environment=ENVIRONMENT,
            version=release.version,
            instance=f"{plan.host}:{plan.ports[name]}",
            metrics_s=plan.metrics_s,
        )
        trace_calls(httpx)

    def watch(self, system: str) -> Watch:
        given: dict[str, Any] = {"db.system.name": system, "db.namespace": "shop"}
        if system in self._plan.stores:
            given["server.address"] = self._plan.host
            given["server.port"] = self._plan.stores[system]
        return partial(span, kind="client", **given)

    def observe(self, app: Flask) -> None:
        observe(app, self._settings)
