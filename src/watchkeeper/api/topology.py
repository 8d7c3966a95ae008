"""Who depends on whom: as it is seen, as people say, and as it was."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from watchkeeper.api import rows
from watchkeeper.api.detection import by_of, expected_version, services_of
from watchkeeper.api.problems import problem
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_time
from watchkeeper.errors import BadInput, ConfigError
from watchkeeper.know.settings_stage import Difference
from watchkeeper.know.topologies_stage import Topologies, differing
from watchkeeper.model.topology import Edge, Topology
from watchkeeper.model.topology_set import Discovered, TopologySet

router = APIRouter(tags=["topology"])

_SETTING: Final = "/api/v1/config/topology"
_SPOKEN: Final = ("application/json", "application/yaml", "application/x-yaml", "text/yaml")
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {media: {"schema": {"type": "object"}} for media in _SPOKEN[:2]},
}
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    412: {"description": "Another version is in force than was expected; nothing was changed."}
}


@router.get("/api/v1/topology")
async def whole_topology(
    request: Request,
    service: Annotated[
        str | None, Query(description="Only this node, and what is around it.")
    ] = None,
    hops: Annotated[int, Query(ge=1, le=8, description="How far around it.")] = 1,
    at: Annotated[str | None, Query(description="As it was then; default: as it is now.")] = None,
) -> Response:
    """Nodes and edges, from who depends to what it depends on, with what people say of them."""
    topologies, tenant = _topologies(request), tenant_of(request)
    at_ns = None if at is None else parse_time(at, "at")
    found = await topologies.whole(tenant, at_ns)
    if service is not None and service not in found:
        return problem(404, f"no node '{service[:200]}' is known in the topology")
    said = await topologies.current(tenant, at_ns)
    known = set(found.names) if service is None else _around(found, service, hops)
    return rows.answer(to_json(found, said, known))


@router.get("/api/v1/topology/versions")
async def discovered_versions(
    request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Response:
    """When the graph was seen to change, newest first; `at` one of these shows it as it was."""
    found = await _topologies(request).history(tenant_of(request), limit)
    return rows.answer(
        {"items": [_seen(one, found[at + 1 : at + 2]) for at, one in enumerate(found)]}
    )


@router.get(_SETTING)
async def declared_topology(request: Request) -> Response:
    """What people say of it, and by whom. The answer's ETag is its version."""
    return _told(await _topologies(request).current(tenant_of(request)))


@router.put(_SETTING, openapi_extra={"requestBody": _BODY}, responses=_REFUSED)
async def set_topology(
    request: Request,
    expected: Annotated[
        int | None, Query(ge=0, lt=10**9, description="Only if this version is in force.")
    ] = None,
    dry_run: Annotated[bool, Query(description="Only check, and say what would change.")] = False,
    if_match: Annotated[
        str | None, Header(description="As `expected`: the ETag of what was read.")
    ] = None,
) -> Response:
    """Set all that people say: nodes with owner, tier and runbooks, and edges that are not seen.
    As JSON or YAML. What it does not name stays as it is discovered."""
    services, topologies, tenant = services_of(request), _topologies(request), tenant_of(request)
    expected = expected_version(if_match) if expected is None else expected
    media = request.headers.get("content-type", _SPOKEN[0]).split(";")[0].strip().lower()
    if media not in _SPOKEN:
        return problem(415, f"topology comes as {' or '.join(_SPOKEN[:2])}, not as '{media[:80]}'")
    reading = partial(services.deciding.read_topology, await request.body(), media)
    try:
        document = await asyncio.get_running_loop().run_in_executor(services.queries, reading)
    except ConfigError as error:
        return problem(422, "; ".join(error.faults), errors=error.faults)
    before = await topologies.expect(tenant, expected)
    changed = differing(before.document, document)
    if dry_run:
        return JSONResponse(
            {"dry_run": True, "version": before.version, "changed": _listed(changed)}
        )
    return _told(await topologies.set(tenant, document, by_of(request), expected=expected), changed)


@router.get(f"{_SETTING}/versions")
async def list_versions(
    request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> JSONResponse:
    """What people said, newest first, without the documents."""
    found = await _topologies(request).versions(tenant_of(request), limit)
    return JSONResponse({"items": [_head(one) for one in found]})


@router.get(f"{_SETTING}/versions/{{version}}")
async def one_version(request: Request, version: str) -> Response:
    """A version with its document; 0 says nothing."""
    if not re.fullmatch(r"[0-9]{1,9}", version):
        raise BadInput(f"version: '{version[:80]}' is no number of a version", status=404)
    return _told(await _topologies(request).version(tenant_of(request), int(version)))


def to_json(found: Topology, said: TopologySet, known: set[str]) -> dict[str, Any]:
    """The part of a graph between the nodes that are named."""
    declared = {one.name: one for one in said.document.nodes}
    nodes = []
    for name in sorted(known):
        node: dict[str, Any] = {"name": name, "kind": found.kind(name)}
        if name in declared:
            told = msgspec.to_builtins(declared[name])
            node |= {key: told[key] for key in ("owner", "tier", "runbooks", "about")}
        nodes.append(node)
    edges = [_edge(one) for one in found.edges if {one.source, one.target} <= known]
    return {"version": found.version, "nodes": nodes, "edges": edges}


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "source": edge.source,
        "target": edge.target,
        "kind": edge.kind,
        "origin": edge.origin,
        "calls": round(edge.weight, 3),
        "errors": round(edge.errors, 3),
        "confidence": edge.confidence,
    }


def _around(found: Topology, name: str, hops: int) -> set[str]:
    return {name, *found.descendants(name, hops), *found.ancestors(name, hops)}


def _seen(one: Discovered, before: Sequence[Discovered]) -> dict[str, Any]:
    """With what came and went since the version before it, where that is known."""
    told: dict[str, Any] = {
        "time": iso(one.time_ns), "nodes": len(one.nodes), "edges": len(one.edges),
    }  # fmt: skip
    if before:
        new, old = (
            {(edge.source, edge.target) for edge in each.edges} for each in (one, before[0])
        )
        told["came"] = [list(pair) for pair in sorted(new - old)]
        told["went"] = [list(pair) for pair in sorted(old - new)]
    return told


def _topologies(request: Request) -> Topologies:
    services = services_of(request)
    return Topologies(services.store, services.clock)


def _told(said: TopologySet, changed: Sequence[Difference] | None = None) -> Response:
    told = {**_head(said), "document": msgspec.to_builtins(said.document)}
    if changed is not None:
        told["changed"] = _listed(changed)
    return JSONResponse(told, headers={"etag": f'"{said.version}"'})


def _head(said: TopologySet) -> dict[str, Any]:
    return {
        "version": said.version,
        "since": iso(said.time_ns) if said.time_ns else None,
        "by": said.principal,
    }


def _listed(changed: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{"path": one.path, "before": one.before, "after": one.after} for one in changed]
