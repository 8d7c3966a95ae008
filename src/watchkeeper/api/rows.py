"""What questions about log lines and spans have in common: times, ids, cursors, a search."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec
from fastapi.responses import Response

from watchkeeper.api.services import Readable, Services
from watchkeeper.api.times import parse_time
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput
from watchkeeper.lake.selector import parse_selector
from watchkeeper.lake.tables.base import B, Cursor, Found, RowQuery
from watchkeeper.model.row import Origin, Texts
from watchkeeper.model.series import METRIC_NAME, Matcher

_DEFAULT_RANGE_NS: Final = 3600 * NS_PER_S
_CURSOR: Final = re.compile(r"(-?\d{1,19})-(\d{1,18})")
_TRACE: Final = re.compile(r"[0-9a-fA-F]{1,32}")


async def search(services: Services, readable: Readable[B], query: RowQuery) -> Found[B]:
    """What a table answers, with all that was accepted before."""
    await readable.caught_up(await services.newest())
    return await asyncio.get_running_loop().run_in_executor(
        services.queries, readable.table.search, query
    )


def parse_range(services: Services, start: str | None, end: str | None) -> tuple[int, int]:
    """The last hour where nothing else is said."""
    end_ns = services.clock.now_ns() + 1 if end is None else parse_time(end, "end")
    start_ns = end_ns - _DEFAULT_RANGE_NS if start is None else parse_time(start, "start")
    if start_ns >= end_ns:
        raise BadInput(f"start: {start} is not before end: {end}")
    return start_ns, end_ns


def parse_matchers(query: str | None) -> tuple[Matcher, ...]:
    """The conditions of a selector without a name."""
    matchers = parse_selector(query) if query else ()
    if any(matcher.name == METRIC_NAME for matcher in matchers):
        raise BadInput(
            f"query: '{query}' names a metric; write conditions alone: {{service=\"a\"}}"
        )
    return matchers


def parse_trace(text: str) -> tuple[int, int]:
    """The halves of a trace id; shorter ones are filled up with zeroes in front."""
    if not _TRACE.fullmatch(text) or not int(text, 16):
        raise BadInput(f"trace_id: '{text[:80]}' is no trace id; write up to 32 hex digits")
    return divmod(int(text, 16), 1 << 64)


def parse_cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None or abs(int(found[1])) >= 1 << 63:
        raise BadInput(
            f"cursor: '{text[:80]}' was not given out here; start again without a cursor"
        )
    return int(found[1]), int(found[2])


def cursor_text(cursor: Cursor | None) -> str | None:
    return None if cursor is None else f"{cursor[0]}-{cursor[1]}"


def hex_id(number: int, digits: int = 16) -> str | None:
    """None for 0, which is no id."""
    return f"{number:0{digits}x}" if number else None


def trace_text(halves: Any) -> str | None:
    high, low = halves.tolist()
    return hex_id(high << 64 | low, 32)


def entity_of(origin: Origin) -> dict[str, str]:
    entity = origin.entity
    return {
        "service": entity.service,
        "environment": entity.environment,
        "node": entity.node,
        "owner": entity.owner,
    }


def parsed(column: Texts, row: int, nothing: Any) -> Any:
    """What a text of JSON says; `nothing` where it is empty, no JSON, or of another type."""
    text = column[row]
    if not text:
        return nothing
    try:
        return msgspec.json.decode(text, type=type(nothing))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return nothing


def answer(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
