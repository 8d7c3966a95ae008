"""The one table: which scope a route needs. What is not in it is not served."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from watchkeeper import plugins
from watchkeeper.api.door_table import DOORS
from watchkeeper.errors import Permanent
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.model.part import EVERY, Part
from watchkeeper.model.principal import Scope

Needs = Mapping[str, Scope | None]
"""By method; None for what everybody may have."""

_READ: Final[Needs] = {"GET": Scope.READ}
_READ_BY_FORM: Final[Needs] = {"GET": Scope.READ, "POST": Scope.READ}
_JUDGED: Final[Needs] = {"POST": Scope.JUDGE}
_ASKED_INSIDE: Final[Needs] = {"POST": Scope.INTERNAL}

ROUTES: Final[Mapping[str, Needs]] = {
    # Whether it is well is what load balancers ask, who have no keys. Why not is for readers.
    "/health": {"GET": None},
    "/api/v3/aiops/health": {"GET": None},
    "/metrics": _READ,
    "/api/v3/aiops/metrics": _READ,
    "/openapi.json": _READ,
    "/api/v1/metrics/query": _READ,
    "/api/v1/anomalies": _READ,
    "/api/v1/anomalies/stream": _READ,
    "/api/v1/anomalies/{anomaly_id}": _READ,
    "/api/v1/anomalies/{anomaly_id}/verdict": {**_READ, **_JUDGED, "DELETE": Scope.JUDGE},
    "/api/v1/detection/series/{series}": _READ,
    "/api/v1/detection/noisy": _READ,
    "/api/v1/slos": _READ,
    "/api/v1/maintenance": {**_READ, **_JUDGED},
    "/api/v1/maintenance/{window_id}": {"DELETE": Scope.JUDGE},
    "/api/v1/anomalies/{anomaly_id}/traces": _READ,
    "/api/v1/detection/band": _READ,
    "/api/v1/logs/search": _READ,
    "/api/v1/logs/templates": _READ,
    "/api/v1/traces": _READ,
    "/api/v1/traces/{trace_id}": _READ,
    "/api/v1/changes": _READ,
    "/api/v3/aiops/analyze/rca": {"POST": Scope.READ},
    "/api/v3/aiops/analyze/anomaly": {"POST": Scope.READ},
    "/api/v3/aiops/analyze/performance": {"POST": Scope.READ},
    "/api/v1/incidents": _READ,
    "/api/v1/incidents/stream": _READ,
    "/api/v1/incidents/bulk": _JUDGED,
    "/api/v1/incidents/{incident_id}": _READ,
    "/api/v1/incidents/{incident_id}/timeline": _READ,
    "/api/v1/incidents/{incident_id}/{verb}": _JUDGED,
    "/api/v1/sources": _READ,
    "/prometheus/api/v1/query": _READ_BY_FORM,
    "/prometheus/api/v1/query_range": _READ_BY_FORM,
    "/prometheus/api/v1/query_exemplars": _READ_BY_FORM,
    "/prometheus/api/v1/series": _READ_BY_FORM,
    "/prometheus/api/v1/labels": _READ_BY_FORM,
    "/prometheus/api/v1/label/{name}/values": _READ,
    "/prometheus/api/v1/metadata": _READ,
    "/prometheus/api/v1/rules": _READ,
    "/prometheus/api/v1/alerts": _READ,
    "/prometheus/api/v1/status/buildinfo": _READ,
    "/prometheus/-/healthy": {"GET": None},
    "/prometheus/-/ready": {"GET": None},
    "/api/v2/alerts": _READ,
    "/api/v2/alerts/groups": _READ,
    "/api/v2/silences": {**_READ, **_JUDGED},
    "/api/v2/silence/{silence_id}": {**_READ, "DELETE": Scope.JUDGE},
    "/api/v2/receivers": _READ,
    "/api/v2/status": _READ,
    "/-/healthy": {"GET": None},
    "/-/ready": {"GET": None},
    "/api/v1/config/detection": {"GET": Scope.READ, "PUT": Scope.ADMINISTER},
    "/api/v1/config/detection/versions": _READ,
    "/api/v1/config/detection/versions/{version}": _READ,
    "/api/v1/config/detection/versions/{version}/restore": {"POST": Scope.ADMINISTER},
    "/api/v1/topology": _READ,
    "/api/v1/topology/versions": _READ,
    "/api/v1/config/topology": {"GET": Scope.READ, "PUT": Scope.ADMINISTER},
    "/api/v1/config/topology/versions": _READ,
    "/api/v1/config/topology/versions/{version}": _READ,
    "/api/v1/audit": {"GET": Scope.ADMINISTER},
    "/api/v1/keys": {"GET": Scope.ADMINISTER, "POST": Scope.ADMINISTER},
    "/api/v1/keys/{key_id}": {"DELETE": Scope.ADMINISTER},
    "/internal/v1/samples": _ASKED_INSIDE,
    "/internal/v1/series": _ASKED_INSIDE,
    "/internal/v1/rows/{table}": _ASKED_INSIDE,
    "/internal/v1/templates": _ASKED_INSIDE,
    "/internal/v1/fingerprints": _ASKED_INSIDE,
    "/internal/v1/caught-up/{table}": _ASKED_INSIDE,
}

_EVERYWHERE: Final = frozenset({
    "/health", "/api/v3/aiops/health", "/metrics", "/api/v3/aiops/metrics", "/openapi.json",
    "/prometheus/-/healthy", "/prometheus/-/ready", "/-/healthy", "/-/ready",
})  # fmt: skip
"""Of every process, whatever part of the whole it is."""
_PART_OF: Final[Mapping[str, Part]] = {
    "/api/v1/sources": Part.INGEST,  # who sends is known where it is sent to
    **{path: Part.STORE for path in ROUTES if path.startswith("/internal/")},
}
"""All others are of the API."""

_WRITES: Final[Mapping[Noun, Scope]] = {
    "samples": Scope.WRITE_METRICS,
    "lines": Scope.WRITE_LOGS,
    "spans": Scope.WRITE_TRACES,
    "changes": Scope.WRITE_CHANGES,
    "alerts": Scope.WRITE_ALERTS,
}
"""A door needs what its receiver makes."""


@dataclass(frozen=True, slots=True)
class Table:
    """All routes, by path, and by pattern where a path has a name in it."""

    by_path: Mapping[str, Needs]
    by_pattern: tuple[tuple[re.Pattern[str], Needs], ...]

    def of(self, path: str) -> Needs | None:
        found = self.by_path.get(path)
        if found is not None:
            return found
        return next((needs for pattern, needs in self.by_pattern if pattern.fullmatch(path)), None)


def all_routes(parts: Collection[Part] = EVERY) -> Iterator[tuple[str, Needs]]:
    """Those of the table, and the doors, as far as they belong to these parts."""
    doors = {
        path: dict.fromkeys(door.methods, _WRITES[plugins.load("receiver", door.receiver).makes])
        for path, door in DOORS.items()
        if Part.INGEST in parts
    }
    routes = {
        path: needs
        for path, needs in ROUTES.items()
        if path in _EVERYWHERE or _PART_OF.get(path, Part.API) in parts
    }
    for path in {**routes, **doors}:
        yield path, {**routes.get(path, {}), **doors.get(path, {})}


def table(parts: Collection[Part] = EVERY) -> Table:
    routes = dict(all_routes(parts))
    return Table(
        {path: needs for path, needs in routes.items() if "{" not in path},
        tuple((_pattern(path), needs) for path, needs in routes.items() if "{" in path),
    )


def check(served: Iterable[tuple[str, str]]) -> None:
    """Raises Permanent where a route (its method and path) is served and not in the table."""
    known = dict(all_routes())
    missing = sorted(
        f"{method} {path}" for method, path in served if method not in known.get(path, {})
    )
    if missing:
        raise Permanent(
            f"api: say in api/gateway/table.py which scope these routes need: {', '.join(missing)}"
        )


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"(\{\w+(?::path)?\})", path)
    return re.compile("".join(
        (".+" if piece.endswith(":path}") else "[^/]+") if piece.startswith("{")
        else re.escape(piece) for piece in pieces
    ))  # fmt: skip
