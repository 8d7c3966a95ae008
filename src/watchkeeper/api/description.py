"""What the API says of itself at /openapi.json: the doors, examples, and who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.api.door_table import DOORS
from watchkeeper.api.doors import Door
from watchkeeper.api.examples import BODIES, PARAMETERS, Body
from watchkeeper.api.gateway.table import all_routes
from watchkeeper.model.principal import Scope

_PROBLEM: Final = "application/problem+json"
_SCHEMES: Final[Mapping[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Bearer wk_..."},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A user and their password; or any name, and a key as the password.",
    },
}
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
_REFUSALS: Final = {
    "401": "Nobody knows who asks: no key, or a wrong one.",
    "403": "It is known who asks, and this is not for them.",
    "429": "The key's limit is reached; Retry-After says when to come again.",
}

_IN_THEIR_WORDS: Final = ("/prometheus/", "/api/v2/")
_PATH_NAME: Final = {
    "name": "name", "in": "path", "required": True, "example": "mine",
    "schema": {"type": "string"},
}  # fmt: skip


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's description, with what it cannot know."""
    for path, door in DOORS.items():
        for method in door.methods:
            schema["paths"].setdefault(path, {})[method.lower()] = _door(path, door)
    routes = dict(all_routes())
    parts = schema.setdefault("components", {})
    parts.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    parts["securitySchemes"] = dict(_SCHEMES)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            needs = routes.get(path, {}).get(method.upper(), Scope.ADMINISTER)
            is_door = path in DOORS and method.upper() in DOORS[path].methods
            _protect(operation, needs, {} if is_door else _words(path))
            _show(operation, PARAMETERS.get(path, {}))
    return schema


def _words(path: str) -> dict[str, Any]:
    """In which form errors come: Prometheus' and Alertmanager's own under their paths, where the
    gateway lets one in."""
    told: dict[str, Any] = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {**told, "application/json": {}} if path.startswith(_IN_THEIR_WORDS) else told


def _protect(operation: dict[str, Any], needs: Scope | None, words: Mapping[str, Any]) -> None:
    """Say what it needs, and how it is refused."""
    operation["x-needs"] = "nothing" if needs is None else needs.value
    if needs is None:
        operation["security"] = []
        return
    operation["security"] = [{name: []} for name in _SCHEMES]
    for status, says in _REFUSALS.items():
        answer = {"description": says, **({"content": dict(words)} if words else {})}
        operation["responses"].setdefault(status, answer)
    for status in ("400", "404", "422", "503"):
        known = operation["responses"].get(status)
        if words and (known is None or status == "422"):
            says = "Not understood, not there, or not now; the answer says what and why."
            operation["responses"][status] = {"description": says, "content": dict(words)}


def _show(operation: dict[str, Any], examples: Mapping[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in examples:
            parameter["example"] = examples[parameter["name"]]


def _door(path: str, door: Door) -> dict[str, Any]:
    body = BODIES.get(path, Body("", "application/octet-stream"))
    kind = {"type": "string", "contentEncoding": "base64"} if body.is_binary else {}
    named = [_PATH_NAME] if "{name}" in path else []
    nobody = {"404": {"description": "Nothing of that name is set up."}} if named else {}
    headers = [
        {"name": name, "in": "header", "required": True, "example": value,
         "schema": {"type": "string", "const": value}}
        for name, value in body.headers.items()
    ]  # fmt: skip
    return {
        "summary": door.says,
        "tags": ["ingest"],
        "parameters": [*named, *headers],
        "requestBody": {
            "required": True,
            "content": {body.media: {"schema": kind, "example": body.value}},
        },
        "responses": {
            "2XX": {"description": "Durable."},
            "400": {"description": "Not accepted, or not all of it; the answer says what and why."},
            **nobody,
            "408": {"description": "The body did not come in time."},
            "413": {"description": "Too large."},
            "415": {"description": "A content type or encoding that is not spoken here."},
            "503": {"description": "Not now; nothing was kept. Retry-After says when."},
        },
    }
