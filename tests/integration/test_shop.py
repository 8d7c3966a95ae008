"""A service of the shop as a process under its supervisor: it comes, it comes again, it goes."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")
pytest.importorskip("opentelemetry.instrumentation.psycopg")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from shop import directory, release
from shop.control import pids
from shop.plan import Plan
from shop.stores import chosen
from shop.supervise import running
from tests.listening import Told, listening


def processes(folder: str) -> list[int]:
    """Whoever was started with something of that folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                command = (place / "cmdline").read_bytes()
            except OSError:
                continue  # gone meanwhile
            if folder.encode() in command:
                found.append(int(place.name))
    return found


def asked(method: str, port: int, path: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request) as response:
        answer: bytes = response.read()
        return answer


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def spans(told: Told) -> set[tuple[str, str, str]]:
    """Version, kind and name."""
    found = set()
    for path, body in told:
        if path == "/v1/traces":
            message = ExportTraceServiceRequest()
            message.ParseFromString(body)
            for one in message.resource_spans:
                said = {pair.key: pair.value.string_value for pair in one.resource.attributes}
                version = said["service.version"]
                found |= {
                    (version, Span.SpanKind.Name(span.kind), span.name)
                    for scope in one.scope_spans
                    for span in scope.spans
                }
    return found


def test_a_service_comes_again_as_another_version_and_after_a_crash_and_nothing_is_left() -> None:
    """On PostgreSQL and Redis where they are installed, under OpenTelemetry's instrumentations."""
    stores = chosen("auto", "auto")
    with ExitStack() as stack:
        url, told = stack.enter_context(listening())
        wanted = Plan(load=False, watchkeeper=url, instrument="otel")
        plan = stack.enter_context(running(["inventory"], wanted, stores))
        home, port = Path(plan.folder), plan.ports["inventory"]
        directory.write(directory.of(plan, pids(home)), home / directory.FILE)
        for _ in range(2):
            asked("POST", port, "/inventory/7/take")
        deployed = release.main(["deploy", "inventory", "v2.0.0", "--home", plan.folder])
        left = [asked("GET", port, "/inventory/7") for _ in range(2)]
        wait_for(lambda: any(version == "v2.0.0" for version, _, _ in spans(told)))
        crashing = pids(home)["inventory"]
        os.kill(crashing, signal.SIGKILL)
        wait_for(lambda: pids(home).get("inventory", crashing) != crashing)
        ran = pids(home)
        stack.pop_all().close()

    assert left == [b'{"item":7,"left":999998}\n'] * 2
    assert deployed == 0
    assert {path for path, _ in told} >= {"/ingest/deployment", "/v1/traces", "/v1/metrics"}
    found = spans(told)
    kinds = {(version, kind) for version, kind, _ in found}
    assert kinds == set(product(("v1.0.0", "v2.0.0"), ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")))
    assert ("v2.0.0", "SPAN_KIND_SERVER", "GET /inventory/<int:item>") in found
    assert set(ran) == {"inventory", "host", *stores}
    assert [pid for pid in ran.values() if Path(f"/proc/{pid}").exists()] == []
    assert processes(plan.folder) == []
    assert not home.exists()
