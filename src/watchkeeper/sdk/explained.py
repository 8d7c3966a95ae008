"""What a server answers about causes and the topology, as types; and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from watchkeeper.sdk.calls import Call, Time, decoded, time_text
from watchkeeper.sdk.ruled import SettingChange

_CAUSES: Final = "/api/v3/aiops/analyze/rca"
_TOPOLOGY: Final = "/api/v1/topology"
_SAID: Final = "/api/v1/config/topology"
_JSON: Final = {"content-type": "application/json"}
_YAML: Final = {"content-type": "application/yaml"}


class Proof(msgspec.Struct, frozen=True):
    """One thing that was seen, and what was expected instead."""

    text: str
    node: str = ""
    explainer: str = ""
    observed: float | None = None
    expected: float | None = None
    unit: str = ""
    n: int = 0
    id: str = ""


class CauseFound(msgspec.Struct, frozen=True):
    """A candidate, with its place among all."""

    node: str
    probability: float
    kind: str = "service"
    score: float = 0.0
    by_explainer: Mapping[str, float] = {}
    evidence: tuple[Proof, ...] = ()
    against: tuple[Proof, ...] = ()


class Causes(msgspec.Struct, frozen=True):
    """Why something is the matter, and how far to believe it."""

    root_cause: CauseFound | None
    """None where the evidence carries no name."""
    confidence: float
    onset: datetime
    confidence_word: str = ""
    causes: tuple[CauseFound, ...] = ()
    unknown: float = 1.0
    affected: tuple[str, ...] = ()
    entry: str = ""
    window: tuple[datetime, ...] = ()
    baseline: tuple[datetime, ...] = ()
    healthy_s: float = 0.0
    quality: float = 0.0
    ruled_out: tuple[Proof, ...] = ()
    missing: tuple[str, ...] = ()
    read: Mapping[str, int] = {}


class TopologyNode(msgspec.Struct, frozen=True):
    name: str
    kind: str = "service"
    owner: str = ""
    tier: int | None = None
    runbooks: tuple[str, ...] = ()
    about: str = ""


class TopologyEdge(msgspec.Struct, frozen=True):
    """From who depends to what it depends on."""

    source: str
    target: str
    kind: str = "calls"
    origin: str = "traces"
    calls: float = 0.0
    errors: float = 0.0
    confidence: float = 1.0


class TopologyGraph(msgspec.Struct, frozen=True):
    version: int
    nodes: tuple[TopologyNode, ...] = ()
    edges: tuple[TopologyEdge, ...] = ()


class TopologySaid(msgspec.Struct, frozen=True):
    """A version of what people say of the topology."""

    version: int
    since: datetime | None = None
    by: str = ""
    document: Mapping[str, Any] | None = None
    changed: tuple[SettingChange, ...] = ()
    """By the call that this answers."""
    dry_run: bool = False
    """Nothing was set: `version` is the one that stays in force."""


def causes(
    services: Sequence[str], *, at: Time | None = None, until: Time | None = None
) -> Call[Causes]:
    told: dict[str, Any] = {"services": list(services)}
    times = {"at": at, "until": until}
    told |= {name: time_text(time) for name, time in times.items() if time is not None}
    return Call(
        "POST",
        _CAUSES,
        lambda r: decoded(r, Causes),
        content=msgspec.json.encode(told),
        headers=_JSON,
    )


def topology(
    service: str | None = None, *, hops: int = 1, at: Time | None = None
) -> Call[TopologyGraph]:
    asked = {} if service is None else {"service": service, "hops": str(hops)}
    when = {} if at is None else {"at": time_text(at)}
    return Call("GET", _TOPOLOGY, lambda r: decoded(r, TopologyGraph), asked | when)


def topology_said(version: int | None = None) -> Call[TopologySaid]:
    path = _SAID if version is None else f"{_SAID}/versions/{version}"
    return Call("GET", path, lambda r: decoded(r, TopologySaid))


def set_topology(
    document: Mapping[str, Any] | str, *, expected: int | None, dry_run: bool
) -> Call[TopologySaid]:
    """A text is YAML, of which JSON is a part."""
    is_text = isinstance(document, str)
    params = {} if expected is None else {"expected": str(expected)}
    return Call(
        "PUT",
        _SAID,
        lambda r: decoded(r, TopologySaid),
        params | ({"dry_run": "true"} if dry_run else {}),
        content=document.encode() if isinstance(document, str) else msgspec.json.encode(document),
        headers=_YAML if is_text else _JSON,
    )
