"""The one shape of an error: problem+json (RFC 9457), from our errors and from FastAPI's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from watchkeeper import telemetry
from watchkeeper.errors import BadInput, OverLimit, Permanent, Retryable, WatchkeeperError

_TITLES = {
    400: "The request cannot be understood",
    401: "Nobody knows who asks",
    403: "This is not permitted",
    404: "There is nothing here",
    405: "This method is not offered here",
    408: "The request took too long",
    409: "This cannot be done",
    412: "It is not as you expected",
    413: "The request is too large",
    415: "The content type or encoding is not spoken here",
    422: "The request cannot be understood",
    429: "The limit is reached; wait",
    500: "This server made a mistake",
    503: "Not now; try again",
}


def retry_after(refusal: Retryable) -> str:
    """The header's value: whole seconds, at least one."""
    return str(max(1, math.ceil(refusal.after_s)))


def status_of(error: WatchkeeperError) -> int:
    match error:
        case BadInput():
            return error.status
        case OverLimit():
            return 429
        case Retryable():
            return 503
        case Permanent():
            return 409
        case _:
            return 500


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    *,
    errors: Sequence[str] = (),
) -> Response:
    """`errors` are the faults one by one, where there may be several."""
    body = problem_body(status, detail, errors=errors)
    return Response(body, status, dict(headers or {}), media_type="application/problem+json")


def problem_body(status: int, detail: str, *, title: str = "", errors: Sequence[str] = ()) -> bytes:
    body: dict[str, Any] = {
        "title": title or _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    served = telemetry.request_id.get()
    return json.dumps(body | {"request_id": served} if served else body).encode()


def problem_of(error: WatchkeeperError) -> Response:
    headers = {"retry-after": retry_after(error)} if isinstance(error, Retryable) else None
    return problem(status_of(error), str(error), headers)


def install(app: FastAPI) -> None:
    """Answer every error of `app` in this shape."""

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, WatchkeeperError)  # noqa: S101 - registered for this type alone
        return problem_of(error)

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
        return problem(error.status_code, str(error.detail), error.headers)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        ]
        return problem(422, "; ".join(faults))

    async def mistake(_request: Request, _error: Exception) -> Response:
        return problem(500, "the server's log says what and where; report it")

    app.add_exception_handler(WatchkeeperError, ours)
    app.add_exception_handler(Exception, mistake)  # answered here, then raised on into the log
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
