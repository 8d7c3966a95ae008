"""A small system that tells of itself as senders do: spans by Zipkin, lines, samples, changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import numpy as np

from tests.cases import MS, NAMES, OPERATIONS, Call, Spans
from watchkeeper import plugins
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import Entity
from watchkeeper.model.severity import Severity, SpanKind
from watchkeeper.model.signal import LogBatch, SpanBatch
from watchkeeper.model.template import fingerprints
from watchkeeper.sdk import remote_write
from watchkeeper.sdk.series import TimeSeries

Rows = TypeVar("Rows", SpanBatch, LogBatch)

DATABASE = "postgresql/shop"
"""How `database` is called in what is told of it."""
_JSON = {"content-type": "application/json"}


def zipkin(
    *calls: Call, at_s: float, n: int, every_s: float = 1.0, first: int = 1
) -> list[dict[str, Any]]:
    """Each call n times, one after the other; traces are numbered from `first` on."""
    spans = Spans()
    random = np.random.default_rng(first)
    for number in range(n):
        for call in calls:
            spans.add(_varied(call, random), number * every_s * 1000.0)
    return [_zipkin(row, at_s, first) for row in spans.rows]


async def tell_spans(http: httpx.AsyncClient, spans: Sequence[Mapping[str, Any]]) -> None:
    await _post(http, "/api/v2/spans", spans)


async def tell_lines(
    http: httpx.AsyncClient, service: str, texts: Sequence[str], *, at_s: float, level: str
) -> None:
    told = [
        {"timestamp": at_s + n, "message": text, "level": level, "service": service}
        for n, text in enumerate(texts)
    ]
    await _post(http, "/api/v1/logs/write", told)


async def tell_change(http: httpx.AsyncClient, service: str, version: str, at_s: float) -> None:
    await _post(
        http,
        "/ingest/deployment",
        {"service": service, "version": version, "timestamp": at_s, "status": "success"},
    )


async def tell_samples(
    http: httpx.AsyncClient, labels: Mapping[str, str], values: Sequence[float], *, at_s: float
) -> None:
    """A value every ten seconds."""
    times = np.array([(at_s + 10 * n) * 1000 for n in range(len(values))], np.int64)
    one = TimeSeries(labels, times, np.array(values, np.float64))
    answer = await http.post(
        "/api/v1/write", content=remote_write.encode([one]), headers=remote_write.HEADERS
    )
    assert answer.is_success, answer.text


async def _post(http: httpx.AsyncClient, path: str, told: Any) -> None:
    answer = await http.post(path, content=json.dumps(told).encode(), headers=_JSON)
    assert answer.is_success, answer.text


def _varied(call: Call, random: np.random.Generator) -> Call:
    own = call.own_ms * random.uniform(0.9, 1.1)
    calls = tuple(_varied(one, random) for one in call.calls)
    return Call(
        call.service, own, calls, call.failed, call.seen_failed, call.silent, call.gap_ms,
        call.operation,
    )  # fmt: skip


def _zipkin(row: tuple[Any, ...], at_s: float, first: int) -> dict[str, Any]:
    trace, span, parent, service, operation, peer, kind, failed, start, duration = row
    number = first * 1_000_000
    tags: dict[str, str] = {"error": "it failed"} if failed else {}
    if peer >= 0:
        name = NAMES[peer]
        if name == "database":
            tags |= {"db.system": "postgresql", "db.name": "shop"}
        else:
            tags["peer.service"] = name
    return {
        "traceId": f"{number + trace:032x}",
        "id": f"{number + span:016x}",
        **({"parentId": f"{number + parent:016x}"} if parent else {}),
        "name": OPERATIONS[operation],
        "kind": SpanKind(kind).name,
        "timestamp": round(at_s * 1e6 + start / 1e3),
        "duration": max(round(duration / (MS / 1000)), 1),
        "localEndpoint": {"serviceName": NAMES[service]},
        "tags": tags,
    }


def spans_of(told: Sequence[Mapping[str, Any]], *, node: str = "") -> SpanBatch:
    """The same as a table takes it, let in and enriched."""
    receiver = plugins.build("receiver", {"use": "zipkin"})
    wire = receiver.decode(json.dumps(told).encode(), _JSON, now_ns=0)
    (batch,) = wire.records
    assert isinstance(batch, SpanBatch)
    return enriched(batch, node=node)


def enriched(batch: Rows, *, node: str = "") -> Rows:
    """With entities; `node` is the host of all of it."""
    enrich = Enrich()
    origins = tuple(
        replace(one, entity=replace(enrich(dict(one.labels)), node=node)) for one in batch.origins
    )
    return replace(batch, origins=origins)


def lines_of(
    *told: tuple[str, str, int], at_s: float = 0.0, level: int = Severity.INFO, trace: int = 0
) -> LogBatch:
    """Lines of (service, text, how many of it), a second apart."""
    rows = [(service, text) for service, text, n in told for _ in range(n)]
    services = sorted({service for service, _ in rows})
    bodies = texts([text.encode() for _, text in rows])
    n = len(rows)
    return LogBatch(
        origins=tuple(Origin((("service", one),), Entity(one)) for one in services),
        origin=np.array([services.index(service) for service, _ in rows], np.int32),
        time_ns=np.array([round((at_s + k) * 1e9) for k in range(n)], np.int64),
        severity=np.full(n, level, np.uint8),
        trace=np.full((n, 2), trace, np.uint64),
        span=np.zeros(n, np.uint64),
        template=fingerprints(bodies),
        body=bodies,
        attributes=texts([b""] * n),
    )
