"""A running server, as its operator starts it: a process of its own, stopped by its pid."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from opentelemetry.sdk.resources import Resource

from bench import client, peers
from bench.peers import Server, free_port
from bench.postgres import Cluster
from bench.servers import redis_server


class Start(Protocol):
    """Starts a server with some settings; the one of the same name again takes its folder over."""

    def __call__(
        self, settings: Mapping[str, object] | None = None, *, name: str = "watchkeeper"
    ) -> Server: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(
            settings: Mapping[str, object] | None = None, *, name: str = "watchkeeper"
        ) -> Server:
            folder = tmp_path / name
            recipe = peers.watchkeeper(folder, settings, name=name)
            server = stack.enter_context(Server(recipe, folder, core=None))
            return server.wait_ready()

        yield started


@dataclass(frozen=True, slots=True)
class Shared:
    """A server that many tests share; each has a service of its own, by which it finds its data."""

    server: Server
    grpc_port: int
    service: str

    @property
    def resource(self) -> Resource:
        """As a sender by OpenTelemetry says who it is."""
        return Resource.create(
            {"service.name": self.service, "deployment.environment.name": "production"}
        )


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """Everything at its default, and gRPC; the port of that."""
    folder, grpc_port = tmp_path_factory.mktemp("shared"), free_port()
    recipe = peers.watchkeeper(folder, {"server": {"grpc_port": grpc_port}})
    with Server(recipe, folder, core=None) as server:
        yield server.wait_ready(), grpc_port


@pytest.fixture
def shared(one_server: tuple[Server, int]) -> Shared:
    return Shared(*one_server, f"checkout-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def redis_url(
    program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Redis that syncs every write."""
    with redis_server(program("redis-server"), tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def server(start: Start) -> Server:
    """One server with everything at its default."""
    return start()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that syncs, as an operator runs it; stores are told apart by their folders."""
    with Cluster() as one:
        yield one


def query(server: Server, selector: str, **more: str) -> list[dict[str, Any]]:
    """Series of the query API, of the last hour unless `start` says otherwise."""
    answer = json.loads(
        client.get(server.port, "/api/v1/metrics/query", {"query": selector, **more})
    )
    series: list[dict[str, Any]] = answer["series"]
    return series
