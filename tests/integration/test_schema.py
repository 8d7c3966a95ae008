"""The whole API, asked what its own description allows: nothing breaks, and answers fit it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bench import client
from bench.peers import Server

N_ASKED = 12
"""Of each route."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def unending() -> set[str]:
    """Answers that have no end."""
    return {"/api/v1/anomalies/stream", "/api/v1/incidents/stream"}


@schemathesis.serializer("application/x-protobuf", "application/x-thrift")
def as_it_is(_context: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode()


def test_whatever_the_description_allows_is_answered_as_it_says(
    server: Server, unending: set[str]
) -> None:
    url = f"http://{client.HOST}:{server.port}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of schemathesis' own dependencies
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        faults = [
            fault
            for operation in found
            if operation.path not in unending
            for fault in _ask(operation, server)
        ]

    assert len(found) > 40
    assert not faults, "\n".join(faults)


def _ask(operation: APIOperation[Any, Any, Any, Any], server: Server) -> Iterator[str]:
    """What went wrong with one route."""
    url = f"http://{client.HOST}:{server.port}"

    @settings(
        max_examples=N_ASKED,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def asked(case: Any) -> None:
        case.validate_response(case.call(base_url=url, timeout=60), checks=CHECKS)

    try:
        asked()
    except FailureGroup as fault:
        yield f"{operation.label}: {fault}"
    except OSError as fault:
        yield f"{operation.label}: {fault}, running: {server.running}\n{server.tail()}"
